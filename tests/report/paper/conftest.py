"""The paper's own rows, as if we had run them."""

from __future__ import annotations

import dataclasses

import pytest

from sparsity_jax.report.paper.published import published
from sparsity_jax.storage.results import RunResult


@pytest.fixture(scope="session")
def paper() -> list[RunResult]:
    """The published rows that are runs of this paper's own, as if we had run them."""
    return [
        dataclasses.replace(item.row, run=f"{i}")
        for i, item in enumerate(published())
        if item.row.regularizer and "universality" not in item.row.variant
    ]
