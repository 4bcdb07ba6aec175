"""The runs that a table of the paper stands for: their settings, data, lengths and seeds.

A config file names its settings for each task; here are the tasks' data and schedules (Sec. 2.1, 4
and 5; supplement Sec. 1), which the tables share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from sparsity_jax.config.base import default_config
from sparsity_jax.config.paper_schedule import paper_schedule
from sparsity_jax.errors import UserError

Settings = Mapping[str, Any]  # overrides of `default_config`, as an entry of config.sweep

IN_MINIATURE = "renderings"
_STRONGEST_ADAPTED = 1e-3
_TASKS: Mapping[str, Settings] = {
    "cifar10": {"data": "cifar10"},
    "cifar100": {"data": "cifar100"},
    "tiny_imagenet": {"data": "tiny_imagenet"},
    "imagenet2012": {"data": "imagenet2012", "learning_rate": 1e-4},
    "objectnet3d": {"data": "objectnet3d"},
    IN_MINIATURE: {
        "data": "renderings",
        "renderings.size": 16,
        "renderings.train_views": 5_000,
        "renderings.test_views": 1_000,
        "width": "0.25",
        "epochs": 320.0,
        "drops": ((280.0, 0.1),),
        "evaluations": 20,
        "latency_seconds": 0.0,
    },
}
_SEEDS = {"cifar10": 3, "cifar100": 3, "tiny_imagenet": 2}  # averaged in the paper; others: 1


def paper_sweep(
    name: str,
    arg: str | None,
    *,
    tasks: Mapping[str, Sequence[Settings]],
    network: str = "BasicNet",
    seeds: int | None = None,
) -> ConfigDict:
    """The config of a table: its settings on the task that `arg` names, or on all of the paper's.

    Args:
      name: of the table's config file, without its ending.
      arg: what follows the colon in --config=configs/NAME.py:ARG; None for all tasks but
        `renderings`, the table in miniature (unless it has no other).
      tasks: task -> the settings that it is trained with.
      network: of every run.
      seeds: how many of each run; by default as many as the paper averages on each task.

    Returns:
      A locked config. With one task its data are in the base, where --config.data reaches them; of
      several tasks, those with more seeds than the fewest carry their own in the sweep.

    Raises:
      UserError: an unknown `arg`; the known ones are named.

    Example:
      >>> tasks = {"cifar10": strengths("adam", "l2", 1e-3, 1e-4)}
      >>> config = paper_sweep("demo", "cifar10", tasks=tasks)
      >>> config.data, len(config.sweep), config.seeds
      ('cifar10', 2, 3)
    """
    if arg is not None and arg not in tasks:
        raise UserError(f"configs/{name}.py:{arg} is not known; valid are {', '.join(tasks)}")
    papers = [task for task in tasks if task != IN_MINIATURE]
    chosen = [arg] if arg is not None else papers or [IN_MINIATURE]
    config = default_config()
    config.name = name if arg is None else f"{name}_{arg}"
    config.network = network
    repeats = [seeds or _SEEDS.get(task, 1) for task in chosen]
    config.seeds = min(repeats)
    shared = [_of_task(task, network) for task in chosen]
    if len(chosen) == 1:
        config.update_from_flattened_dict(dict(shared[0]))
        shared = [{}]
    own = [{"seeds": count} if count > config.seeds else {} for count in repeats]
    config.sweep = tuple(
        {**common, **settings, **repeated}
        for task, common, repeated in zip(chosen, shared, own, strict=True)
        for settings in tasks[task]
    )
    return config


def strengths(
    optimizer: str, regularizer: str, *strengths: float, **others: Any
) -> tuple[Settings, ...]:
    """Settings that differ in their strength; one without a regularizer where none is given.

    Example:
      >>> strengths("sgd", "none"), len(strengths("adam", "wd", 1e-3, 1e-4, batch_size=80))
      (({'optimizer': 'sgd', 'regularizer': 'none'},), 2)
    """
    common = {"optimizer": optimizer, "regularizer": regularizer, **others}
    return tuple({**common, "strength": each} for each in strengths) or (common,)


def product(
    settings: Sequence[Settings], field: str, values: Sequence[Any]
) -> tuple[Settings, ...]:
    """Every one of the settings with every value of one more field.

    Example:
      >>> product(strengths("adam", "none"), "batch_size", (20, 40))[1]["batch_size"]
      40
    """
    return tuple({**each, field: value} for value in values for each in settings)


def rescaled_for_short_runs(settings: Sequence[Settings]) -> tuple[Settings, ...]:
    """The settings for runs a tenth as long as the paper's: strengths to 1e-3 times ten.

    What a regularizer does to a filter that sees no gradient grows with strength times steps; so
    this keeps the product. Larger strengths would stop the training and stay.
    """
    return tuple(
        {**each, "strength": float(f"{10 * each['strength']:.6g}")}
        if each.get("strength", 1.0) <= _STRONGEST_ADAPTED
        else each
        for each in settings
    )


def _of_task(task: str, network: str) -> Settings:
    """A task's data and schedule for a network; VGG's five pools need 32 pixels."""
    common = dict(_TASKS[task])
    if schedule := paper_schedule(task, network):
        usual = default_config()
        asked = {name: getattr(schedule, name) for name in ("epochs", "drops", "reference_batch")}
        common |= {name: value for name, value in asked.items() if value != usual[name]}
    if task == IN_MINIATURE and network != "BasicNet":
        common |= {"renderings.size": 32}
    return common
