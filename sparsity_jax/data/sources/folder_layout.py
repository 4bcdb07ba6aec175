"""Layout of a set of pictures: the split and class that each file's path stands for."""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from sparsity_jax.errors import UserError

SPLITS = ("train", "test")
EXPECTED = "expected images as train/<class>/* and test/<class>/*"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
HELD_OUT = "hold out a part of each class with --config.test_fraction=0.2"
_TEST_NAMES = ("test", "val", "valid", "validation")  # the first that is there is the test split
_WRAPPINGS = 2  # folders that may stand around train/ and test/

Parts = tuple[str, ...]


class Place(NamedTuple):
    """Place of an image in a data set; places sort by split, class and file name.

    Args:
        split: 'train' or 'test'.
        class_name: the folder below the split.
        file: the rest of the path, with '/' between its parts.
    """

    split: str
    class_name: str
    file: str


class Layout(NamedTuple):
    """Content of a folder or archive.

    Args:
        places: of every image of the set, by its name as it is stored.
        passed_over: how many files of each kind are none of them.
    """

    places: dict[str, Place]
    passed_over: Counter[str]


def arrange(names: Iterable[str], source: str, test_fraction: float = 0.0) -> Layout:
    """Read the layout from the names of all files.

    The splits are called train, and test, val, valid or validation, in any letter case, and may be
    wrapped in a folder or two. Names are compared as Unicode NFC, in which they are equal on every
    machine.

    Args:
        names: relative paths with '/' between their parts; those of folders end with '/'.
        source: what error messages call the folder or archive.
        test_fraction: above 0: hold out so much of every class, for there is no test split.

    Raises:
        UserError: no images, a split or a class missing, a name that appears twice, two sets.

    Example:
        >>> names = [f"pets/{s}/{c}/1.png" for s in ("Train", "val") for c in ("dog", "cat")]
        >>> arrange(names, "pets.zip").places["pets/Train/cat/1.png"]
        Place(split='train', class_name='cat', file='1.png')
        >>> arrange([*names, "pets/notes.txt"], "pets.zip").passed_over
        Counter({'.txt': 1})
    """
    names = list(names)
    paths = {name: parts_of(name) for name in names}
    passed = Counter(kind for name in paths if (kind := kind_of(name)) not in ("", "folder"))
    pictures = {name: parts for name, parts in paths.items() if not kind_of(name)}
    _check_once(names, pictures, source)
    top = _top(pictures.values(), source)
    if top is None and not test_fraction:
        raise UserError(_nothing_fits(pictures.values(), passed, source))
    if top is None or (test_fraction and _test_name(pictures.values(), top) is None):
        root = _class_root(pictures.values()) if top is None else _train_folder(pictures, top)
        if root is None:
            raise UserError(_nothing_fits(pictures.values(), passed, source))
        places = _unsplit(pictures, root, passed)
        _check_folders(paths, places, source)
        places = hold_out(places, test_fraction, source)
    else:
        if test_fraction:
            raise UserError(f"{source} has a test split: test_fraction={test_fraction} has no use")
        places = _split(pictures, top, passed, source)
        _check_folders(paths, places, source)
    class_names(places.values(), source)
    return Layout(places, passed)


def kind_of(name: str) -> str:
    """'' for an image by its name, else what it is: 'folder', 'hidden', '.txt', 'no suffix'."""
    if any(part.startswith(".") or part in ("", "__MACOSX") for part in parts_of(name)):
        return "hidden"  # an empty part: absolute, or an odd '//'
    if name.endswith("/"):
        return "folder"
    suffix = PurePosixPath(name).suffix.lower()
    return "" if suffix in SUFFIXES else suffix or "no suffix"


def parts_of(name: str) -> Parts:
    """The parts of a path in NFC, without '.'."""
    path = unicodedata.normalize("NFC", name.replace("\\", "/")).removesuffix("/")
    return tuple(part for part in path.split("/") if part != ".")


def class_names(places: Iterable[Place], source: str) -> tuple[str, ...]:
    """The classes of a set, sorted, after checking that they can be trained on and tested.

    Args:
        places: the images found.
        source: what error messages call the folder or archive.

    Raises:
        UserError: a split missing, classes that differ between the splits, or fewer than two.

    Example:
        >>> class_names([Place(s, c, "1.png") for s in SPLITS for c in ("dog", "cat")], "pets.zip")
        ('cat', 'dog')
    """
    found: dict[str, set[str]] = {split: set() for split in SPLITS}
    for each in places:
        found[each.split].add(each.class_name)
    for split in SPLITS:
        if not found[split]:
            way_out = f"; or {HELD_OUT}" if split == "test" else ""
            raise UserError(f"{source} has no images in {split}/; {EXPECTED}{way_out}")
    for here, there in (SPLITS, SPLITS[::-1]):
        if lacking := sorted(found[here] - found[there]):
            raise UserError(
                f"{source}: {there}/ lacks {listed(lacking)}, which {here}/ has;"
                " both need the same class folders"
            )
    if len(found["train"]) < 2:
        raise UserError(f"{source} has one class, {listed(found['train'])}; at least two needed")
    return tuple(sorted(found["train"]))


def listed(names: Iterable[str]) -> str:
    """Three names at most, such as 'cat', 'dog', 'owl' and 7 more: a message stays one line."""
    names = sorted(names)
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def counted(kinds: Mapping[str, int]) -> str:
    """Numbers by kind, most first.

    Example:
        >>> counted({".txt": 1, "hidden": 3})
        '3 hidden, 1 .txt'
    """
    ordered = sorted(kinds.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{number} {kind}" for kind, number in ordered)


def hold_out(places: Mapping[str, Place], fraction: float, source: str) -> dict[str, Place]:
    """Move a part of every class to 'test': the files whose names hash lowest, on any machine.

    Raises:
        UserError: a class of one image.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for name, place in places.items():
        members[place.class_name].append(name)
    split = {}
    for class_name, names in members.items():
        if len(names) < 2:
            raise UserError(f"{source}: class {class_name!r} has one image; two needed to hold out")
        names.sort(key=lambda name: hashlib.blake2b(repr(places[name][1:]).encode()).digest())
        count = min(max(1, round(fraction * len(names))), len(names) - 1)
        for index, name in enumerate(names):
            split[name] = places[name]._replace(split="test" if index < count else "train")
    return split


def _check_once(names: Collection[str], pictures: Mapping[str, Parts], source: str) -> None:
    """An archive may hold a name twice; two names may be one in NFC."""
    stored = Counter(name for name in names if name in pictures)
    written = Counter(pictures.values())
    twice = [n for n, parts in pictures.items() if stored[n] > 1 or written[parts] > 1]
    if twice:
        raise UserError(f"{source}: the name {min(twice)!r} appears twice; rename or remove one")


def _top(pictures: Collection[Parts], source: str) -> Parts | None:
    """The folders around the splits; None where there are no splits."""
    for wanted in (("train",), ("train", *_TEST_NAMES)):  # a class may be called 'test'
        for depth in range(_WRAPPINGS + 1):
            tops = {
                parts[:depth]
                for parts in pictures
                if len(parts) >= depth + 3 and parts[depth].casefold() in wanted
            }
            if len(tops) > 1:
                first, second = ("/".join(top) for top in sorted(tops)[:2])
                raise UserError(
                    f"{source} holds two sets, in '{first}/' and '{second}/'; {EXPECTED}"
                )
            if tops:
                return tops.pop()
    return None


def _test_name(pictures: Collection[Parts], top: Parts) -> str | None:
    depth = len(top)
    there = {p[depth].casefold() for p in pictures if p[:depth] == top and len(p) >= depth + 3}
    return next((name for name in _TEST_NAMES if name in there), None)


def _split(
    pictures: Mapping[str, Parts], top: Parts, passed: Counter[str], source: str
) -> dict[str, Place]:
    """The places of the images in two splits; counts those outside."""
    depth = len(top)
    split_of = {"train": "train", _test_name(pictures.values(), top) or "test": "test"}
    places, spellings = {}, defaultdict(set)
    for name, parts in pictures.items():
        folder = parts[depth] if parts[:depth] == top and len(parts) > depth + 1 else ""
        split = split_of.get(folder.casefold())
        if split is None:
            inside = folder.casefold() in _TEST_NAMES
            passed[f"in {folder}/" if inside else "outside train/ and test/"] += 1
        elif len(parts) < depth + 3:
            passed[f"loose in {folder}/"] += 1
        else:
            spellings[split].add(folder)
            places[name] = Place(split, parts[depth + 1], "/".join(parts[depth + 2 :]))
    for folders in spellings.values():
        if len(folders) > 1:
            raise UserError(f"{source} holds {listed(folders)}, which mean the same; keep one")
    return places


def _class_root(pictures: Collection[Parts]) -> Parts | None:
    """The folders around at least two class folders."""
    for depth in range(_WRAPPINGS + 1):
        classes = {parts[: depth + 1] for parts in pictures if len(parts) >= depth + 2}
        if len(classes) > 1:
            roots = {each[:depth] for each in classes}
            return roots.pop() if len(roots) == 1 else None
    return None


def _train_folder(pictures: Mapping[str, Parts], top: Parts) -> Parts:
    """The folder of the training images as it is spelt."""
    depth = len(top)
    spelt = {p[depth] for p in pictures.values() if p[:depth] == top and len(p) >= depth + 3}
    return (*top, next((each for each in sorted(spelt) if each.casefold() == "train"), "train"))


def _unsplit(pictures: Mapping[str, Parts], root: Parts, passed: Counter[str]) -> dict[str, Place]:
    depth, places = len(root), {}
    for name, parts in pictures.items():
        if parts[:depth] == root and len(parts) >= depth + 2:
            places[name] = Place("train", parts[depth], "/".join(parts[depth + 1 :]))
        else:
            passed["outside class folders"] += 1
    return places


def _check_folders(paths: Mapping[str, Parts], places: Mapping[str, Place], source: str) -> None:
    """A folder among the class folders that holds no image is a class that would be lost."""
    full = {paths[name][: -1 - place.file.count("/")] for name, place in places.items()}
    around = {each[:-1] for each in full}
    for name, parts in paths.items():
        folder = parts if name.endswith("/") else parts[:-1]
        for depth in range(len(folder)):
            inside = folder[:depth] in around and folder[: depth + 1] not in full
            if inside and folder[: depth + 1] not in around and kind_of(name) != "hidden":
                shown = "/".join(folder[: depth + 1])
                raise UserError(f"{source}: {shown}/ holds no image; remove it, or fill it")


def _nothing_fits(pictures: Collection[Parts], passed: Mapping[str, int], source: str) -> str:
    folders = {parts[0] for parts in pictures if len(parts) > 1}
    if not folders:
        loose = {"outside class folders": len(pictures)} if pictures else {}
        others = counted({**passed, **loose})
        return f"{source} holds no images in class folders ({others or 'empty'}); {EXPECTED}"
    found = ", ".join(f"'{each}/'" for each in sorted(folders)[:3])
    more = f" and {len(folders) - 3} more" if len(folders) > 3 else ""
    told = next((kind for kind in (".csv", ".tsv", ".parquet") if kind in passed), None)
    table = f"; or name the table, as folder:LIST{told}" if told else ""
    return (
        f"{source} holds {found}{more}, but no train/ and test/; {EXPECTED}; or {HELD_OUT}{table}"
    )
