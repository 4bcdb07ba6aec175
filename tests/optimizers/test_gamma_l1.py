"""Network Slimming's L1 penalty: on gamma alone, traced, absent unless asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.optimizers import make_optimizer
from sparsity_jax.optimizers.transforms import add_sign_of_gamma

PARAMS = {
    "C1": {"conv": {"kernel": jnp.ones((2, 2))}, "norm": {"scale": jnp.array([2.0, -0.5, 0.0])}},
    "F1": {"dense": {"bias": jnp.ones(3)}},
}
QUIET = jax.tree.map(jnp.zeros_like, PARAMS)


def updates(**options):
    optimizer = make_optimizer("sgd", 0.1, "none", 0.0, **options)
    return optimizer.update(QUIET, optimizer.init(PARAMS), PARAMS)[0]


def test_gamma_moves_towards_zero_by_the_same_amount_whatever_its_size():
    moved = updates(gamma_l1=0.2)
    np.testing.assert_allclose(moved["C1"]["norm"]["scale"], [-0.02, 0.02, 0.0], rtol=1e-6)
    assert not moved["C1"]["conv"]["kernel"].any()
    assert not moved["F1"]["dense"]["bias"].any()


def test_it_is_the_gradient_of_the_penalty():
    penalty = jax.grad(lambda gamma: 0.3 * jnp.sum(jnp.abs(gamma)))
    transform = add_sign_of_gamma(0.3)
    gamma = jnp.array([1.5, -2.0])
    added = transform.update({"scale": jnp.zeros(2)}, transform.init({}), {"scale": gamma})[0]
    np.testing.assert_allclose(added["scale"], penalty(gamma))


def test_ten_strengths_share_one_program():
    programs = []

    @jax.jit
    def step(strength):
        programs.append(strength)
        return updates(gamma_l1=strength)["C1"]["norm"]["scale"][0]

    moved = [float(step(strength)) for strength in np.linspace(0, 1, 10, dtype=np.float32)]
    assert len(programs) == 1
    np.testing.assert_allclose(moved, -0.1 * np.linspace(0, 1, 10), rtol=1e-5)


def test_without_a_strength_nothing_is_added_to_the_program():
    def program(**options):
        optimizer = make_optimizer("adam", 1e-3, "l2", 1e-4, **options)
        state = optimizer.init(PARAMS)
        return str(jax.make_jaxpr(optimizer.update)(QUIET, state, PARAMS))

    assert program() == program(gamma_l1=None)
    assert program() != program(gamma_l1=1e-4)
    assert "sign" not in program()


def test_a_negative_strength_is_refused():
    with pytest.raises(UserError, match="gamma_l1 is -1"):
        make_optimizer("sgd", 0.1, "none", 0.0, gamma_l1=-1)
