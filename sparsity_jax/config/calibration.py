"""Candidates for what the paper leaves open, each with the reason for it.

The literal reading does not give the paper's numbers on 32-0.25x. Each candidate changes what the
text does not state, for a reason from the paper, its other tables, or the habits of its time; none
is tuned to a number. They are chosen on Table 6's 32-0.25x rows, CIFAR-10 and CIFAR-100 together,
at full length; 64-0.5x takes no part in choosing. `report.paper.calibration` compares them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

WIDTH = "32-0.25x"
DATASETS = ("cifar10", "cifar100")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One reading of what the paper leaves open.

    Attributes:
      name: of one word.
      reason: why the authors may have done it.
      settings: config fields that differ from the literal reading.
      diagnosis: it measures how much something is missing and can't be what the paper did.
    """

    name: str
    reason: str
    settings: Mapping[str, Any]
    diagnosis: bool = False


def _crop(pad: int) -> dict[str, Any]:
    return {"augment": "pad_crop", "pad": pad}


CANDIDATES = (
    Candidate("literal", "what the text says, pools after 1, 3, 5 as in VGG", {}),
    Candidate("crop2", "between flips and the usual crop: may fit both data sets", _crop(2)),
    Candidate("crop4", "the CIFAR recipe of its time; VGG-16's published errors", _crop(4)),
    Candidate(
        "stem2_crop4",
        "a 5x5 stem is usually strided",
        {**_crop(4), "stride_2": (1,), "pool_after": (3, 5)},
    ),
    Candidate(
        "stem2_crop2",
        "a strided stem with a smaller crop",
        {**_crop(2), "stride_2": (1,), "pool_after": (3, 5)},
    ),
    Candidate(
        "stem2_pools135_crop4",
        "the usual pools after a strided stem: a total stride of 16",
        {**_crop(4), "stride_2": (1,), "pool_after": (1, 3, 5)},
    ),
    Candidate(
        "max3", "AlexNet's pooling, 224 to 13 exactly; overlap regularises", {"pool": "max3"}
    ),
    Candidate(
        "max3_padded", "the same with a border, as in ResNet's stem", {"pool": "max3_padded"}
    ),
    Candidate(
        "pools1345_crop4",
        "the ImageNet head's 5x5 stride 4 pool tiles 13x13: a total stride of 16",
        {**_crop(4), "pool_after": (1, 3, 4, 5)},
    ),
    Candidate(
        "pools1357_crop4",
        "the same with the last pool after C7, as VGG ends a stage",
        {**_crop(4), "pool_after": (1, 3, 5, 7)},
    ),
    Candidate("crop1", "the smallest crop there is", _crop(1)),
    Candidate(
        "pools246", "a pool after each width's pair, as VGG places them", {"pool_after": (2, 4, 6)}
    ),
    Candidate("pools13", "two pools: better error at equal loss", {"pool_after": (1, 3)}),
    Candidate("pools24", "two later pools", {"pool_after": (2, 4)}),
    Candidate("avg2", "average instead of max pooling", {"pool": "avg2"}),
    Candidate(
        "max3_crop2", "overlapping pools and a small crop together", {**_crop(2), "pool": "max3"}
    ),
    Candidate(
        "norm4", "a batch divided among four devices is normalised in parts", {"norm_parts": 4}
    ),
    Candidate(
        "dropout",
        "VGG's heads drop half of the hidden units; Table 5's training losses lie above its "
        "validation losses, which crops of 224 from 256 do not do",
        {"dropout": 0.5},
    ),
    Candidate(
        "rate_1e-2",
        "Adam's published losses are more like those before our drop: a base rate ten times as "
        "high would end where the literal one begins",
        {"learning_rate": 1e-2},
        diagnosis=True,
    ),
    Candidate(
        "l2_2e-4",
        "a loss term of strength times the squared norm has twice the gradient",
        {"strength": 2e-4},
        diagnosis=True,
    ),
    Candidate("l2_3e-4", "how much regularisation is missing", {"strength": 3e-4}, diagnosis=True),
    Candidate(
        "l2_5e-4", "the strength of many recipes of its time", {"strength": 5e-4}, diagnosis=True
    ),
)
