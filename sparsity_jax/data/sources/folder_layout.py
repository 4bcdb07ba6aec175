"""Which split and class does a file's name stand for? `train/<class>/*`, `test/<class>/*`."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from sparsity_jax.errors import UserError

SPLITS = ("train", "test")
EXPECTED = "expected PNG or JPEG images as train/<class>/* and test/<class>/*"
_SUFFIXES = (".png", ".jpg", ".jpeg")


class Place(NamedTuple):
    """Where an image belongs; places sort by split, class and file name.

    Args:
        split: 'train' or 'test'.
        class_name: the folder below the split.
        file: the rest of the path, with '/' between its parts.
        top: a folder around train/ and test/, as archives often have; '' if none.
    """

    split: str
    class_name: str
    file: str
    top: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.top, *self[:3]) if part)


def place(name: str) -> Place | None:
    """Read a file's path inside a folder or archive.

    Args:
        name: relative path with '/' between its parts.

    Returns:
        Its place; None for what is no image of the set: other suffixes, hidden files, `__MACOSX`,
        paths that are absolute or climb with '..', and images outside a class folder.

    Example:
        >>> place("pets/train/cat/1.png")
        Place(split='train', class_name='cat', file='1.png', top='pets')
        >>> place("train/cat/notes.txt") is None
        True
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part != "."]
    if PurePosixPath(name).suffix.lower() not in _SUFFIXES:
        return None
    if any(part.startswith(".") or part in ("", "__MACOSX") for part in parts):
        return None  # an empty part: absolute, or an odd '//'
    top = ""
    if parts[0] not in SPLITS:
        top, parts = parts[0], parts[1:]
    if len(parts) < 3 or parts[0] not in SPLITS:
        return None
    return Place(parts[0], parts[1], "/".join(parts[2:]), top)


def class_names(places: Iterable[Place], source: str) -> tuple[str, ...]:
    """The classes of a set, sorted, after checking that they can be trained on and tested.

    Args:
        places: the images found.
        source: what error messages call the folder or archive.

    Raises:
        UserError: no images, two top folders, a split missing, classes that differ between the
            splits, or fewer than two classes.

    Example:
        >>> class_names([Place(s, c, "1.png") for s in SPLITS for c in ("dog", "cat")], "pets.zip")
        ('cat', 'dog')
    """
    found: dict[str, set[str]] = {split: set() for split in SPLITS}
    tops = set()
    for each in places:
        found[each.split].add(each.class_name)
        tops.add(each.top)
    if not tops:
        raise UserError(f"{source} holds no images; {EXPECTED}")
    if len(tops) > 1:
        first, second = sorted(tops)[:2]
        raise UserError(f"{source} holds two sets, in '{first}/' and '{second}/'; {EXPECTED}")
    for split in SPLITS:
        if not found[split]:
            raise UserError(f"{source} has no images in {split}/; {EXPECTED}")
    for here, there in (SPLITS, SPLITS[::-1]):
        if lacking := sorted(found[here] - found[there]):
            raise UserError(
                f"{source}: {there}/ lacks {_listed(lacking)}, which {here}/ has;"
                " both need the same class folders"
            )
    if len(found["train"]) < 2:
        raise UserError(f"{source} has one class, {_listed(found['train'])}; at least two needed")
    return tuple(sorted(found["train"]))


def _listed(names: Iterable[str]) -> str:
    """Three names at most, such as 'cat', 'dog', 'owl' and 7 more: a message stays one line."""
    names = sorted(names)
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
