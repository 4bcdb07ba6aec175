"""Gains of removing the inactive filters: parameters, operations, bytes and milliseconds."""

from __future__ import annotations

from sparsity_jax.report.aggregate import run_labels
from sparsity_jax.report.loading import Records
from sparsity_jax.report.page.sections import NO_BREAK, change
from sparsity_jax.report.tables import Cell, Column, Table
from sparsity_jax.storage.pruned import Latency, PrunedRecord


def gains_table(records: Records) -> Table:
    """A line per run whose networks were timed: sizes, then times by batch size."""
    runs = [row.run for row in records.rows if _timed(records.pruned.get(row.run))]
    labels = run_labels(records.rows)
    batches = list(dict.fromkeys(t.batch for run in runs for t in records.pruned[run].latency))
    columns = (
        Column("run", words=True),
        Column("parameters", help="all of the network, before and after pruning"),
        Column("MACs", help="multiply-adds for one image, before and after pruning"),
        Column("bytes", help="of the saved network, before and after pruning"),
        *(
            Column(f"batch {batch}, ms", help=f"one forward pass of {batch} images, milliseconds")
            for batch in batches
        ),
    )
    lines = ((Cell(labels[run], help=run), *_cells(records.pruned[run], batches)) for run in runs)
    return Table(columns, tuple(lines))


def said(records: Records) -> str:
    """One sentence on whether anything became faster.

    Example:
      >>> said(records)  # doctest: +SKIP
      'Largest gain: Adam L2 1e-3 at batch 256, 1.6 times as fast with 33 % of its filters gone.'
    """
    labels = run_labels(records.rows)
    timed = [
        (timing.speedup, row.run, timing.batch)
        for row in records.rows
        for timing in getattr(records.pruned.get(row.run), "latency", ())
        if timing.is_faster and _smaller(records.pruned[row.run])
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


def _smaller(record: PrunedRecord) -> bool:
    """Whether anything was removed: two equal networks differ in time by chance alone."""
    return record.pruned.macs < record.dense.macs


def _timed(record: PrunedRecord | None) -> bool:
    return record is not None and bool(record.latency)


def _cells(record: PrunedRecord, batches: list[int]) -> list[Cell]:
    by_batch = {timing.batch: timing for timing in record.latency}
    sizes = [(record.dense.params, record.pruned.params), (record.dense.macs, record.pruned.macs)]
    sizes += [(record.file_bytes.dense, record.file_bytes.pruned)] if record.file_bytes else []
    return [
        *(change(before, after, _short(before), _short(after)) for before, after in sizes),
        *([] if record.file_bytes else [Cell("")]),
        *(_times(by_batch.get(batch), smaller=_smaller(record)) for batch in batches),
    ]


def _times(timing: Latency | None, *, smaller: bool) -> Cell:
    if timing is None:
        return Cell("")
    gains = timing.is_faster and smaller
    verdict = f"{timing.speedup:.2f}×" if gains else f"none ({timing.speedup:.2f}×)"
    return Cell(
        f"{_ms(timing.dense_ms)} → {_ms(timing.pruned_ms)}",
        timing.speedup,
        note=verdict,
        help=f"noise ± {timing.noise_pct:.0f} %",
    )


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _short(count: int) -> str:
    """1,234 and 5 digits as they are; 123 k, 4.56 M, 7.8 G above."""
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if count >= 10**power * (10 if power == 3 else 1):
            return f"{count / 10**power:.3g}{NO_BREAK}{letter}"
    return f"{count:,}"
