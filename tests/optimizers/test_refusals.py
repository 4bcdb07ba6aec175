"""Wrong input gets one line that says what is valid."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.optimizers import (
    OPTIMIZERS,
    REGULARIZERS,
    WD_MODES,
    default_learning_rate,
    make_optimizer,
)


@pytest.mark.parametrize(
    ("name", "regularizer", "mode", "wrong", "valid"),
    [
        ("adamw", "l2", "schedule", "adamw", OPTIMIZERS),
        ("Adam", "l2", "schedule", "Adam", OPTIMIZERS),
        ("adam", "L1", "schedule", "L1", REGULARIZERS),
        ("adam", "wd", "adamw", "adamw", WD_MODES),
        ("adam", "none", "", "''", WD_MODES),
    ],
)
def test_unknown_words_are_answered_with_the_valid_ones(
    name: str, regularizer: str, mode: str, wrong: str, valid: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as caught:
        make_optimizer(name, 0.1, regularizer, 0.1, wd_mode=mode)
    message = str(caught.value)
    assert wrong in message
    assert "\n" not in message
    assert all(word in message for word in valid)


def test_unknown_default_is_refused() -> None:
    with pytest.raises(UserError, match="sgd, adam, amsgrad"):
        default_learning_rate("lamb")


@pytest.mark.parametrize(
    "bad", [-1e-9, float("nan"), float("inf"), np.float32(-1), jnp.array([0.1, -0.1])]
)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_a_strength_known_to_be_negative_is_refused(regularizer: str, bad: float) -> None:
    with pytest.raises(UserError, match=r"strength is .* 0 or more"):
        make_optimizer("adam", 0.1, regularizer, bad)


@pytest.mark.parametrize("what", ["learning_rate", "gamma_lr_scale", "beta_lr_scale"])
def test_negative_rates_are_refused(what: str) -> None:
    numbers: dict[str, Any] = {"learning_rate": 0.1, what: -0.1}
    with pytest.raises(UserError, match=f"{what} is -0.1"):
        make_optimizer("adam", regularizer="l2", strength=0.0, **numbers)


def test_default_learning_rates_are_the_papers() -> None:
    """protocol.md, Sec. 4."""
    assert {name: default_learning_rate(name) for name in OPTIMIZERS} == {
        "sgd": 0.1,
        "adam": 1e-3,
        "amsgrad": 1e-3,
        "adamax": 2e-3,
        "rmsprop": 1e-3,
        "adadelta": 1.0,
        "adagrad": 1e-2,
    }
