"""Does the learning rate drop when and by how much it should?"""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from sparsity_jax.errors import UserError
from sparsity_jax.optimizers.schedules import constant, drops_in_steps, step_schedule

drops_strategy = st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1, width=32)), max_size=4)


@given(drops=drops_strategy)
@settings(max_examples=25, deadline=None)
def test_the_last_drop_reached_decides(drops: list[tuple[int, float]]) -> None:
    drops = sorted(drops, key=lambda drop: drop[0])
    expected = [
        next((multiplier for step, multiplier in reversed(drops) if step <= now), 1.0)
        for now in range(60)
    ]
    schedule = step_schedule(drops)
    np.testing.assert_array_equal(schedule(np.arange(60)), np.array(expected, np.float32))
    assert float(schedule(0)) == 1.0


def test_traced_steps_and_arrays_agree() -> None:
    schedule = step_schedule(((10, 0.1), (20, 0.01)))
    steps = jnp.arange(30)
    np.testing.assert_array_equal(jax.vmap(jax.jit(schedule))(steps), schedule(steps))


def test_no_drops_is_constant() -> None:
    steps = jnp.arange(5)
    np.testing.assert_array_equal(step_schedule(())(steps), constant(steps))


def test_the_papers_schedules() -> None:
    """protocol.md, Sec. 4: CIFAR 312,500 and TinyImageNet 625,000; 812,500 at batch 40."""
    assert drops_in_steps(((250, 0.1),), steps_per_epoch=50_000 / 40) == ((312_500, 0.1),)
    tiny = drops_in_steps(((250, 0.1), (325, 0.01)), steps_per_epoch=100_000 / 40)
    assert tiny == ((625_000, 0.1), (812_500, 0.01))


def test_small_scales_keep_the_order_and_the_first_step() -> None:
    drops = drops_in_steps(((1, 0.1), (2, 0.01)), steps_per_epoch=100, scale=1e-4)
    assert drops == ((1, 0.1), (1, 0.01))
    np.testing.assert_allclose(step_schedule(drops)(jnp.arange(3)), [1.0, 0.01, 0.01])


@pytest.mark.parametrize("drops", [((0, 0.1),), ((-3, 0.1),), ((20, 0.1), (10, 0.01))])
def test_steps_out_of_order_are_refused(drops: tuple) -> None:
    with pytest.raises(UserError, match="ascend from 1 or more"):
        step_schedule(drops)


def test_negative_multipliers_are_refused() -> None:
    with pytest.raises(UserError, match="0 or more"):
        step_schedule(((10, -0.1),))
