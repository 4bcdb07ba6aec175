"""Configs beside the published tables: every row has its run, every run its row."""

from __future__ import annotations

import dataclasses
import runpy
from collections import Counter
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
# Beginning of a config's run (its table, optimizer and variant) -> why no published row is it.
NOT_ROWS = {
    ("table10", "", ""): "no number of Table 10 is in the published text available to us",
    ("table4", "sgd", ""): "printed without its regularizer, so not matched",
    ("table7", "sgd", "baseline=l1"): "the paper quotes Li et al.; ours is trained here",
    (
        "table9",
        "sgd",
        "gamma_l1=1e-05+baseline=slimming",
    ): "the baseline of Table 9 is not in the text",
}
SEEDS = {"cifar10": 3, "cifar100": 3, "tiny_imagenet": 2, "imagenet2012": 1, "objectnet3d": 1}
OF_THE_PAPER = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem[:3] in ("tab", "fig"))
FIGURE_5 = {("3", 40), ("3", 160), ("4", 40), ("4", 120)}  # table, batch size
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


def _of_config(name: str, arg: str | None = None) -> list[RunConfig]:
    config = runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"](arg)
    return [run for run in expand(config) if run.data != "renderings"]


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_every_run_of_a_config_is_published_or_says_why_not(name: str) -> None:
    """Of figures too: what they draw are runs of the tables."""
    known = {item.key for item in published()}
    reasons = {key: set() for key in NOT_ROWS if key[0] == name}
    for run in _of_config(name):
        met = match_key(_result(run)) in known
        why = [
            key
            for key in reasons
            if run.optimizer.startswith(key[1]) and run.variant.startswith(key[2])
        ]
        assert met or why, run.name
        for key in why:
            reasons[key].add(met)
    assert all(found == {False} for found in reasons.values()), reasons


def test_figure_5_draws_the_rows_of_tables_3_and_4() -> None:
    ours = {match_key(_result(run)) for run in _of_config("figure5")}
    rows = [
        item
        for item in MET
        if (item.table, item.row.batch_size) in FIGURE_5
        and (item.row.optimizer, item.row.strength) == ("adam", 1e-4)
    ]
    assert {item.key for item in rows} == ours
    assert len(ours) == 6
    assert {run.variant for run in _of_config("figure5")} == {""}


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_each_task_is_trained_as_often_as_the_paper_averages_it(name: str) -> None:
    """In the config of all tasks as in that of one."""
    runs = Counter((run.data, dataclasses.replace(run, seed=0)) for run in _of_config(name))
    for (data, _), count in runs.items():
        assert count == SEEDS[data.partition(":")[0]]


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
