"""The loss, in the form of every backend."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.training.loss import cross_entropy

SHAPES = ((1, 2), (3, 12), (7, 5))  # a few: each is compiled


@pytest.fixture(params=["cpu", "gpu", "tpu"])
def backend(request, monkeypatch) -> str:
    monkeypatch.setattr(jax, "default_backend", lambda: request.param)
    return request.param


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.sampled_from(SHAPES), st.floats(0.1, 50))
def test_both_forms_are_softmax_minus_one_hot(seed, shape, spread):
    """loss = -log p[label], and its gradient p - onehot(label), by numpy in float64."""
    images, classes = shape
    random = np.random.default_rng(seed)
    logits = (spread * random.standard_normal(shape)).astype(np.float32)
    labels = random.integers(0, classes, images)
    wide = logits.astype(np.float64)
    p = np.exp(wide - wide.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    expected = -np.log(p[np.arange(images), labels])
    for name in ("cpu", "gpu"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jax, "default_backend", lambda name=name: name)
            losses = cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
            gradient = jax.grad(lambda x: cross_entropy(x, jnp.asarray(labels)).sum())(
                jnp.asarray(logits)
            )
        scale = max(1.0, float(np.abs(wide).max()))
        np.testing.assert_allclose(losses, expected, rtol=1e-6, atol=2e-6 * scale)
        np.testing.assert_allclose(gradient, p - np.eye(classes)[labels], atol=1e-5 * scale)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_what_is_not_finite_stays_visible_in_its_image_alone(backend, bad):
    logits = jnp.zeros((2, 3)).at[0, 1].set(bad)
    losses = cross_entropy(logits, jnp.array([0, 0]))
    assert not jnp.isfinite(losses[0])
    assert jnp.isfinite(losses[1])
