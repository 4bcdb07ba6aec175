"""One pass over the images gives what activation sparsity and universality give in three."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn

from sparsity_jax.sparsity import activation_sparsity, recording, universality
from sparsity_jax.sparsity.corpus import measure_corpus

IMAGES = np.random.default_rng(0).normal(size=(23, 8, 8, 3)).astype(np.float32)


class Net(nn.Module):
    """Ten blocks by name, so that their natural order is not the alphabet's."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for i in (1, 2, 10):
            x = nn.Conv(6, (3, 3), use_bias=False, name=f"C{i}")(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, name=f"N{i}")(x))
        return x


@pytest.fixture(scope="module")
def network() -> tuple[Callable[..., Any], Any]:
    """A small network in which some filters are inactive, others nearly so."""
    variables = jax.tree.map(np.array, Net().init(jax.random.key(0), IMAGES[:2]))
    for norm in (variables["params"][f"N{i}"] for i in (2, 10)):
        norm["scale"][:2], norm["bias"][:2] = 0.0, -1.0
        norm["bias"][2] = -1.5
    return functools.partial(Net().apply, train=False), variables


@pytest.mark.parametrize("kept_bytes", [0, 5_000, 1 << 30])
@pytest.mark.parametrize("batch_size", [5, 23])
def test_one_pass_gives_the_answers_of_three(network, kept_bytes: int, batch_size: int) -> None:
    seen: list[int] = []
    found = measure_corpus(
        network[0],
        network[1],
        IMAGES,
        batch_size=batch_size,
        kept_bytes=kept_bytes,
        seen=seen.append,
    )
    by_act = activation_sparsity(network[0], network[1], IMAGES, batch_size=batch_size).layers
    answers = universality(network[0], network[1], IMAGES, batch_size=batch_size).layers
    inactive = found.inactive()
    assert list(inactive) == list(by_act) == list(answers)
    for path in by_act:
        np.testing.assert_array_equal(inactive[path], by_act[path])
        np.testing.assert_array_equal(found.universality.layers[path], answers[path])
    assert inactive["N2"][:2].all()
    assert seen[-1] == len(IMAGES)
    assert seen == sorted(seen)


@pytest.mark.parametrize("size", [1, 5, 22])
def test_a_loop_over_parts_gives_the_same_answers(network, monkeypatch, size: int) -> None:
    def measured(at_once: int) -> Any:
        monkeypatch.setattr(recording, "_AT_ONCE", {jax.default_backend(): at_once})
        apply_fn = functools.partial(network[0])  # compiled anew
        found = measure_corpus(apply_fn, network[1], IMAGES, batch_size=23)
        by_act = activation_sparsity(apply_fn, network[1], IMAGES, batch_size=23)
        answers = universality(apply_fn, network[1], IMAGES, batch_size=23)
        return found, by_act.layers, answers.layers

    ours, theirs = measured(size), measured(len(IMAGES))
    for path, peak in theirs[0].peaks.items():
        np.testing.assert_allclose(ours[0].peaks[path], peak, rtol=1e-5)
        np.testing.assert_array_equal(
            ours[0].universality.layers[path], theirs[0].universality.layers[path]
        )
        for one, other in zip(ours[1:], theirs[1:], strict=True):
            np.testing.assert_array_equal(one[path], other[path])


def test_the_images_are_walked_over_once_where_they_are_kept(network) -> None:
    walks = []

    class Counted:
        def __iter__(self):
            walks.append(1)
            return iter([IMAGES[:10], IMAGES[10:]])

    measure_corpus(network[0], network[1], Counted(), batch_size=10)
    assert len(walks) == 1
    measure_corpus(network[0], network[1], Counted(), batch_size=10, kept_bytes=0)
    assert len(walks) == 3  # once more for the shares
