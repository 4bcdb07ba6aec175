"""The built-in data set: views of procedural objects, as in the paper's ObjectNet3D."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.files.cache import check_writable, read_cache, write_cache
from sparsity_jax.data.progress import Bar
from sparsity_jax.data.renderings.camera import camera, sample_view
from sparsity_jax.data.renderings.clutter import DRAWS, clutter
from sparsity_jax.data.renderings.meshes import CLASS_NAMES, make_mesh
from sparsity_jax.data.renderings.raycast import first_faces, intersector_name
from sparsity_jax.data.renderings.shading import averaged, face_grays
from sparsity_jax.errors import UserError

BACKGROUNDS = ("clean", "cluttered")
CLEAN_GRAY = 245.0
SIZES = (8, 256)
SAMPLES = 2  # rays along each side of a pixel: anti-aliasing
VIEWS_PER_INSTANCE = {"train": 8, "test": 2}
VERSION = 1  # raise it when any pixel changes: cached files are then made again

# First words of every seed, so that no two uses of random numbers share a stream.
_SPLITS = {"train": 0, "test": 1}
_INSTANCE, _VIEW, _CLUTTER = range(3)


@dataclass(frozen=True)
class Recipe:
    """All that decides the pictures of one split."""

    split: str
    views: int
    classes: int
    size: int
    background: str
    seed: int


def load(
    *,
    classes: int = 10,
    size: int = 32,
    background: str = "clean",
    train_views: int = 10000,
    test_views: int = 2000,
    seed: int = 0,
    cache_dir: Path | None = None,
    progress: bool = True,
) -> Dataset:
    """Gray renderings of everyday objects, made from a seed and kept on disk.

    The paper renders 30 classes of ObjectNet3D CAD models at 64 x 64; here the same
    classes are procedural meshes. As there, the azimuth is uniform in [-180, 180] and the elevation
    in [-15, 45] degrees, and both backgrounds show identical views: inside an object the pixels are
    the same, bit for bit. Train and test show different instances: 8 views of each in train, 2 in
    test. View i shows class i % classes, and depends on (seed, split, i) and `classes` only.

    Args:
        classes: the first so many of `meshes.CLASS_NAMES`, 2 to 30.
        size: pixels along a side, 8 to 256.
        background: 'clean' (one light gray) or 'cluttered' (random facets, other in every view).
        train_views: images in train, at least one per class.
        test_views: images in test, at least one per class.
        seed: of all randomness, not negative.
        cache_dir: where the finished set is kept; None keeps nothing.
        progress: show a bar, on a terminal.

    Returns:
        `Dataset` 'renderings', images uint8 (N, size, size, 1), variant 'bg=<background>'.

    Raises:
        UserError: a value outside of what is named above, or a cache_dir that cannot be written.

    Example:
        >>> load(classes=2, size=16, train_views=4, test_views=2, progress=False).image_shape
        (16, 16, 1)
    """
    shared = {"classes": classes, "size": size, "background": background, "seed": seed}
    _check(**shared, train_views=train_views, test_views=test_views)
    recipes = [
        Recipe(split="train", views=train_views, **shared),
        Recipe(split="test", views=test_views, **shared),
    ]
    path = cache_dir / _file_name(recipes) if cache_dir else None
    if path is not None:
        if (cached := read_cache(path)) is not None:
            return cached
        check_writable(path.parent)
    views = train_views + test_views
    with Bar(f"rendering {background}", total=views, unit="view", shown=progress) as bar:
        train, test = (render(recipe, bar=bar) for recipe in recipes)
    names = CLASS_NAMES[:classes]
    dataset = Dataset("renderings", *train, *test, names, f"bg={background}")
    if path is not None:
        write_cache(path, dataset)
    return dataset


def render(
    recipe: Recipe, *, intersector: str | None = None, bar: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """All pictures of one split.

    Args:
        recipe: what to render.
        intersector: 'embree' or 'portable', by default the best there is.
        bar: has `update(count)`, called after each instance.

    Returns:
        images uint8 (N, size, size, 1), labels int32 (N,).
    """
    images = np.empty((recipe.views, recipe.size, recipe.size, 1), np.uint8)
    for label, instance, places in _instances(recipe):
        images[places, ..., 0] = _pictures(recipe, label, instance, places, intersector)
        if bar is not None:
            bar.update(len(places))
    return images, (np.arange(recipe.views) % recipe.classes).astype(np.int32)


def _instances(recipe: Recipe) -> Iterator[tuple[int, int, np.ndarray]]:
    """(label, number of the instance in its class, numbers of its views) of every instance."""
    for label in range(recipe.classes):
        places = np.arange(label, recipe.views, recipe.classes)
        count = VIEWS_PER_INSTANCE[recipe.split]
        for instance, start in enumerate(range(0, len(places), count)):
            yield label, instance, places[start : start + count]


def _random(recipe: Recipe, use: int, label: int, number: int) -> np.random.Generator:
    """The generator for one use: a class's stream is the same however many classes are shown."""
    return np.random.default_rng((recipe.seed, _SPLITS[recipe.split], use, label, number))


def _pictures(
    recipe: Recipe, label: int, instance: int, places: np.ndarray, intersector: str | None
) -> np.ndarray:
    """uint8 (n, size, size): n views of one instance."""
    mesh = make_mesh(CLASS_NAMES[label], _random(recipe, _INSTANCE, label, instance))
    numbers = places // recipe.classes
    views = [sample_view(_random(recipe, _VIEW, label, k)) for k in numbers]
    cameras = [camera(mesh.vertices, view) for view in views]
    hits = first_faces(mesh, cameras, recipe.size * SAMPLES, intersector=intersector)
    grays = np.stack(
        [face_grays(mesh, one.frame)[seen] for one, seen in zip(cameras, hits, strict=True)]
    )
    covered = averaged((hits >= 0).astype(np.float32), SAMPLES)
    behind = np.float32(CLEAN_GRAY)
    if recipe.background == "cluttered":
        draws = np.stack([_random(recipe, _CLUTTER, label, k).random(DRAWS) for k in numbers])
        behind = clutter(draws, recipe.size)
    return np.rint(averaged(grays, SAMPLES) + (1 - covered) * behind).astype(np.uint8)


def _file_name(recipes: list[Recipe]) -> str:
    """Every parameter and the version; the intersector too, since edge pixels depend on it."""
    train, test = recipes
    return (
        f"renderings_v{VERSION}_{intersector_name()}_c{train.classes}_s{train.size}"
        f"_{train.background}_{train.views}+{test.views}_seed{train.seed}.npz"
    )


def _check(
    *, classes: int, size: int, background: str, train_views: int, test_views: int, seed: int
) -> None:
    """Raises UserError for the first value that is not valid."""
    whole = {
        "classes": (classes, 2, len(CLASS_NAMES)),
        "size": (size, *SIZES),
        "train_views": (train_views, classes, None),
        "test_views": (test_views, classes, None),
        "seed": (seed, 0, None),
    }
    for name, (value, low, high) in whole.items():
        valid = f"at least {low}" if high is None else f"from {low} to {high}"
        if (
            isinstance(value, bool)
            or not isinstance(value, int | np.integer)
            or value < low
            or (high is not None and value > high)
        ):
            why = ", one per class" if name.endswith("views") else ""
            raise UserError(f"renderings.{name} must be a whole number {valid}{why}, not {value!r}")
    if background not in BACKGROUNDS:
        raise UserError(
            f"renderings.background must be one of {', '.join(BACKGROUNDS)}, not {background!r}"
        )
