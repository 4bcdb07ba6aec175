"""Tables of images: CSV, TSV or parquet with a path (or the bytes) and a label in each row.

What Hugging Face's image folders and data files, Kaggle's and most laboratories' lists look like.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sparsity_jax.data.files.archives import File
from sparsity_jax.data.sources.folder_layout import (
    HELD_OUT,
    Layout,
    Place,
    class_names,
    hold_out,
    listed,
)
from sparsity_jax.errors import UserError

SUFFIXES = (".csv", ".tsv", ".parquet")
_IMAGE = ("image", "path", "image_path", "file_name", "filename", "file", "img")
_LABEL = ("label", "class", "class_name", "labels", "target", "category", "fine_label")
_SPLIT = ("split", "set", "subset")
_TEST = ("test", "val", "valid", "validation")  # the first that is there is the test split
_OF_A_SPLIT = re.compile(r"(train|test|val|valid|validation)([-_.].*)?", re.IGNORECASE)

Image = str | bytes  # a path, or what the file would hold


class Row(NamedTuple):
    """A row: where it stands, its image, its class, and its split as written ('' if unsaid)."""

    where: str
    image: Image
    label: str
    split: str


class Table(NamedTuple):
    """A set of pictures told by tables.

    Args:
        layout: the place of each image by its name.
        stored: the bytes of those that stand in the table itself.
        files: the tables.
    """

    layout: Layout
    stored: dict[str, bytes]
    files: tuple[Path, ...]


def tables_of(path: Path) -> tuple[Path, ...]:
    """Find the tables that tell a set: the file itself, or those of a folder's splits.

    A folder's tables are named after their splits, such as train.csv and
    data/test-00000-of-00001.parquet. A folder with train/ has its classes in folders.

    Args:
        path: a table, or a folder that may hold some.
    """
    if path.is_file():
        return (path,) if path.suffix.lower() in SUFFIXES else ()
    if not path.is_dir() or any(each.name.casefold() == "train" for each in path.iterdir()):
        return ()
    found = [*path.iterdir(), *(path / "data").glob("*")]
    return tuple(
        sorted(
            each
            for each in found
            if each.suffix.lower() in SUFFIXES and _OF_A_SPLIT.fullmatch(each.stem)
        )
    )


def read_tables(files: Sequence[Path], root: Path, test_fraction: float = 0.0) -> Table:
    """Read tables into a layout; images are not read.

    Args:
        files: CSV (comma, semicolon or tab), TSV or parquet. Columns are found by name, whatever
            their case: one of image, path, file_name ...; of label, class, category ...; and,
            where a table is not named after its split, of split, set, subset.
        root: the folder that paths start from.
        test_fraction: above 0: hold out so much of every class, for the tables tell no split.

    Raises:
        UserError: a column missing, an empty cell, an image named twice, no test split.
    """
    rows: list[Row] = []
    for file in files:
        named = _OF_A_SPLIT.fullmatch(file.stem)
        split = named.group(1) if named and len(files) > 1 else ""
        rows += _rows(file, split)
    source = str(files[0] if len(files) == 1 else root)
    if not rows:
        raise UserError(f"{source} holds no rows")
    places, stored, passed = _placed(rows, root, source, told=not test_fraction)
    if test_fraction:
        if any(row.split for row in rows):
            raise UserError(f"{source} tells splits: test_fraction={test_fraction} has no use")
        places = hold_out(places, test_fraction, source)
    class_names(places.values(), source)
    return Table(Layout(places, passed), stored, tuple(files))


def stored_files(table: Table) -> Iterator[File]:
    """Yield the images that stand in the tables themselves."""
    done = 0
    for name, data in table.stored.items():
        done += len(data)
        yield File(name, data, done)


def _placed(
    rows: Sequence[Row], root: Path, source: str, *, told: bool
) -> tuple[dict[str, Place], dict[str, bytes], Counter[str]]:
    splits = {row.split.casefold() for row in rows}
    test = next((name for name in _TEST if name in splits), None)
    if told and (test is None or "train" not in splits):
        found = f"splits {listed(splits)}" if splits != {""} else "no splits"
        raise UserError(f"{source} tells {found}; train and test expected; or {HELD_OUT}")
    label_of = _padded({row.label for row in rows})
    places: dict[str, Place] = {}
    stored: dict[str, bytes] = {}
    passed: Counter[str] = Counter()
    for number, row in enumerate(rows):
        split = {"train": "train", test: "test"}.get(row.split.casefold()) if told else "train"
        if split is None:
            passed[f"in split {row.split!r}"] += 1
            continue
        # Images without a name are in the order of their rows.
        name = row.image if isinstance(row.image, str) else f"row {number:09d}"
        if name in places:
            raise UserError(f"{row.where}: {name} appears twice")
        if isinstance(row.image, bytes):
            stored[name] = row.image
        elif not (root / name).is_file():
            raise UserError(f"{row.where}: there is no file {root / name}")
        places[name] = Place(split, label_of[row.label], name)
    return places, stored, passed


def _padded(labels: set[str]) -> dict[str, str]:
    """Labels as class names; numbers are padded, so that their order is that of the names."""
    if not all(label.isascii() and label.isdigit() for label in labels):
        return {label: label for label in labels}
    width = max(map(len, labels))
    return {label: label.zfill(width) for label in labels}


def _rows(file: Path, split: str) -> Iterator[Row]:
    read = _read_parquet if file.suffix.lower() == ".parquet" else _read_csv
    try:
        for where, cells in read(file):
            yield _row(f"{file}, {where}", cells, split)
    except UserError:
        raise
    except Exception as error:  # csv and pyarrow raise a dozen types on damaged bytes
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise UserError(f"{file} is damaged or no table ({reason})") from None


def _row(where: str, cells: Mapping[str, Any], split: str) -> Row:
    image, label = (_cell(where, cells, names) for names in (_IMAGE, _LABEL))
    if isinstance(image, dict):  # Hugging Face's {'bytes': ..., 'path': ...}
        image = image.get("bytes") or image.get("path")
    if not isinstance(image, str | bytes):
        raise UserError(f"{where}: the image is neither a path nor bytes")
    if not split and set(_SPLIT) & set(cells):
        split = str(_cell(where, cells, _SPLIT))
    return Row(where, image, str(label), split)


def _cell(where: str, cells: Mapping[str, Any], names: Sequence[str]) -> Any:
    found = [name for name in names if name in cells]
    if not found:
        raise UserError(
            f"{where}: no column {', '.join(names[:4])} among {', '.join(map(repr, cells))}"
        )
    value = cells[found[0]]
    if value is None or value in ("", b""):
        raise UserError(f"{where}: {found[0]} is empty")
    return value


def _read_csv(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with file.open(newline="", encoding="utf-8-sig") as opened:
        header = opened.readline()
        opened.seek(0)
        delimiter = max(",;\t", key=header.count)
        reader = csv.reader(opened, delimiter=delimiter, strict=True)
        names = [name.strip().casefold() for name in next(reader, [])]
        for cells in reader:
            if cells:
                if len(cells) != len(names):
                    raise UserError(
                        f"{file}, line {reader.line_num}: {len(cells)} cells under {len(names)}"
                        " columns"
                    )
                row = dict(zip(names, (cell.strip() for cell in cells), strict=True))
                yield f"line {reader.line_num}", row


def _read_parquet(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    from pyarrow import parquet  # comes with tensorflow-datasets; slow to import

    with parquet.ParquetFile(file) as opened:
        names = {
            name: _label_names(opened.schema_arrow, name) for name in opened.schema_arrow.names
        }
        count = 0
        for batch in opened.iter_batches(batch_size=256):
            for cells in batch.to_pylist():
                count += 1
                known = {
                    name: names[name][value] if names[name] and isinstance(value, int) else value
                    for name, value in cells.items()
                }
                yield f"row {count}", {name.casefold(): value for name, value in known.items()}


def _label_names(schema: Any, column: str) -> list[str]:
    """Names of a column's integers, where Hugging Face wrote them into the schema; [] if none."""
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    return about.get("info", {}).get("features", {}).get(column, {}).get("names") or []
