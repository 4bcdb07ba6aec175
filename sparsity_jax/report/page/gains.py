"""What does removing the dead filters buy? A table: parameters, operations, bytes, milliseconds."""

from __future__ import annotations

import html

from sparsity_jax.report.aggregate import run_labels
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.pruned import PrunedRecord, Timing

NO_BREAK = "\N{NO-BREAK SPACE}"
TEXT = (
    "All parameters, multiply-adds per image, bytes of the saved network, and the time of one "
    "forward pass, dense and pruned: medians, compilation not counted, on the device named below. "
    "A speed-up of 5 % or less, or within the noise of the measurement, is none."
)


def gains_table(records: Records) -> str:
    """The table, a line per run whose networks were timed; '' when there is none."""
    runs = [row.run for row in records.rows if _timed(records.pruned.get(row.run))]
    if not runs:
        return ""
    labels = run_labels(records.rows)
    batches = list(dict.fromkeys(t.batch for run in runs for t in records.pruned[run].latency))
    titles = ["run", "parameters", "MACs", "bytes", *(f"batch {batch}" for batch in batches)]
    head = "".join(
        f"<th scope='col'{'' if title == 'run' else ' class=number'}>"
        f"<button type='button'>{title}</button></th>"
        for title in titles
    )
    lines = "".join(_line(labels[run], records.pruned[run], batches) for run in runs)
    return (
        "<div class='scroll'><table class='gains sortable'>"
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
        f"<p>{html.escape(said(records))}</p>"
    )


def said(records: Records) -> str:
    """One sentence on whether anything became faster.

    Example:
      >>> said(records)
      'Fastest gain: adam L2 1e-03 at batch 256, 1.6 times as fast with 33 % of its filters gone.'
    """
    labels = run_labels(records.rows)
    timed = [
        (timing.speedup, row.run, timing.batch)
        for row in records.rows
        for timing in getattr(records.pruned.get(row.run), "latency", ())
        if timing.is_faster
    ]
    if not timed:
        return "No speed-up was measured: nothing, or too little for this device, was removed."
    speedup, run, batch = max(timed)
    record = records.pruned[run]
    gone = 100 * (1 - record.pruned.filters / record.dense.filters)
    return (
        f"Largest gain: {labels[run]} at batch {batch}, {speedup:.1f} times as fast with "
        f"{gone:.0f}{NO_BREAK}% of its filters gone."
    )


def _timed(record: PrunedRecord | None) -> bool:
    return record is not None and bool(record.latency)


def _line(label: str, record: PrunedRecord, batches: list[int]) -> str:
    by_batch = {timing.batch: timing for timing in record.latency}
    sizes = [
        (record.dense.params, record.pruned.params),
        (record.dense.macs, record.pruned.macs),
        *([(record.file_bytes.dense, record.file_bytes.pruned)] if record.file_bytes else []),
    ]
    cells = "".join(_sizes(before, after) for before, after in sizes)
    cells += "" if record.file_bytes else "<td></td>"
    cells += "".join(_times(by_batch.get(batch)) for batch in batches)
    return f"<tr><th scope='row'>{html.escape(label)}</th>{cells}</tr>"


def _sizes(before: int, after: int) -> str:
    share = f"{100 * (after / before - 1):+.0f}{NO_BREAK}%" if after != before else "±0"
    shown = f"{_short(before)} → {_short(after)} <small>{share}</small>"
    return f"<td class='number' data-value='{after / before:.4f}'>{shown}</td>"


def _times(timing: Timing | None) -> str:
    if timing is None:
        return "<td></td>"
    verdict = f"{timing.speedup:.2f}×" if timing.is_faster else f"none ({timing.speedup:.2f}×)"
    shown = f"{_ms(timing.dense_ms)} → {_ms(timing.pruned_ms)}{NO_BREAK}ms <small>{verdict}</small>"
    title = f"noise ± {timing.noise_pct:.0f} %"
    return (
        f"<td class='number' data-value='{timing.speedup:.4f}' title='{title}'>"
        f"{shown.replace(' → ', f'{NO_BREAK}→{NO_BREAK}')}</td>"
    )


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _short(count: int) -> str:
    """1,234 and 5 digits as they are; 123 k, 4.56 M, 7.8 G above."""
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if count >= 10**power * (10 if power == 3 else 1):
            return f"{count / 10**power:.3g}{NO_BREAK}{letter}"
    return f"{count:,}"
