"""Facts of the published data sets, to tell a real one from a look-alike.

The constants were computed from the real sets, whose pixels and labels agree with other readers'.
"""

from typing import NamedTuple

import numpy as np

from sparsity_jax.data.dataset import Dataset

_ROUNDING = 6e-6  # of constants given to five digits


class Facts(NamedTuple):
    """Facts about a data set.

    Args:
        images: training and test images.
        classes: how many.
        per_class: training and test images of every class; None where they differ.
        mean: of train pixels / 255, per channel.
        std: the same.
        gray: training and test files stored as gray; None where that is not known.
    """

    images: tuple[int, int]
    classes: int
    per_class: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    gray: tuple[int, int] | None = None


FACTS = {
    "cifar10": Facts(
        (50_000, 10_000),
        10,
        (5_000, 1_000),
        (0.49140, 0.48216, 0.44653),
        (0.24703, 0.24349, 0.26159),
    ),
    "cifar100": Facts(
        (50_000, 10_000),
        100,
        (500, 100),
        (0.50708, 0.48655, 0.44092),
        (0.26733, 0.25644, 0.27615),
    ),
    "tiny_imagenet": Facts(
        (100_000, 10_000),
        200,
        (500, 50),
        (0.48024, 0.44807, 0.39750),
        (0.27644, 0.26886, 0.28159),
        gray=(1_821, 168),
    ),
}


def facts_of(dataset: Dataset) -> Facts:
    """The facts of a set in memory.

    Example:
        >>> images, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1], np.int32)
        >>> facts_of(Dataset("dots", images, labels, images, labels, ("cat", "dog"))).per_class
        (1, 1)
    """
    labels = dataset.train_labels, dataset.test_labels
    counts = [np.bincount(each, minlength=dataset.classes) for each in labels]
    even = all(each.min() == each.max() for each in counts)
    mean, std = (tuple(round(float(v), 5) for v in c) for c in (dataset.mean, dataset.std))
    return Facts(
        images=(len(labels[0]), len(labels[1])),
        classes=dataset.classes,
        per_class=(int(counts[0][0]), int(counts[1][0])) if even else None,
        mean=mean,
        std=std,
    )


def differing(found: Facts, known: Facts) -> list[str]:
    """Names of the facts that are not those of the published set, up to rounding.

    Example:
        >>> differing(FACTS["cifar10"]._replace(classes=9), FACTS["cifar10"])
        ['classes']
    """
    return [
        name
        for name in Facts._fields
        if not _agree(getattr(found, name), getattr(known, name), exact=name not in ("mean", "std"))
    ]


def _agree(found: object, known: object, *, exact: bool) -> bool:
    if exact:
        return found == known
    one, other = np.atleast_1d(np.asarray(found, float)), np.atleast_1d(np.asarray(known, float))
    return one.shape == other.shape and bool((abs(one - other) <= _ROUNDING).all())
