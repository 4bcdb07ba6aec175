"""File of a figure that a command draws: its place, PNG or PDF, and its ground."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from sparsity_jax.errors import UserError, user_path
from sparsity_jax.report.figures import style
from sparsity_jax.storage.io import write_atomically

Draw = Callable[..., Figure]  # (theme=...)
THEMES = {"light": style.LIGHT, "dark": style.DARK}
ENCODERS = {".png": style.png, ".pdf": style.pdf}


def add_options(parser: argparse.ArgumentParser, place: str) -> None:
    """Add --out, whose help says the place, and --theme: where a figure goes, and its ground."""
    parser.add_argument("--out", type=_figure_path, metavar="FILE.png|FILE.pdf", help=place)
    parser.add_argument("--theme", choices=THEMES, default="light", help="of the figure")


def _figure_path(text: str) -> Path:
    """The path of a figure's file.

    Raises:
      UserError: it is neither a PNG nor a PDF.
    """
    path = user_path(text)
    if path.suffix not in ENCODERS:
        raise UserError(f"--out={path} must end in .png or .pdf")
    return path


def save(draw: Draw, path: Path, theme: str) -> None:
    """Draw a figure into a file, a PDF or a PNG as its name ends, on the ground of the theme."""
    chosen = THEMES[theme]
    write_atomically(path, ENCODERS[path.suffix](draw(theme=chosen), chosen))
