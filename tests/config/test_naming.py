"""Names are read by people and by programs: numbers in them must read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.config.naming import strength_text


@given(st.one_of(st.just(0.0), st.floats(1e-30, 1e3)))
def test_strengths_read_back(strength):
    assert float(strength_text(strength)) == strength


@pytest.mark.parametrize(
    ("strength", "shown"),
    [(1e-3, "1e-03"), (0.0002, "2e-04"), (0.0015, "1.5e-03"), (0, "0"), (1, "1e+00")],
)
def test_strengths_read_as_in_the_paper(strength: float, shown: str) -> None:
    assert strength_text(strength) == shown
