"""The paper's figures by number: what each needs, and how it is drawn.

`python -m sparsity_jax.report figure N [WORKDIR] [--out=FILE]` draws one of them.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sparsity_jax.errors import UserError, user_path
from sparsity_jax.models import Plan, make_plan
from sparsity_jax.optimizers import OPTIMIZERS
from sparsity_jax.report import loading
from sparsity_jax.report.figures import figure_file, low_gradient, network, pictures, registry
from sparsity_jax.report.figures.figure_file import Draw
from sparsity_jax.storage.config_record import read_config

# What config.data stands for -> (height, width, channels) that the network sees, classes.
SHAPES: dict[str, tuple[tuple[int, int, int], int]] = {
    "cifar10": ((32, 32, 3), 10),
    "cifar100": ((32, 32, 3), 100),
    "tiny_imagenet": ((64, 64, 3), 200),
    "imagenet2012": ((224, 224, 3), 1000),
    "objectnet3d": ((64, 64, 1), 30),
    "renderings": ((32, 32, 1), 10),
}


@dataclasses.dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper.

    Attributes:
      title: what it shows.
      make: options of the command -> what draws it, and its caption.
      runs: whether it shows the runs of a workdir.
    """

    title: str
    make: Callable[[argparse.Namespace], tuple[Draw, str]]
    runs: bool = False


def plan_of(options: argparse.Namespace) -> Plan:
    """The network that the options name; what they leave open is the workdir's, or BasicNet's.

    Raises:
      UserError: images whose size is not known without reading them, or an unknown network.
    """
    config: dict[str, Any] = {}
    if options.workdir and (options.workdir / "config.json").exists():
        config = dict(read_config(options.workdir / "config.json").config)
    source = options.data or str(config.get("data", "cifar10"))
    if (kind := source.partition(":")[0]) not in SHAPES:
        raise UserError(f"figure 1: the shape of {source} is not known; valid: {', '.join(SHAPES)}")
    shape, classes = SHAPES[kind]
    if kind == "renderings" and not options.data:
        asked = config.get("renderings", {})
        size, classes = asked.get("size", shape[0]), asked.get("classes", classes)
        shape = (size, size, 1)
    return make_plan(
        options.network or config.get("network", "BasicNet"),
        classes=classes,
        input_shape=shape,
        width=options.width or config.get("width", "64-1x"),
        pool_after=config.get("pool_after", (1, 3, 5)),
        pool=config.get("pool", "max2"),
        stride_2=config.get("stride_2", ()),
        negative_slope=config.get("negative_slope", 0.0),
    )


def _network(options: argparse.Namespace) -> tuple[Draw, str]:
    plan = plan_of(options)
    return lambda theme: network.network_diagram(plan, theme=theme), network.caption(plan)


def _low_gradient(options: argparse.Namespace, optimizers: tuple[str, ...]) -> tuple[Draw, str]:
    regime = low_gradient.regime_of(options)
    return (
        lambda theme: low_gradient.low_gradient(optimizers, regime=regime, theme=theme),
        regime.caption,
    )


def _pictures(options: argparse.Namespace) -> tuple[Draw, str]:
    source = options.data or "renderings"
    return lambda theme: pictures.pictures(source, theme=theme), pictures.CAPTION


def _of_runs(name: str) -> Callable[[argparse.Namespace], tuple[Draw, str]]:
    """One of the report's own figures, of the workdir's runs."""

    def make(options: argparse.Namespace) -> tuple[Draw, str]:
        records = loading.load(options.workdir)
        drawing = next(each for each in registry.DRAWINGS if each.name == name)
        if not drawing.applies(records):
            raise UserError(f"{options.workdir} holds no run for this figure: {NEEDS[name]}")
        return (
            lambda theme: drawing.draw(records, theme=theme),
            registry.caption(drawing, records),
        )

    return make


NEEDS = {
    "gamma_beta_ridges": "it shows gamma and beta of finished runs (measure.npz)",
    "gamma_beta_final": "it shows gamma and beta of finished runs (measure.npz)",
    "universality": "it shows finished runs whose universality was measured",
    "universality_by_batch": "it shows finished runs that differ in their batch size, with "
    "universality measured",
}
FIGURES: dict[str, PaperFigure] = {
    "1": PaperFigure("the network", _network),
    "2": PaperFigure("gamma and beta during training", _of_runs("gamma_beta_ridges"), runs=True),
    "3": PaperFigure("universality", _of_runs("universality"), runs=True),
    "4": PaperFigure(
        "the regularizer alone: Adam and SGD",
        lambda options: _low_gradient(options, low_gradient.FIGURE_4),
    ),
    "5": PaperFigure("universality by batch size", _of_runs("universality_by_batch"), runs=True),
    "S1": PaperFigure("gamma and beta in the end", _of_runs("gamma_beta_final"), runs=True),
    "S2": PaperFigure("universality, CIFAR10", _of_runs("universality"), runs=True),
    "S3": PaperFigure(
        "the regularizer alone: every optimizer", lambda options: _low_gradient(options, OPTIMIZERS)
    ),
    "S4": PaperFigure("clean and cluttered backgrounds", _pictures),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command can be given."""
    listed = "; ".join(f"{number}: {figure.title}" for number, figure in FIGURES.items())
    parser.add_argument("number", metavar="N", help=listed)
    parser.add_argument(
        "workdir", nargs="?", type=user_path, metavar="WORKDIR", help="for 2, 3, 5, S1 and S2"
    )
    figure_file.add_options(
        parser, "default: figures/figure_N.png in the workdir, or figure_N.png here"
    )
    parser.add_argument("--network", metavar="NAME", help="of figure 1; default: BasicNet")
    parser.add_argument("--width", metavar="WIDTH", help="of figure 1; default: 64-1x")
    parser.add_argument(
        "--data", metavar="NAME", help="of figure 1 (default: cifar10) and S4 (default: renderings)"
    )
    low_gradient.add_options(parser)


def write(options: argparse.Namespace) -> tuple[Path, str]:
    """Draw the figure that the options name into its file.

    Returns:
      The file's path, and the figure's caption.

    Raises:
      UserError: no such figure, a workdir without what it shows, or a wrong option.
    """
    number = options.number.upper()
    if number not in FIGURES:
        raise UserError(f"figure {options.number} is not known; valid are {', '.join(FIGURES)}")
    if FIGURES[number].runs and options.workdir is None:
        raise UserError(f"figure {number} shows runs; give their workdir: figure {number} WORKDIR")
    if options.workdir is not None and not options.workdir.is_dir():
        raise UserError(f"{options.workdir} is not a folder; give the workdir of an experiment")
    name = f"figure_{number.lower()}.png"
    path = options.out or (options.workdir / "figures" / name if options.workdir else Path(name))
    draw, caption = FIGURES[number].make(options)
    figure_file.save(draw, path, options.theme)
    return path, caption
