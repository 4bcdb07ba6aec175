"""Every notebook runs from top to bottom, and is stored with outputs and without errors."""

import os
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
SECONDS = 900  # of one cell, on a machine that does much else; idle, a notebook takes a minute


@pytest.fixture
def nbformat():
    return pytest.importorskip("nbformat", reason="nbformat reads notebooks: pip install nbclient")


def test_all_notebooks_are_there():
    names = {path.stem for path in NOTEBOOKS}
    assert {"quickstart", "selectivity_and_dynamics", "prune_your_model", "paper_tables"} <= names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_with_outputs(path, nbformat):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    kinds = [output.output_type for cell in code for output in cell.outputs]
    assert "error" not in kinds
    assert "display_data" in kinds


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter packages, not of ours
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_it_runs(path, nbformat, tmp_path, monkeypatch):
    pytest.importorskip("ipykernel", reason="ipykernel runs notebooks: pip install ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks")
    source = str(path.parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([source, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("SPARSITY_JAX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")  # as a reader has it
    monkeypatch.delenv("JAX_DISABLE_MOST_OPTIMIZATIONS", raising=False)
    notebook = nbformat.read(path, as_version=4)
    stored = printed(notebook)
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    assert printed(notebook) == stored


def printed(notebook):
    """What the cells print that print the same on every machine: those tagged "repeatable"."""
    return [
        "".join(o.text for o in cell.outputs if o.get("name") == "stdout")
        for cell in notebook.cells
        if "repeatable" in cell.metadata.get("tags", ())
    ]


@pytest.mark.parametrize("name", ["paper_tables", "selectivity_and_dynamics"])
def test_numbers_that_every_machine_prints_are_compared(name, nbformat):
    path = next(path for path in NOTEBOOKS if path.stem == name)
    found = printed(nbformat.read(path, as_version=4))
    assert len(found) >= 2
    assert any(found)
