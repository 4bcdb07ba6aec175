"""The paper's schedules: how long a network trains on a data set, and when its rate drops."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class PaperSchedule:
    """Length of the paper's training, counted as it counts (Sec. 2.1 and 5.2; supplement, Sec. 4).

    Attributes:
      train_size: training images.
      reference_batch: the batch size at which epochs are counted.
      epochs: epochs in all.
      drops: (epoch, multiplier of the base learning rate from then on).
    """

    train_size: int
    reference_batch: int = 40
    epochs: float = 325.0
    drops: tuple[tuple[float, float], ...] = ((250.0, 0.1),)

    @property
    def steps(self) -> int:
        """Training steps in all, at every batch size."""
        return round(self.epochs * (self.train_size // self.reference_batch))


_SCHEDULES: Mapping[str, PaperSchedule] = {
    "cifar10": PaperSchedule(50_000),
    "cifar100": PaperSchedule(50_000),
    "tiny_imagenet": PaperSchedule(100_000, 40, 400.0, ((250.0, 0.1), (325.0, 0.01))),
    "objectnet3d": PaperSchedule(30_000),  # images as this project renders them
}
_IMAGENET: Mapping[str, PaperSchedule] = {  # Sec. 4 and 5.2: by the batch size that they name
    "BasicNet": PaperSchedule(1_281_167, 64, 40.0, ((15.0, 0.1), (30.0, 0.01))),
    "VGG-11": PaperSchedule(1_281_167, 60, 60.0, ((30.0, 0.1), (50.0, 0.01))),
    "VGG-16": PaperSchedule(1_281_167, 40, 50.0, ((20.0, 0.1), (40.0, 0.01))),
}


def paper_schedule(data: str, network: str) -> PaperSchedule | None:
    """The paper's schedule of a network on a data set, as `config.data` names it.

    Returns:
      None for what the paper does not train: other data, and other networks on ImageNet.

    Example:
      >>> paper_schedule("tiny_imagenet", "BasicNet").steps
      1000000
      >>> paper_schedule("imagenet2012", "VGG-11").steps
      1281120
      >>> paper_schedule("renderings", "BasicNet") is None
      True
    """
    name = data.partition(":")[0]
    return _IMAGENET.get(network) if name == "imagenet2012" else _SCHEDULES.get(name)
