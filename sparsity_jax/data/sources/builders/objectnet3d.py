"""ObjectNet3D renderings as in the paper: CAD models of 30 classes, seen from random sides.

Section 3: 64 x 64 gray, azimuth uniform in [-180, 180], elevation in [-15, 45], with a clean and a
cluttered background behind identical views. The paper does not say how many images, or which are
for testing; here a fifth of the models of each class, and at least one, is held out.
"""

import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from sparsity_jax.data.files.archives import read_archive
from sparsity_jax.data.files.downloads import Archive
from sparsity_jax.data.renderings.camera import View, camera, sample_view
from sparsity_jax.data.renderings.clutter import DRAWS, clutter
from sparsity_jax.data.renderings.meshes import CLASS_NAMES
from sparsity_jax.data.renderings.meshes.mesh import Mesh, normalised, painted
from sparsity_jax.data.renderings.off import read_off
from sparsity_jax.data.renderings.raycast import first_faces
from sparsity_jax.data.renderings.shading import averaged, face_grays
from sparsity_jax.data.sources.builders.archive_builder import ArchiveBuilder, Example
from sparsity_jax.errors import UserError

SIZE, SAMPLES = 64, 2  # pixels, and rays along each side of a pixel
CLEAN_GRAY = 245.0
TONE = 0.75  # CAD models in .off carry no colours
VIEWS_PER_CLASS = {"train": 1000, "test": 200}
CUBISM = Path("PeopleArt") / "JPEGImages" / "Cubism"  # below the manual folder
_SPLITS = {"train": 0, "test": 1}
_VIEW, _BACKGROUND = range(2)
_VIEWS_AT_ONCE = 64


class Objectnet3d(ArchiveBuilder):
    """ObjectNet3D-30: gray 64 x 64 renderings of CAD models in 30 classes (Xiang et al. 2016)."""

    ARCHIVE = Archive(
        file="ObjectNet3D_cads.zip",
        url="https://cvgl.stanford.edu/projects/objectnet3d/",
        md5=None,  # none is published
        download=False,
    )
    IMAGE_SHAPE = (SIZE, SIZE, 1)
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="clean", description="One light gray behind the objects."),
        tfds.core.BuilderConfig(name="cluttered", description="Cubist pictures behind them."),
        tfds.core.BuilderConfig(name="procedural", description="Built-in clutter behind them."),
    ]

    def class_names(self, path: Path) -> tuple[str, ...]:
        """The paper's 30 of the 100 classes."""
        return tuple(sorted(CLASS_NAMES))

    def examples(self, path: Path, split: str) -> Iterator[Example]:
        """See `ArchiveBuilder.examples`."""
        classes = self.class_names(path)
        members = _members(path, classes)
        paintings = self._paintings(path.parent)
        models = {
            name: (label, number, views)
            for label, class_name in enumerate(classes)
            for number, (name, views) in enumerate(_share(members[class_name], split))
        }
        for file in read_archive(path, models.__contains__):
            label, number, views = models[file.name]
            mesh = _mesh(path, file.name, file.data)
            for start in range(0, views, _VIEWS_AT_ONCE):
                keys = [(_SPLITS[split], label, number, view) for view in range(start, views)]
                for picture in _pictures(mesh, keys[:_VIEWS_AT_ONCE], paintings):
                    yield Image.fromarray(picture), label

    def _paintings(self, folder: Path) -> list[np.ndarray] | None:
        """Gray pictures to crop backgrounds from; empty for procedural clutter, None for clean.

        Raises:
          UserError: cluttered, and there are no paintings: other clutter is another experiment.
        """
        name = self.builder_config.name if self.builder_config else "clean"
        if name != "cluttered":
            return [] if name == "procedural" else None
        paths = sorted((folder / CUBISM).glob("*.jpg"))
        if not paths:
            raise UserError(
                f"no paintings in {folder / CUBISM}; put PeopleArt's there, or take "
                "objectnet3d:procedural, whose clutter is not the paper's"
            )
        return [_painting(path) for path in paths]


def _members(path: Path, classes: tuple[str, ...]) -> dict[str, list[str]]:
    """The .off files of each class, sorted: `ObjectNet3D/CAD/off/<class>/<number>.off`."""
    found: dict[str, list[str]] = {name: [] for name in classes}

    def note(name: str) -> bool:
        parts = PurePosixPath(name).parts
        if name.lower().endswith(".off") and parts[-3:-2] == ("off",) and parts[-2] in found:
            found[parts[-2]].append(name)
        return False

    for _ in read_archive(path, note):
        pass
    if lacking := [name for name in classes if not found[name]]:
        raise UserError(f"{path} has no CAD/off/{lacking[0]}/*.off; all of {len(classes)} needed")
    return {name: sorted(each) for name, each in found.items()}


def _share(names: list[str], split: str) -> list[tuple[str, int]]:
    """A split's models of one class, with how many views each; a lone model is in both splits."""
    held_out = max(1, len(names) // 5) if len(names) > 1 else 0
    kept = names[: len(names) - held_out]
    mine = kept if split == "train" else names[len(kept) :] or names
    total = VIEWS_PER_CLASS[split]
    return [(name, len(range(k, total, len(mine)))) for k, name in enumerate(mine)]


def _mesh(path: Path, name: str, data: bytes) -> Mesh:
    try:
        return normalised(painted(*read_off(data), TONE))
    except ValueError as error:
        raise UserError(f"{path}: model {name} cannot be read: {error}") from error


def _pictures(
    mesh: Mesh, keys: list[tuple[int, ...]], paintings: list[np.ndarray] | None
) -> np.ndarray:
    """uint8 (n, SIZE, SIZE): a view per key, the same with any background."""
    views: list[View] = [sample_view(np.random.default_rng((_VIEW, *key))) for key in keys]
    cameras = [camera(mesh.vertices, view) for view in views]
    hits = first_faces(mesh, cameras, SIZE * SAMPLES)
    grays = np.stack(
        [face_grays(mesh, one.frame)[seen] for one, seen in zip(cameras, hits, strict=True)]
    )
    behind = np.stack(
        [_background(np.random.default_rng((_BACKGROUND, *key)), paintings) for key in keys]
    )
    covered = averaged((hits >= 0).astype(np.float32), SAMPLES)
    return np.rint(averaged(grays, SAMPLES) + (1 - covered) * behind).astype(np.uint8)


def _background(rng: np.random.Generator, paintings: list[np.ndarray] | None) -> np.ndarray:
    """float32 (SIZE, SIZE)."""
    if paintings is None:
        return np.full((SIZE, SIZE), CLEAN_GRAY, np.float32)
    if not paintings:
        return clutter(rng.random((1, DRAWS)), SIZE)[0]
    picture = paintings[rng.integers(len(paintings))]
    top, left = (int(rng.integers(side - SIZE + 1)) for side in picture.shape)
    return picture[top : top + SIZE, left : left + SIZE].astype(np.float32)


def _painting(path: Path) -> np.ndarray:
    """Gray, its shorter side twice a view's, so that a crop shows a good part of it."""
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=("JPEG", "PNG")) as image:
            zoom = 2 * SIZE / min(image.size)
            size = [max(SIZE, round(side * zoom)) for side in image.size]
            return np.asarray(image.convert("L").resize((size[0], size[1])))
    except Exception as error:  # Pillow raises a dozen types on damaged bytes
        raise UserError(f"painting {path} cannot be read ({error}); remove it") from error
