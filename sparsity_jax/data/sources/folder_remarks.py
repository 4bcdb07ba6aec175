"""Remarks on a folder or archive of pictures: what was passed over, changed, or is there twice."""

import logging
from collections import Counter
from collections.abc import Mapping

from sparsity_jax.data.files.as_seen import Seen
from sparsity_jax.data.sources.folder_layout import Place
from sparsity_jax.data.sources.folder_layout import counted as counted_by_kind

_log = logging.getLogger(__name__)


def say_passed_over(source: str, kinds: Counter[str], unreadable: list[str]) -> None:
    """Log how many files of each kind are none of the set."""
    total = sum(kinds.values()) + len(unreadable)
    if total:
        kinds = kinds + Counter({"unreadable": len(unreadable)})
        such = f", such as {unreadable[0]}" if unreadable else ""
        files = "file" if total == 1 else "files"
        counted = counted_by_kind(kinds)
        _log.warning("%s: %d %s passed over: %s%s", source, total, files, counted, such)


def say_changed(source: str, seen: Mapping[str, Seen], side: int) -> None:
    """Log how many images are not as they were stored.

    Args:
        source: the folder or archive.
        seen: its images by name.
        side: pixels that they were resized to; 0 if they were not.
    """
    turned = sum(each.turned for each in seen.values())
    transparent = sum(each.transparent for each in seen.values())
    resized = sum(each.size != f"{side}x{side}" for each in seen.values()) if side else 0
    for count, what in (
        (turned, "turned upright, as their EXIF says"),
        (transparent, "not opaque: laid over white"),
        (resized, f"resized to {side}x{side}, antialiased, whatever their shape"),
    ):
        if count:
            _log.warning("%s: %d of %d images %s", source, count, len(seen), what)


def say_shared(source: str, seen: Mapping[str, Seen], placed: Mapping[str, Place]) -> None:
    """Log how many files are in both splits."""
    train = {each.digest: name for name, each in seen.items() if placed[name].split == "train"}
    tested = [name for name in seen if placed[name].split == "test"]
    if shared := [name for name in tested if seen[name].digest in train]:
        such = f"{shared[0]} is {train[seen[shared[0]].digest]}"
        text = "%s: %d of %d test images are training images too: %s"
        _log.warning(text, source, len(shared), len(tested), such)
