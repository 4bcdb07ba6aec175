"""Commands on data sets: `python -m sparsity_jax.data show | prepare | check SOURCE`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparsity_jax.data import OFFICIAL, SOURCES, default_data_dir, facts, load
from sparsity_jax.data.dataset import Dataset
from sparsity_jax.errors import UserError, user_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        arguments: the words after `python -m sparsity_jax.data`; by default those of the process.

    Returns:
        Exit code: 0; 1 when a checked set is not the published one; 2 after a one-line message
        about wrong input.
    """
    try:
        options = _parser().parse_args(arguments)
        if (options.command, options.source) == ("prepare", "imagenet2012"):
            print(f"imagenet2012 is ready: {_prepare_imagenet(options)}")
            return 0
        if options.source == "imagenet2012":
            raise UserError(
                "imagenet2012 is too large to show; valid: `python -m sparsity_jax.data prepare"
                " imagenet2012`, or another data set"
            )
        if options.command == "check":
            return _check(options)
        if options.command == "show":
            dataset = _load(options)
            print(summary(dataset))
            print(f"contact sheet: {_write_sheet(dataset, options.out)}")
        else:
            dataset = _prepared(options)
            print(f"{dataset.name} is ready: {_size(dataset)}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def summary(dataset: Dataset) -> str:
    """Sizes, normalisation constants and images per class, as lines of text.

    Example:
        >>> images, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1], np.int32)
        >>> print(summary(Dataset("dots", images, labels, images, labels, ("cat", "dog"))))
        dots: 2 train and 2 test images, 4x4 gray, 2 classes
        mean 0.0000, std 1.0000 (train pixels / 255, per channel)
        class  train  test
        cat        1     1
        dog        1     1
    """
    mean, std = (" ".join(f"{v:.4f}" for v in values) for values in (dataset.mean, dataset.std))
    counts = [
        np.bincount(labels, minlength=dataset.classes)
        for labels in (dataset.train_labels, dataset.test_labels)
    ]
    width = max(len(name) for name in (*dataset.class_names, "class"))
    lines = [
        f"{dataset.name}: {_size(dataset)}",
        f"mean {mean}, std {std} (train pixels / 255, per channel)",
        f"{'class':<{width}}  train  test",
    ]
    for name, train, test in zip(dataset.class_names, *counts, strict=True):
        lines.append(f"{name:<{width}}  {train:>5}  {test:>4}")
    return "\n".join(lines)


def _load(options: argparse.Namespace) -> Dataset:
    return load(
        options.source,
        data_dir=options.data_dir,
        manual_dir=options.manual_dir,
        allow_unverified=options.allow_unverified,
        skip_unreadable=options.skip_unreadable,
        resize=options.resize,
        test_fraction=options.test_fraction,
    )


def _prepared(options: argparse.Namespace) -> Dataset:
    """The set once it is prepared; official ones are not held in memory for that."""
    if options.source.partition(":")[0] not in OFFICIAL or options.resize or options.test_fraction:
        return _load(options)
    from sparsity_jax.data.sources.official import load_official  # slow to import

    return load_official(
        options.source,
        data_dir=options.data_dir or default_data_dir(),
        manual_dir=options.manual_dir,
        allow_unverified=options.allow_unverified,
        skip_unreadable=options.skip_unreadable,
        pixels=False,
    )


def _check(options: argparse.Namespace) -> int:
    """Compares a set with what is known of the published one; exit code 0 where all is equal."""
    known = facts.FACTS.get(options.source)
    if known is None:
        raise UserError(f"nothing is known of {options.source!r}; valid: {', '.join(facts.FACTS)}")
    found = facts.facts_of(_load(options))
    if known.gray is not None:
        from sparsity_jax.data.sources.official import gray_files  # slow to import

        root = options.data_dir or default_data_dir()
        found = found._replace(gray=gray_files(options.source, root))
    different = facts.differing(found, known)
    for name, value in found._asdict().items():
        if value is not None:
            told = f"expected {getattr(known, name)}" if name in different else "as expected"
            print(f"{name}: {value}, {told}")
    return 1 if different else 0


def _size(dataset: Dataset) -> str:
    height, width, channels = dataset.image_shape
    return (
        f"{len(dataset.train_images)} train and {len(dataset.test_images)} test images,"
        f" {width}x{height} {'gray' if channels == 1 else 'RGB'}, {dataset.classes} classes"
    )


def _prepare_imagenet(options: argparse.Namespace) -> Path:
    """ImageNet is larger than memory: its prepared files are all there is."""
    from sparsity_jax.data.sources.official import prepare  # slow to import

    builder = prepare(
        "imagenet2012",
        data_dir=options.data_dir or default_data_dir(),
        manual_dir=options.manual_dir,
        allow_unverified=options.allow_unverified,
        skip_unreadable=options.skip_unreadable,
    )
    return Path(builder.data_path)


def _write_sheet(dataset: Dataset, out: Path | None) -> Path:
    from sparsity_jax.data.contact_sheet import contact_sheet  # slow to import

    path = out or Path(f"{dataset.name}.png")
    try:
        contact_sheet(dataset).save(path, format="PNG")
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}); name a file in a writable folder"
            " with --out"
        ) from error
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sparsity_jax.data", description="Prepare data sets and look at them."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument("source", metavar="SOURCE", help=f"one of: {', '.join(SOURCES)}")
    for name, settings in _OPTIONS.items():
        source.add_argument(f"--{name}", **settings)
    show = commands.add_parser(
        "show", parents=[source], help="write a contact sheet PNG, print counts and constants"
    )
    show.add_argument(
        "--out", type=user_path, metavar="FILE.png", help="the picture (default: <data set>.png)"
    )
    for name, text in (
        ("prepare", "download and decode ahead of training; also takes imagenet2012"),
        ("check", f"compare with the published set: {', '.join(facts.FACTS)}"),
    ):
        commands.add_parser(name, parents=[source], help=text)
    return parser


_OPTIONS: dict[str, dict[str, Any]] = {
    "data_dir": {
        "type": user_path,
        "metavar": "DIR",
        "help": "where prepared sets are kept (default: SPARSITY_JAX_DATA or"
        " ~/.cache/sparsity_jax)",
    },
    "manual_dir": {
        "type": user_path,
        "metavar": "DIR",
        "help": "where official archives lie that you downloaded yourself (default:"
        " DATA_DIR/manual)",
    },
    "allow_unverified": {
        "action": "store_true",
        "help": "use an archive found there even if its checksum is not the official one",
    },
    "skip_unreadable": {
        "action": "store_true",
        "help": "leave out images that cannot be decoded, and count them",
    },
    "resize": {
        "type": int,
        "default": 0,
        "metavar": "SIDE",
        "help": "folders: make all images SIDE x SIDE",
    },
    "test_fraction": {
        "type": float,
        "default": 0.0,
        "metavar": "PART",
        "help": "folders without a test split: hold out so much of every class, such as 0.2",
    },
}


if __name__ == "__main__":
    sys.exit(main())
