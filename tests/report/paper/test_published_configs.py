"""Do the runs that a table's config stands for meet the published rows of that table?"""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.config.sweep import expand
from sparsity_jax.data.sources.tfds_arrays import PUBLISHED_NAMES
from sparsity_jax.errors import UserError
from sparsity_jax.report.paper.published import Published, match_key, published
from sparsity_jax.storage.results import RunResult

CONFIGS = Path(__file__).parents[3] / "configs"
# Published row -> why no run of ours can be it.
NOT_RUNS = {
    ("4", "TinyImageNet", "sgd", ""): "the text does not say how it was regularized",
    ("7", "CIFAR10", "", "baseline=Li et al. [13]"): "quoted from Li et al., trained by them",
    ("text-Fig3", "CIFAR100", "adam", "fig3 universality==0 fraction of C6"): "one layer's share "
    "of filters of universality 0, of a run that Table 1 has",
}
CONFIG_OF = {"text-Sec3": "figure_s4", "text-Fig3": "figure3"}  # others: table1 ... table_s4
DATASETS = {"imagenet2012": "ImageNet", **PUBLISHED_NAMES}


def _name(table: str) -> str:
    return CONFIG_OF.get(table, "table_" + table.lower() if table[0] == "S" else f"table{table}")


def _identity(item: Published) -> tuple[str, str, str, str]:
    return item.table, item.row.dataset, item.row.optimizer, item.row.variant


def _result(run: RunConfig) -> RunResult:
    return RunResult(
        run.name, DATASETS[run.data.partition(":")[0]], run.network, run.optimizer,
        run.regularizer, run.strength, run.batch_size, run.variant,
    )  # fmt: skip


def _config(table: str, arg: str | None) -> ConfigDict:
    return runpy.run_path(str(CONFIGS / f"{_name(table)}.py"))["get_config"](arg)


def _runs(table: str, arg: str | None) -> list[RunConfig]:
    return [run for run in expand(_config(table, arg)) if run.data != "renderings"]


def _args(table: str) -> list[str | None]:
    with pytest.raises(UserError) as refused:
        _config(table, "nonsense")
    return [None, *str(refused.value).partition("valid are ")[2].split(", ")]


MET = [item for item in published() if _identity(item) not in NOT_RUNS]


@pytest.mark.parametrize("table", sorted({item.table for item in MET}))
def test_every_published_row_is_met_by_a_run_of_its_config(table: str) -> None:
    """By the whole config, and by exactly one of its parts, which are the tasks."""
    parts = {arg: {match_key(_result(run)) for run in _runs(table, arg)} for arg in _args(table)}
    for item in (item for item in MET if item.table == table):
        assert item.key in parts[None], item.printed
        of_its_task = [arg for arg, keys in parts.items() if arg and item.key in keys]
        assert len(of_its_task) == 1, item.printed


def test_rows_that_are_not_runs_are_met_by_none() -> None:
    left = [item for item in published() if item not in MET]
    assert {_identity(item) for item in left} == set(NOT_RUNS)
    for item in left:
        assert item.key not in {match_key(_result(run)) for run in _runs(item.table, None)}


def test_on_imagenet_another_learning_rate_is_another_run() -> None:
    item = next(item for item in MET if item.row.dataset == "ImageNet")
    assert match_key(item.row) == item.key
    for variant in ("", "lr=0.01"):
        assert match_key(dataclasses.replace(item.row, variant=variant)) != item.key
