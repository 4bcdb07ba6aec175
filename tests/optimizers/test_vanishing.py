"""The limit of L2: below it a gamma that the loss has left stays at 0, beyond it swings again."""

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.optimizers import OPTIMIZERS, make_optimizer, vanishing_limit

# Steps: with the noise of a filter at work; without any gradient; after a kick.
AT_WORK, LEFT, AFTER = 500, 15_000, 15_000


def swings(name: str, learning_rate: float, strength: float, kick: float) -> tuple[float, float]:
    """Largest |gamma| just before one gradient of size `kick`, and in the last thousand steps."""
    noise = 1e-3 * jax.random.normal(jax.random.key(0), (AT_WORK,))
    gradients = jnp.zeros(AT_WORK + LEFT + AFTER).at[:AT_WORK].set(noise)
    gradients = gradients.at[AT_WORK + LEFT].set(kick)

    @jax.jit
    def simulate(learning_rate, strength):
        optimizer = make_optimizer(name, learning_rate, "l2", strength)

        def step(carry, gradient):
            gamma, state = carry
            update, state = optimizer.update(gradient, state, gamma)
            return (gamma + update, state), jnp.abs(gamma + update)

        first = jnp.asarray(1e-3)
        return jax.lax.scan(step, (first, optimizer.init(first)), gradients)[1]

    sizes = simulate(learning_rate, strength)
    before = sizes[AT_WORK + LEFT - 1000 : AT_WORK + LEFT]
    return float(before.max()), float(sizes[-1000:].max())


@pytest.mark.parametrize("name", ["adam", "adamax", "rmsprop"])
@settings(max_examples=6, deadline=None)
@given(
    learning_rate=st.floats(1e-4, 1e-2),
    below=st.floats(0.2, 0.97),
    beyond=st.floats(1.03, 5.0),
    kick=st.floats(1e-20, 1e-12),
)
def test_a_kick_fades_below_the_limit_and_grows_beyond_it(name, learning_rate, below, beyond, kick):
    limit = vanishing_limit(name)
    assert limit is not None
    before, after = swings(name, learning_rate, below * limit / learning_rate, kick)
    assert max(before, after) < 1e-30
    before, after = swings(name, learning_rate, beyond * limit / learning_rate, kick)
    assert before < 1e-30  # it had vanished: what brings it back is the kick alone
    assert after > 1e-9


def test_other_rules_have_no_limit_and_fade_slowly():
    without = [name for name in OPTIMIZERS if vanishing_limit(name) is None]
    assert without == ["sgd", "amsgrad", "adadelta", "adagrad"]
    for name in without:
        assert swings(name, 1e-3, 1e-4, 0.0)[0] > 1e-20


def test_an_unknown_name_is_refused():
    with pytest.raises(UserError, match="unknown optimizer 'adm'"):
        vanishing_limit("adm")
