"""Content of the page's sections: sentences and tables, which templates turn into HTML."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparsity_jax.report import tables
from sparsity_jax.report.aggregate import Spread, groups, run_labels, shared_text
from sparsity_jax.report.figures.activity import ratios, watched_runs
from sparsity_jax.report.figures.filters import alive_runs
from sparsity_jax.report.figures.registry import Rendered
from sparsity_jax.report.loading import Records
from sparsity_jax.report.paper.length import banner
from sparsity_jax.report.tables import Cell, Column, Table
from sparsity_jax.sparsity.balance import balance_before_death, selectivity_correlation
from sparsity_jax.sparsity.dynamics import fates
from sparsity_jax.storage.measurements import Measurements
from sparsity_jax.storage.pruned import PrunedRecord

ERROR_BAND = 1.5  # points of test error within which runs perform alike
NO_BREAK = "\N{NO-BREAK SPACE}"
PRUNING = (
    Column("run", words=True),
    Column("filters", help="number of filters, before and after pruning"),
    Column("conv weights", help="number of convolution weights, before and after pruning"),
    Column("MACs", help="multiply-adds for one image, before and after pruning"),
    Column("error zeroed %", help="test error with the inactive filters set to zero"),
    Column(
        "error zeroed by act %",
        help="test error with the filters inactive by activation set to zero",
    ),
    Column("error removed %", help="test error with the inactive filters taken out"),
)


def lede(records: Records) -> str:
    """Summary of what was run and of the main finding, in a few sentences."""
    rows = records.rows
    if not rows:
        return "No run has finished yet."
    asked = len(records.config.runs) if records.config else 0
    of_all = f" of {asked}" if asked > len(rows) else ""
    runs = "run" if len(rows) == 1 and not of_all else "runs"
    ended = [row.status for row in rows]
    bad = [f"{ended.count(s)} {s}" for s in ("diverged", "failed") if s in ended]
    said = f"{len(rows)}{of_all} {runs} of {shared_text(rows)}"
    return " ".join(filter(None, [said, f"{', '.join(bad)}." if bad else "", _finding(records)]))


def badges(records: Records) -> list[str]:
    """Badges of length and seeds of the runs, a few words each."""
    steps = sorted({row.steps for row in records.rows if row.status == "finished"})
    if not steps:
        return []
    length = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
    seeds = sorted({len(group.finished) for group in groups(records.rows) if group.finished})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    said = [f"{length} steps", f"{count} seed{'' if seeds[-1] == 1 else 's'} each"]
    return [*said, *filter(None, [banner(records)])]


def _finding(records: Records) -> str:
    finished = [row for row in records.rows if row.status == "finished"]
    known = [row for row in finished if not math.isnan(row.sparsity_gamma + row.test_error)]
    if not known:
        return ""
    lowest = min(row.test_error for row in known)
    alike = [row for row in known if row.test_error <= lowest + ERROR_BAND]
    best = max(alike, key=lambda row: row.sparsity_gamma)
    label = run_labels(records.rows)[best.run]
    said = (
        f"The sparsest within {ERROR_BAND} points of the lowest error, {label}, has "
        f"{best.sparsity_gamma:.1f}{NO_BREAK}% of its filters inactive at "
        f"{best.test_error:.2f}{NO_BREAK}% test error"
    )
    pruned = records.pruned.get(best.run)
    if pruned is None or best.features_pruned is None:
        return said + "."
    return (
        f"{said}; with those filters removed it keeps {100 - best.params_pruned_pct:.0f}{NO_BREAK}%"
        f" of its convolution weights and errs on {pruned.pruned_test_error:.2f}{NO_BREAK}%."
    )


def notes(records: Records) -> list[tuple[str, str]]:
    """(run, what readers should be told of it), in the table's order."""
    return [(row.run, note) for row in records.rows for note in records.notes.get(row.run, ())]


def layer_table(records: Records) -> Table:
    """Sparsity by gamma of every layer as a heat map, a line per group of runs."""
    shown = [group for group in groups(records.rows) if group.layers()]
    depth = max((len(group.layers()) for group in shown), default=0)
    columns = (
        Column("run", words=True),
        Column("all", help="inactive filters, percent of all"),
        *(
            Column(f"C{i}", help=f"inactive filters of layer {i}, percent")
            for i in range(1, depth + 1)
        ),
    )
    lines = []
    for group in shown:
        layers = group.layers()
        layers += [Spread(math.nan, math.nan, 0)] * (depth - len(layers))
        spreads = (group.spread("sparsity_gamma"), *layers)
        lines.append((Cell(group.label), *map(_heat, spreads)))
    return Table(columns, tuple(lines))


def _heat(value: Spread) -> Cell:
    if math.isnan(value.mean):
        return Cell("")
    said = f"± {value.std:.1f}, n = {value.n}" if value.n > 1 else ""
    kind = "strong" if value.mean >= 45 else ""
    return Cell(f"{value.mean:.0f}", value.mean, help=said, kind=kind, heat=value.mean)


def pruning_table(records: Records) -> Table:
    """Filters, weights, multiply-adds and errors before and after pruning, a line per run.

    Multiply-adds are left out where the table of gains has them for every run.
    """
    labels, runs = (
        run_labels(records.rows),
        [r.run for r in records.rows if r.run in records.pruned],
    )
    twice = all(records.pruned[run].latency for run in runs)
    shown = [i for i, column in enumerate(PRUNING) if not (twice and column.title == "MACs")]
    lines = []
    for run in runs:
        cells = (Cell(labels[run], help=run), *_pruning_cells(records.pruned[run]))
        lines.append(tuple(cells[i] for i in shown))
    return Table(tuple(PRUNING[i] for i in shown), tuple(lines))


def _pruning_cells(pruned: PrunedRecord) -> list[Cell]:
    dense, small = pruned.dense, pruned.pruned
    sizes = [
        (dense.filters, small.filters),
        (dense.conv_params, small.conv_params),
        (dense.macs, small.macs),
    ]
    errors = (pruned.masked_test_error, pruned.masked_act_error, pruned.pruned_test_error)
    return [
        *(change(before, after, f"{before:,}", f"{after:,}") for before, after in sizes),
        *(_error(value, pruned.test_error) for value in errors),
    ]


def change(before: int, after: int, was: str, now: str) -> Cell:
    """'480 → 331 -31 %': a size before and after pruning, to be sorted by what is left of it."""
    share = f"{100 * (after / before - 1):+.0f}{NO_BREAK}%" if before and after != before else "±0"
    return Cell(f"{was} → {now}", after / before if before else math.nan, note=share)


def _error(value: float, trained: float) -> Cell:
    if math.isnan(value):
        return Cell("-")
    apart = round(value - trained, 2)
    return Cell(f"{value:.2f}", value, note=f"{apart:+.2f}" if apart else "±0")


def kept_layers(records: Records) -> list[str]:
    """A sentence for each run with layers in which every filter was inactive."""
    labels = run_labels(records.rows)
    return [
        f"{labels[row.run]}: no filter of {', '.join(records.pruned[row.run].kept_emptied)} was "
        "active; the strongest one was kept."
        for row in records.rows
        if row.run in records.pruned and records.pruned[row.run].kept_emptied
    ]


def deaths(records: Records) -> list[str]:
    """A sentence for each run that figures show: when its filters died, how many came back."""
    labels = run_labels(records.rows)
    lines = []
    for run in alive_runs(records):
        measure = records.measures[run]
        fate = fates(measure.gamma, measure.step)
        back = {0: "none came back", 1: "one came back"}.get(
            fate.revivals, f"{fate.revivals:,} returns were seen"
        )
        died = (
            f"{fate.dead:,} of {fate.filters:,} filters died, half of them by step "
            f"{fate.half:,}, the last at {fate.last:,}"
            if fate.dead
            else f"of {fate.filters:,} filters none stayed dead"
        )
        lines.append(f"{labels[run]}: {died}; {back}.")
    return lines


def balances(records: Records) -> list[str]:
    """A sentence for each run that figures show: what moved gamma before filters died.

    It answers two questions of the paper (Sec. 3): do filters die after the regularizer's part of
    gamma's gradient has risen against the loss's, and is it higher for selective features?
    """
    labels = run_labels(records.rows)
    lines = []
    for run in watched_runs(records):
        measure = records.measures[run]
        found = balance_before_death(measure.gamma, ratios(measure))
        said = "no filter died that could be compared"
        if found.died:
            said = (
                f"before {found.died:,} filters died the ratio was {found.dying:.2g} (median), "
                f"{found.living:.2g} for survivors of their layers then; higher than the median "
                f"survivor's for {100 * found.above / found.died:.0f}{NO_BREAK}%, higher than at "
                f"the first evaluation for {100 * found.risen / found.died:.0f}{NO_BREAK}%"
            )
        lines.append(f"{labels[run]}: {said}{_with_selectivity(measure)}.")
    return lines


def _with_selectivity(measure: Measurements) -> str:
    if not measure.universality:
        return ""
    rho, count = selectivity_correlation(measure.gamma, ratios(measure), measure.universality)
    if not count:
        return ""
    return f"; rank correlation with selectivity {rho:+.2f} over the {count:,} active filters"


def figures(rendered: Sequence[Rendered]) -> list[Mapping[str, str]]:
    """The figures' names, titles, captions and pictures for light and for dark screens."""
    return [
        {
            "name": made.drawing.name,
            "title": made.drawing.title,
            "caption": made.drawing.caption,
            "light": _data(made.light),
            "dark": _data(made.dark),
        }
        for made in rendered
    ]


def data(records: Records) -> list[tuple[str, str, str]]:
    """(numbers, the classes, a picture) of every data set that runs were trained on."""
    return [
        (record.said, ", ".join(record.class_names), _data(picture) if picture else "")
        for record, picture in records.data
    ]


def again(records: Records) -> Mapping[str, Any] | None:
    """The command, the versions and the devices, and the resolved config; None if not known."""
    config = records.config
    if config is None:
        return None
    facts = {**config.versions, "devices": ", ".join(config.devices), "commit": config.commit or ""}
    return {
        "command": config.command,
        "facts": [(name, value) for name, value in facts.items() if value],
        "settings": json.dumps(config.config, indent=2, ensure_ascii=False),
    }


def results(records: Records) -> Table:
    """The table of results; what pruning did has a table of its own."""
    return tables.result_table(records.rows, records.pruned, pruning=False)


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
