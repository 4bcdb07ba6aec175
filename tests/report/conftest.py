"""One made-up workdir, built once, for all tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsity_jax import report


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workdir like the quick start's with its report; tests only read it."""
    import fake_workdir

    workdir = tmp_path_factory.mktemp("report") / "quickstart"
    fake_workdir.write(workdir, universality=True)
    report.build(workdir)
    return workdir
