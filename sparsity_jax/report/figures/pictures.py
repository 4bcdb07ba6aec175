"""Figure S4: the same objects before clean and before cluttered backgrounds."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from sparsity_jax import data
from sparsity_jax.errors import UserError
from sparsity_jax.report.figures import style

SOURCES = ("renderings", "objectnet3d")
BACKGROUNDS = ("clean", "cluttered")
CLASSES = 6  # columns
VIEWS = 2  # lines of each background
CAPTION = (
    "Training images, a class per column: above on clean, below on cluttered backgrounds, the same "
    "views. The paper's are of ObjectNet3D's models; the built-in renderings are of our own."
)


def examples(source: str, background: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Training images of the first classes, uint8 (VIEWS, CLASSES, H, W, C), and their names.

    Raises:
      UserError: a source that has no backgrounds, or cannot be prepared.
    """
    if source not in SOURCES:
        raise UserError(f"--data={source} has no backgrounds to show; valid: {', '.join(SOURCES)}")
    if source == "renderings":
        settings = {
            "classes": 10,
            "size": 64,
            "background": background,
            "train_views": 10 * 8 * VIEWS,
            "test_views": 10,
        }
        found = data.load(source, renderings=settings)
    else:
        found = data.load(source if background == "clean" else f"{source}:{background}")
    chosen = np.linspace(0, found.classes - 1, CLASSES).round().astype(int)
    places = [np.flatnonzero(found.train_labels == label) for label in chosen]
    # Views of one instance follow each other: pictures from both ends show two instances.
    at = [[there[-1 if view else 0] for there in places] for view in range(VIEWS)]
    return found.train_images[np.array(at)], tuple(found.class_names[label] for label in chosen)


@style.themed
def pictures(source: str = "renderings", *, theme: style.Theme = style.LIGHT) -> Figure:
    """A grid of pictures: lines are views before both backgrounds, columns are classes."""
    figure = style.figure(style.PAGE, 0.25 + style.PAGE / CLASSES * VIEWS * len(BACKGROUNDS))
    panels = figure.subplots(VIEWS * len(BACKGROUNDS), CLASSES, squeeze=False)
    for place, background in enumerate(BACKGROUNDS):
        images, names = examples(source, background)
        for view, row in enumerate(images):
            line = panels[place * VIEWS + view]
            for axes, image, name in zip(line, row, names, strict=True):
                shown = image if image.shape[-1] == 3 else image[..., 0]
                axes.imshow(shown, cmap="gray", vmin=0, vmax=255)
                axes.set_xticks([])
                axes.set_yticks([])
                axes.grid(visible=False)
                if place == view == 0:
                    axes.set_title(style.plain(name, 14), fontsize=7.5)
            line[0].set_ylabel(background, color=theme.ink)
    return figure
