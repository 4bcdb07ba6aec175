"""TinyImageNet from its official zip; the labelled validation set is the test set.

The archive's own test images have no labels. The paper reports on the validation set as well
(sections 2.1 and 4.3).
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sparsity_jax.data.files.archives import read_archive
from sparsity_jax.data.files.downloads import Archive
from sparsity_jax.data.sources.builders.archive_builder import ArchiveBuilder, Example
from sparsity_jax.data.sources.builders.synsets import class_words
from sparsity_jax.errors import UserError

_TOP = "tiny-imagenet-200"


class TinyImagenet(ArchiveBuilder):
    """TinyImageNet: 110,000 colour images of 64 x 64 pixels in 200 classes (Stanford CS231N)."""

    ARCHIVE = Archive(
        file="tiny-imagenet-200.zip",
        url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        md5="90528d7ca1a48142e341f4ef8d21d0de",
    )
    IMAGE_SHAPE = (64, 64, 3)

    def class_names(self, path: Path) -> tuple[str, ...]:
        """Words, such as goldfish, in the order of their WordNet identifiers."""
        lines = (line.split("\t") for line in _text(path, f"{_TOP}/words.txt").splitlines())
        words = {line[0]: line[1] for line in lines if len(line) > 1}
        return class_words(_identifiers(path), words)

    def examples(self, path: Path, split: str) -> Iterator[Example]:
        """See `ArchiveBuilder.examples`."""
        label_of = {name: label for label, name in enumerate(_identifiers(path))}
        class_of = _validation_classes(path) if split == "test" else {}
        folder = f"{_TOP}/{'val' if split == 'test' else 'train'}/"
        for file in read_archive(path, lambda name: name.startswith(folder) and _is_image(name)):
            parts = PurePosixPath(file.name).parts
            name = class_of.get(parts[-1]) if split == "test" else parts[2]
            if name not in label_of:
                raise UserError(f"{path}: image {file.name} has no known class")
            yield file.data, label_of[name]


def _identifiers(path: Path) -> list[str]:
    """WordNet's, such as n01443537, sorted: the order of the labels."""
    return sorted(set(_text(path, f"{_TOP}/wnids.txt").split()))


def _validation_classes(path: Path) -> dict[str, str]:
    """Image file to class: lines of file, class and a bounding box, separated by tabs."""
    lines = _text(path, f"{_TOP}/val/val_annotations.txt").splitlines()
    return {words[0]: words[1] for words in (line.split("\t") for line in lines) if len(words) > 1}


def _text(path: Path, name: str) -> str:
    for file in read_archive(path, lambda other: other == name):
        return file.data.decode(errors="replace")
    raise UserError(f"{path} lacks {name}: not the official archive")


def _is_image(name: str) -> bool:
    return name.lower().endswith((".jpeg", ".jpg"))
