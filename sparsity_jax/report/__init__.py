"""Reports of workdirs: `build` writes the figures and the page, `table` the text for a terminal."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

from sparsity_jax.report import loading, tables
from sparsity_jax.report.figures import registry
from sparsity_jax.report.page.page import page as html_page
from sparsity_jax.report.paper import joined, paper_tables
from sparsity_jax.report.paper.claims import check as check_claims
from sparsity_jax.report.paper.length import banner
from sparsity_jax.storage.io import write_atomically

__all__ = ["build", "check_claims", "paper_table", "table"]


def build(folder: Path) -> Path:
    """Write `figures/*.png`, `figures/*.pdf` and `report.html` from the workdir's files alone.

    `claims.json` says which statements of the paper the runs bear out, `compare.csv` how far their
    numbers are from the published ones; it has a header alone where the paper published none of
    them. `tables/tableN.{txt,md,tex,html}` are added for the tables that some of the runs stand in.

    Building twice gives the same page. Missing pieces (no history, no measure, a run that
    diverged) leave out what would show them; a damaged file is named on the page.

    Args:
      folder: the workdir.

    Returns:
      The path of `report.html`.

    Raises:
      UserError: there is no such folder.
    """
    with _collecting_rarely():
        records = loading.load(folder)
        rendered = []
        for made in registry.render(records):
            registry.write(made, folder / "figures")
            rendered.append(made)
        registry.remove_stale(folder / "figures", rendered)
        joined.write(folder, records)
        path = folder / "report.html"
        write_atomically(path, html_page(records, rendered).encode())
    return path


@contextlib.contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Figures are webs of objects that live for a moment: looking for garbage costs a sixth."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def table(folder: Path) -> str:
    """The result table of a workdir as text for a terminal."""
    records = loading.load(folder)
    return tables.text(records.rows, records.pruned, length=banner(records))


def paper_table(source: Path | loading.Records, number: str) -> paper_tables.PaperTable:
    """A table of the paper in its own form, our numbers under the published ones.

    Args:
      source: a workdir, or what `loading.load` made of it.
      number: as the paper counts: '1' ... '9', 'S1' ... 'S4'.

    Returns:
      A table with `.text()`, `.markdown()`, `.latex()` and `.html()`.

    Raises:
      UserError: there is no such table, or it is not in the published text.

    Example:
      >>> print(paper_table(Path("runs/table2"), "2").text())  # doctest: +SKIP
    """
    records = source if isinstance(source, loading.Records) else loading.load(Path(source))
    return paper_tables.paper_table(records, number)
