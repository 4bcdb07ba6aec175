"""What are the parts of the page? Each function turns records into one piece of HTML.

Whatever came from outside (names, folders, commands) passes `html.escape` here and nowhere else.
"""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable, Sequence

from sparsity_jax.report import tables
from sparsity_jax.report.aggregate import Spread, groups, run_labels, shared_parts, usual
from sparsity_jax.report.figures.registry import Rendered
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.pruned import PrunedRecord
from sparsity_jax.storage.results import RunResult

ERROR_BAND = 1.5  # points of test error within which runs perform alike
MOST_NOTES = 12  # that stand open on the page
NO_BREAK = "\N{NO-BREAK SPACE}"


def lede(records: Records) -> str:
    """What was run, and the main finding, in two sentences."""
    rows = records.rows
    if not rows:
        return "<p class='lede'>No run has finished yet.</p>"
    what = " and ".join(dict.fromkeys(f"{row.network} on {row.dataset}" for row in rows[:50]))
    shared = ", ".join(sorted(shared_parts(rows)))
    what += f" ({shared})" if shared else ""
    asked = len(records.config.runs) if records.config else 0
    of_all = f" of {asked}" if asked > len(rows) else ""
    runs = "run" if len(rows) == 1 and not of_all else "runs"
    ended = [row.status for row in rows]
    bad = [f"{ended.count(s)} {s}" for s in ("diverged", "failed") if s in ended]
    first = f"{len(rows)}{of_all} {runs} of {what}{': ' + ', '.join(bad) if bad else ''}."
    common = ", ".join(sorted(usual(rows)))
    first += f" Unless said otherwise: {common}." if common else ""
    return f"<p class='lede'>{html.escape(first)} {html.escape(_finding(records))}</p>"


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


def result_table(records: Records) -> str:
    """The table of results, sortable and filterable."""
    made = tables.table(records.rows, records.pruned)
    note = html.escape(tables.NOTE)
    table = _table(tables.html_head(made), tables.html_rows(made), "results")
    return f"{table}<p>{note}</p>{_notes(records)}"


def _notes(records: Records) -> str:
    """What readers should be told of single runs, in the table's order; '' if nothing."""
    lines = [(row.run, note) for row in records.rows for note in records.notes.get(row.run, ())]
    if not lines:
        return ""
    listed = "".join(
        f"<li><strong>{html.escape(run)}</strong> {html.escape(note)}</li>" for run, note in lines
    )
    opened = " open" if len(lines) <= MOST_NOTES else ""
    return (
        f"<details class='notes'{opened}><summary>Notes on runs ({len(lines)})</summary>"
        f"<ul>{listed}</ul></details>"
    )


def layer_table(records: Records) -> str:
    """Sparsity by gamma of every layer as a heat map in a table, a line per group of runs."""
    shown = [group for group in groups(records.rows) if group.layers()]
    if not shown:
        return ""
    depth = max(len(group.layers()) for group in shown)
    titles = ["run", *(f"C{i + 1}" for i in range(depth)), "all"]
    lines = []
    for group in shown:
        spreads = group.layers()
        spreads += [Spread(math.nan, math.nan, 0)] * (depth - len(spreads))
        spreads.append(group.spread("sparsity_gamma"))
        name = f"<th scope='row'>{html.escape(group.label)}</th>"
        lines.append(f"<tr>{name}{''.join(map(_heat, spreads))}</tr>")
    return _table(_head(titles), "\n".join(lines), "heat")


def pruning_table(records: Records) -> str:
    """Filters, weights, multiply-adds and errors before and after pruning, a line per run."""
    rows = [row for row in records.rows if row.run in records.pruned]
    if not rows:
        return ""
    titles = ["run", "filters", "conv weights", "MACs", "error", "zeroed", "removed"]
    labels = run_labels(records.rows)
    lines = [_pruning_line(row, labels[row.run], records.pruned[row.run]) for row in rows]
    emptied = "".join(
        f"<p>{html.escape(labels[row.run])}: no filter of "
        f"{html.escape(', '.join(records.pruned[row.run].kept_emptied))} was active; the strongest "
        "one was kept.</p>"
        for row in rows
        if records.pruned[row.run].kept_emptied
    )
    return _table(_head(titles), "\n".join(lines), "pruning") + emptied


def _pruning_line(row: RunResult, label: str, pruned: PrunedRecord) -> str:
    dense, small = pruned.dense, pruned.pruned
    sizes = "".join(
        _change(before, after)
        for before, after in (
            (dense.filters, small.filters),
            (dense.conv_params, small.conv_params),
            (dense.macs, small.macs),
        )
    )
    errors = (pruned.test_error, pruned.masked_test_error, pruned.pruned_test_error)
    cells = "".join(_number(value, tables.number_text(value, 2)) for value in errors)
    return f"<tr><th scope='row'>{html.escape(label)}</th>{sizes}{cells}</tr>"


def figures(rendered: Sequence[Rendered]) -> str:
    """The figures, embedded twice: for light and for dark screens."""
    return "\n".join(
        f"<figure id='{made.drawing.name}'><h3>{html.escape(made.drawing.title)}</h3><picture>"
        f"<source media='(prefers-color-scheme: dark)' srcset='{_data(made.dark)}'>"
        f"<img alt='{html.escape(made.drawing.title)}' src='{_data(made.light)}'></picture>"
        f"<figcaption>{html.escape(made.drawing.caption)}</figcaption></figure>"
        for made in rendered
    )


def again(records: Records) -> str:
    """The command, the versions and the devices, and the resolved config."""
    config = records.config
    if config is None:
        return "<p>The workdir holds no config.json.</p>"
    facts = {**config.versions, "devices": ", ".join(config.devices), "commit": config.commit or ""}
    listed = "".join(
        f"<div><dt>{html.escape(str(name))}</dt><dd>{html.escape(str(value))}</dd></div>"
        for name, value in facts.items()
        if value
    )
    settings = html.escape(json.dumps(config.config, indent=2, ensure_ascii=False))
    return (
        f"<pre class='command'><code>{html.escape(config.command)}</code></pre><dl>{listed}</dl>"
        f"<details><summary>Configuration</summary><pre><code>{settings}</code></pre></details>"
    )


def problems(records: Records) -> str:
    """Files that could not be read, if any."""
    listed = "".join(f"<li>{html.escape(problem)}</li>" for problem in records.problems)
    return f"<aside><strong>Left out</strong><ul>{listed}</ul></aside>" if listed else ""


def _table(head: str, body: str, kind: str) -> str:
    return (
        f"<div class='scroll'><table class='{kind} sortable'><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _head(titles: Iterable[str]) -> str:
    return "".join(
        f"<th scope='col'{'' if title == 'run' else ' class=number'}>"
        f"<button type='button'>{html.escape(title)}</button></th>"
        for title in titles
    )


def _heat(value: Spread) -> str:
    if math.isnan(value.mean):
        return "<td></td>"
    title = f" title='± {value.std:.1f}, n = {value.n}'" if value.n > 1 else ""
    strong = " class='strong'" if value.mean >= 45 else ""
    return (
        f"<td{strong} data-value='{value.mean:.2f}' style='--heat:{value.mean:.1f}'{title}>"
        f"{value.mean:.0f}</td>"
    )


def _change(before: int, after: int) -> str:
    share = f"{100 * (after / before - 1):+.0f}{NO_BREAK}%" if before and after != before else "±0"
    shown = f"{before:,} → {after:,} <small>{share}</small>"
    return f"<td class='number' data-value='{after}'>{shown}</td>"


def _number(value: float, text: str) -> str:
    data = "" if math.isnan(value) else f" data-value='{value:.6g}'"
    return f"<td class='number'{data}>{text}</td>"


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
