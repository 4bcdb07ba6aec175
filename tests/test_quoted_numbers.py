"""Numbers that README and notebooks quote, against the stored results that they come from."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from sparsity_jax.report.aggregate import run_labels
from sparsity_jax.report.paper.calibration import recorded
from sparsity_jax.report.paper.published import published
from sparsity_jax.report.paper.reproduced import reproduced
from sparsity_jax.sparsity.low_gradient import PHASES
from sparsity_jax.storage.results import read_results

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "notebooks" / "results"
RUNS = read_results(RESULTS / "quickstart.csv")
CLAIMS = json.loads((RESULTS / "quickstart_claims.json").read_text())
COLUMNS = {
    "error %": "test_error",
    "by gamma %": "sparsity_gamma",
    "by act %": "sparsity_act",
    "filters %": "features_pruned_pct",
    "params %": "params_pruned_pct",
    "removed %": "pruned_test_error",
}  # errors after zeroing are not in results.csv, and times are of a quieter machine


def agrees(quoted: str, stored: float) -> bool:
    """Whether a number is another one rounded to as many decimals."""
    decimals = len(quoted.partition(".")[2])
    return abs(float(quoted) - stored) <= 0.5 * 10**-decimals + 1e-9


def test_the_quick_starts_table_is_that_of_the_stored_runs():
    head = next(line for line in README.splitlines() if line.startswith("run   "))
    titles = re.split(r"  +", head.strip())
    labels = run_labels(RUNS)
    for row in RUNS:
        line = next(line for line in README.splitlines() if line.startswith(labels[row.run]))
        cells = dict(zip(titles, re.split(r"  +", line.strip()), strict=True))
        for title, column in COLUMNS.items():
            assert agrees(cells[title], getattr(row, column)), (row.run, title)
    assert len(RUNS) == 4


def test_the_claims_are_counted_right():
    outcomes = Counter(claim["outcome"] for claim in CLAIMS["claims"])
    pattern = r"paper's (\d+) claims .*?: (\d+) pass .*?, (\d+) fail and (\d+) "
    told = re.search(pattern, README, re.DOTALL)
    assert told
    numbers = [len(CLAIMS["claims"]), *(outcomes[k] for k in ("pass", "fail", "not testable"))]
    assert [int(each) for each in told.groups()] == numbers
    configs = (ROOT / "configs" / "README.md").read_text()
    _, passed, failed, untested = numbers
    assert f"{passed} pass, {failed} fail, {untested} cannot be tested" in configs


def test_the_claims_of_table_1_in_miniature_are_counted_right():
    """Shortened: what they would do stands in the evidence."""
    claims = json.loads((RESULTS / "table1_renderings_claims.json").read_text())["claims"]
    told = [re.search(r"would (pass|fail)", claim["evidence"]) for claim in claims]
    counted = Counter(found[1] if found else "not testable" for found in told)
    assert {claim["outcome"] for claim in claims} == {"shortened", "not testable"}
    passed, failed, untested = (counted[each] for each in ("pass", "fail", "not testable"))
    assert f"would pass {passed}, fail {failed} and cannot test {untested}" in README
    configs = (ROOT / "configs" / "README.md").read_text()
    words = f"{passed} would pass, {failed} would fail, {untested} cannot be tested"
    assert words in configs


def test_the_best_of_table_1_in_miniature_are_those_quoted():
    rows = read_results(RESULTS / "table1_renderings.csv")
    assert len(rows) == 42
    configs = (ROOT / "configs" / "README.md").read_text()
    for optimizer, verb in (("adam", "Adam + L2 reaches"), ("sgd", "SGD + L2")):
        mine = [r for r in rows if (r.optimizer, r.regularizer) == (optimizer, "l2")]
        best = max(mine, key=lambda row: row.sparsity_gamma)
        error = f"{best.test_error:.1f} %"
        assert f"{verb} {best.sparsity_gamma:.1f} % at {error}" in configs


def test_the_phase_diagram_is_told_as_it_was_run():
    rows = read_results(RESULTS / "phase_learning_rate.csv")
    assert len(rows) == 60
    assert {row.steps for row in rows} == {5_000}
    sparsest = {
        name: max(r.sparsity_gamma for r in rows if r.optimizer == name and r.test_error <= 1)
        for name in ("adam", "sgd")
    }
    told = re.search(r"more than 1 % error, L2 .*? (\d+) % .*? Adam, and (\d+) % with SGD", README)
    assert told
    assert all(map(agrees, told.groups(), sparsest.values()))
    # What the config says to expect: sparsity, error, strength, learning rate.
    said = (ROOT / "configs" / "phase_diagram.py").read_text()
    for optimizer, strength, rate, words in (
        ("adam", 1e-2, "lr=0.01", "{} % at {} % error"),
        ("sgd", 2e-3, "lr=0.3", "{} % at {} %;"),
        ("sgd", 1e-2, "width=0.25+bg=clean", "at least {1} % ({0} %,"),
    ):
        (row,) = (
            r
            for r in rows
            if (r.optimizer, r.strength) == (optimizer, strength)
            and f"+{rate}+" in f"+{r.variant}+"
        )
        assert words.format(round(row.sparsity_gamma), f"{row.test_error:.1f}") in said


@pytest.mark.parametrize("dataset", ["CIFAR10", "CIFAR100"])
def test_published_and_own_full_length_numbers(dataset):
    quoted = _agreement_table()
    (row,) = (
        item.row
        for item in published()
        if item.table == "6" and item.row.dataset == dataset and "32-0.25x" in item.row.variant
    )
    names = ("train_loss", "test_loss", "test_error", "sparsity_gamma")
    _compare(quoted[dataset, "published"][1:], [getattr(row, name) for name in names])
    for (name, whose), (length, *numbers) in quoted.items():
        if name == dataset and whose != "published":
            steps = int(length.split()[0].replace(",", ""))
            (own,) = (
                item
                for item in recorded()
                if (item.candidate, item.dataset, item.length) == (whose, dataset, steps)
            )
            _compare(numbers, [own.numbers[each] for each in names])


def _agreement_table() -> dict[tuple[str, str], list[str]]:
    """(data set, 'published' or our candidate) -> length and numbers, of README's first table."""
    lines = re.findall(r"^\| (CIFAR-\d+): (published|ours, .*?) \|(.*)\|$", README, re.M)
    assert len(lines) >= 4
    return {
        (name.replace("-", ""), _candidate(whose)): [cell.strip() for cell in rest.split("|")]
        for name, whose, rest in lines
    }


def _candidate(whose: str) -> str:
    named = re.search("`(.*)`", whose)
    return named[1] if named else whose.replace("ours, the text read literally", "literal")


def _compare(quoted: list[str], stored: list[float]) -> None:
    for cell, value in zip(quoted, stored, strict=True):
        assert agrees(cell.removesuffix(" %"), value), (cell, value)


def test_the_tables_notebook_counts_what_there_is():
    printed = _printed("paper_tables")
    rows, runs = len(published()), len(reproduced())
    assert f"{rows} published rows, {runs} full-length runs of ours" in printed
    assert f"the {rows} rows of the paper's tables" in _text("paper_tables")


def test_the_quick_starts_notebook_tells_the_lengths_of_the_stored_runs():
    lengths = {row.steps for row in RUNS}
    assert len(lengths) == 1
    assert f"four runs of {lengths.pop():,} steps" in _text("quickstart")


def test_the_dynamics_notebook_tells_the_simulations_gradients():
    (steps, first), (_, later) = PHASES
    said = f"a standard deviation of {first:g} for {steps} steps and of {later:.5f} from then on"
    assert said in _text("selectivity_and_dynamics")


def _cells(name: str) -> list[dict]:
    return json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]


def _text(name: str) -> str:
    return "\n".join("".join(c["source"]) for c in _cells(name) if c["cell_type"] == "markdown")


def _printed(name: str) -> str:
    outputs = [output for cell in _cells(name) for output in cell.get("outputs", ())]
    return "\n".join("".join(output.get("text", ())) for output in outputs)
