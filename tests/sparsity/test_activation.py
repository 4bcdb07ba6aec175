"""Sparsity by activation: streaming, what follows the norm, shared layers, wrapped models."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.sparsity import activation_sparsity, gamma_sparsity
from sparsity_jax.sparsity.activation import corpus_peaks
from sparsity_jax.sparsity.recording import pooled_activations


class Net(nn.Module):
    filters: int = 8

    @nn.compact
    def __call__(self, x, train=False):
        for i in (1, 2):
            x = nn.Conv(self.filters, (3, 3), use_bias=False, name=f"conv{i}")(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, name=f"norm{i}")(x))
        return nn.Dense(3)(x.mean((1, 2)))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(23, 6, 6, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def variables():
    """A network of every kind of filter: rare, dead, constant."""
    variables = Net().init(jax.random.key(1), jnp.ones((1, 6, 6, 3)))
    rng = np.random.default_rng(1)
    for i in (1, 2):
        gamma = rng.uniform(0.5, 1, 8).astype(np.float32)
        beta = rng.uniform(-2.5, 0, 8).astype(np.float32)
        gamma[:2], beta[:2] = 0, (-0.1, 0.1)
        variables["params"][f"norm{i}"] = {"scale": gamma, "bias": beta}
    return variables


apply_fn = functools.partial(Net().apply, train=False)


def peaks(images, batch_size, fn=apply_fn, variables=None, preprocess=None):
    return corpus_peaks(fn, variables, images, jax.nn.relu, preprocess, batch_size)


def test_dead_constant_and_rare_filters(variables, images):
    found = activation_sparsity(apply_fn, variables, images)
    assert list(found.layers) == list(gamma_sparsity(variables).layers) == ["norm1", "norm2"]
    for mask in found.layers.values():
        assert mask[:2].tolist() == [True, False]  # beta < 0 is dead, beta > 0 answers always
    loud = activation_sparsity(apply_fn, variables, images, threshold=1e9)
    assert loud.total_pct == 100


@settings(max_examples=12, deadline=None)
@given(batch_size=st.integers(1, 30), cuts=st.lists(st.integers(0, 23), max_size=3))
def test_any_batching_gives_the_same_answer(variables, images, batch_size, cuts):
    parts = np.split(images, sorted(cuts))
    whole = peaks(images, 23, variables=variables)
    for given_images in (images, parts, jnp.asarray(images)):
        streamed = peaks(given_images, batch_size, variables=variables)
        for path, peak in whole.items():
            np.testing.assert_allclose(streamed[path], peak, rtol=1e-5, atol=1e-6)


def test_padding_never_counts(variables):
    """A constant image of zeros would wake filter 1; padding is zeros and must not."""
    variables = jax.tree.map(jnp.asarray, variables)
    variables["params"]["norm1"] = {"scale": -jnp.ones(8), "bias": jnp.full(8, 0.5)}
    variables["params"]["conv1"]["kernel"] = jnp.ones((3, 3, 3, 8))
    bright = np.ones((3, 6, 6, 3), np.float32)
    assert activation_sparsity(apply_fn, variables, bright, batch_size=2).layers["norm1"].all()
    dark = np.zeros((1, 6, 6, 3), np.float32)
    assert not activation_sparsity(apply_fn, variables, dark).layers["norm1"].any()


def test_memory_is_bounded_by_the_batch(variables):
    """A corpus that is never held whole: its batches are made while they are asked for."""

    class DeviceDataset:
        held = 0

        def __iter__(self):
            for seed in range(40):
                yield np.random.default_rng(seed).normal(size=(5, 6, 6, 3)).astype(np.float32)

    found = activation_sparsity(apply_fn, variables, DeviceDataset(), batch_size=5)
    whole = activation_sparsity(apply_fn, variables, np.concatenate(list(DeviceDataset())))
    assert found.table() == whole.table()


def test_preprocess_makes_floats_of_stored_images(variables):
    stored = np.random.default_rng(2).integers(0, 255, (7, 6, 6, 3), np.uint8)

    def preprocess(batch):
        return batch.astype(jnp.float32) / 255 - 0.5

    streamed = peaks(stored, 4, variables=variables, preprocess=preprocess)
    direct = peaks(np.asarray(preprocess(stored)), 4, variables=variables)
    np.testing.assert_allclose(streamed["norm2"], direct["norm2"], rtol=1e-6)
    with pytest.raises(UserError, match="images are uint8; give normalised floats, or preprocess="):
        activation_sparsity(apply_fn, variables, stored)


def test_the_activation_matters(variables, images):
    leaky = functools.partial(jax.nn.leaky_relu, negative_slope=0.01)
    found = activation_sparsity(apply_fn, variables, images, activation=leaky)
    assert found.total_pct == 0 < activation_sparsity(apply_fn, variables, images).total_pct


class Shared(nn.Module):
    """One convolution and norm used twice, on the images and on their negative."""

    @nn.compact
    def __call__(self, x):
        conv, norm = nn.Conv(4, (1, 1)), nn.BatchNorm(use_running_average=True)
        return norm(conv(x)).mean() + norm(conv(-x)[:, ::2]).mean()


def test_a_shared_norm_gives_the_maximum_over_its_calls(images):
    variables = Shared().init(jax.random.key(0), images)
    both = pooled_activations(Shared().apply, variables, jnp.asarray(images))
    kernel = np.asarray(variables["params"]["Conv_0"]["kernel"])[0, 0]
    maps = images @ kernel / np.sqrt(1 + 1e-5)
    top = np.maximum(maps.max((1, 2)), (-maps[:, ::2]).max((1, 2)))
    np.testing.assert_allclose(both["BatchNorm_0"], top.clip(0), rtol=1e-4, atol=1e-6)


class Wrapped(nn.Module):
    """The same network with rematerialised layers."""

    @nn.compact
    def __call__(self, x):
        return nn.remat(Net)(name="net")(x)


def test_jitted_and_rematerialised_models_are_seen_through(variables, images):
    expected = activation_sparsity(apply_fn, variables, images).table()
    jitted = jax.jit(apply_fn)
    jitted(variables, images)  # cached: a second call would not run Python
    assert activation_sparsity(jitted, variables, images).table() == expected
    nested = {name: {"net": tree} for name, tree in variables.items()}
    remat = activation_sparsity(Wrapped().apply, nested, images).layers
    plain = activation_sparsity(apply_fn, variables, images).layers
    for path, mask in plain.items():
        np.testing.assert_array_equal(remat[f"net/{path}"], mask)


def test_pooled_activations_under_vmap(variables, images):
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), variables)
    run = jax.jit(jax.vmap(lambda v: pooled_activations(apply_fn, v, images)))(stacked)
    alone = pooled_activations(apply_fn, variables, images)
    np.testing.assert_allclose(run["norm2"][0], alone["norm2"], rtol=1e-4, atol=1e-5)


def test_the_same_function_is_compiled_once(variables, images):
    calls = []

    def counted(variables, images):
        calls.append(images.shape)
        return apply_fn(variables, images)

    for _ in range(2):
        activation_sparsity(counted, variables, images, batch_size=4)
    assert len(calls) == 1


class NnxNet(nnx.Module):
    def __init__(self, filters=5):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, filters, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(filters, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.norm(self.conv(x)))


def test_nnx_models_are_run_as_they_are(images):
    model = NnxNet()
    model.norm.scale[...] = jnp.asarray([0.0, 0.0, 1.0, 1.0, 1.0])
    model.norm.bias[...] = jnp.asarray([-1.0, 1.0, 0.0, 0.0, 0.0])
    state = nnx.state(model)
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(state))
    found = activation_sparsity(model, state, images, batch_size=10)
    assert found.layers["norm"].tolist() == [True, False, False, False, False]
    jax.tree.map(np.testing.assert_array_equal, before, nnx.to_pure_dict(nnx.state(model)))
    assert type(model.norm) is nnx.BatchNorm


def bad_images():
    broken = np.ones((2, 6, 6, 3), np.float32)
    broken[1] = np.nan
    return broken


@pytest.mark.parametrize(
    ("fn", "images", "options", "message"),
    [
        (lambda v, x: x, np.ones((2, 6, 6, 3)), {}, "apply_fn ran no BatchNorm of these"),
        (apply_fn, np.ones((0, 6, 6, 3)), {}, "there are no images"),
        (apply_fn, [], {}, "there are no images"),
        (apply_fn, np.ones((2, 6, 6, 3)), {"batch_size": 0}, "batch_size=0 is not valid"),
        (apply_fn, np.ones((2, 6, 6, 3)), {"threshold": -1.0}, "threshold=-1.0 is not valid"),
        (apply_fn, bad_images(), {}, "layer norm1 has NaN activations"),
        (apply_fn, [1, 2], {}, "images must be an array"),
        (
            lambda v, x: apply_fn(v, x.reshape(-1, 3, 6, 3)),
            np.ones((2, 6, 6, 3)),
            {},
            "layer norm1 sees 4 planes for 2 images",
        ),
    ],
)
def test_bad_input_is_named(variables, fn, images, options, message):
    if isinstance(images, np.ndarray):
        images = images.astype(np.float32)
    with pytest.raises(UserError, match=message):
        activation_sparsity(fn, variables, images, **options)


class OwnNorm(nn.Module):
    """Not a BatchNorm by its class, but by what it computes: folded into one product and sum."""

    @nn.compact
    def __call__(self, x):
        width = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, width)
        bias = self.param("bias", nn.initializers.zeros, width)
        mean = self.variable("batch_stats", "mean", jnp.zeros, width)
        var = self.variable("batch_stats", "var", jnp.ones, width)
        factor = scale / jnp.sqrt(var.value + 1e-5)
        return (x * factor + (bias - mean.value * factor)).astype(jnp.float32)


class Mixed(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(OwnNorm(name="own")(nn.Conv(4, (3, 3))(x)))
        x = nn.relu(nn.BatchNorm(use_running_average=True, name="flax")(nn.Conv(4, (3, 3))(x)))
        return nn.Dense(3)(x.mean((1, 2)))


def test_norms_of_other_classes_are_known_by_what_they_compute(images):
    model = Mixed()
    variables = jax.tree.map(np.array, model.init(jax.random.key(0), images))
    rng = np.random.default_rng(0)
    for norm in variables["params"].values():
        if "scale" in norm:
            norm["scale"][:], norm["bias"][:] = rng.normal(size=4), [-9, 0.5, 0, -0.2]
    found = pooled_activations(model.apply, variables, jnp.asarray(images))
    by_class = model.copy()
    plain = nn.BatchNorm(use_running_average=True, name="own")

    def swapped(next_fun, args, kwargs, context):
        if isinstance(context.module, OwnNorm) and context.method_name == "__call__":
            inputs = {kind: tree["own"] for kind, tree in variables.items()}
            return plain.apply(inputs, args[0])
        return next_fun(*args, **kwargs)

    seen = {}

    def watch(next_fun, args, kwargs, context):
        result = swapped(next_fun, args, kwargs, context)
        if "norm" in type(context.module).__name__.lower() and context.method_name == "__call__":
            seen[context.module.name] = np.asarray(result).clip(0).max((1, 2))
        return result

    with nn.intercept_methods(watch):
        by_class.apply(variables, images)
    assert found.keys() == {"own", "flax"}
    for path, peak in found.items():
        np.testing.assert_allclose(peak, seen[path], rtol=1e-4, atol=1e-5)


class NnxTrain(nnx.Module):
    def __init__(self):
        self.net = NnxNet()

    def __call__(self, x, train):
        self.net.norm.use_running_average = not train
        return self.net(x)


class NnxOdd(nnx.Module):
    def __init__(self):
        self.net = NnxNet()

    def __call__(self, x, temperature):
        return self.net(x) / temperature


def test_nnx_calls_with_more_arguments(images):
    state, graph = nnx.state(NnxTrain()), nnx.graphdef(NnxTrain())
    by_module = activation_sparsity(NnxTrain(), state, images)

    def function(state, images):
        return nnx.merge(graph, state)(images, False)

    by_function = activation_sparsity(function, state, images)
    assert by_module.filters == by_function.filters == 5
    assert by_module.table() == by_function.table()
    odd = NnxOdd()
    with pytest.raises(UserError, match="call requires temperature; give a function of"):
        activation_sparsity(odd, nnx.state(odd), images)
    graph = nnx.graphdef(odd)
    found = activation_sparsity(lambda s, x: nnx.merge(graph, s)(x, 2.0), nnx.state(odd), images)
    assert found.filters == 5


class NnxScan(nnx.Module):
    def __init__(self):
        self.layers = nnx.split_rngs(splits=3)(nnx.vmap(lambda rngs: NnxStep(rngs)))(nnx.Rngs(0))

    def __call__(self, x):
        step = nnx.scan(lambda x, layer: layer(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        return step(x, self.layers)


class NnxStep(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 3, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.norm(self.conv(x)))


def test_scanned_layers_are_refused_in_one_line(images):
    model = NnxScan()
    with pytest.raises(UserError, match="arrays of layers/norm hold several layers"):
        activation_sparsity(model, nnx.state(model), images)


class Alike:
    """A function that equals every other of its class, whatever it computes."""

    def __init__(self, sign):
        self.sign = sign

    def __eq__(self, other):
        return isinstance(other, Alike)

    def __hash__(self):
        return 0

    def __call__(self, variables, images):
        return apply_fn(variables, self.sign * images)


def test_functions_that_compare_equal_are_not_taken_for_each_other(variables, images):
    found = [peaks(images, 23, fn=Alike(sign), variables=variables) for sign in (1, -1)]
    for sign, ours in zip((1, -1), found, strict=True):
        theirs = peaks(sign * images, 23, variables=variables)
        np.testing.assert_allclose(ours["norm1"], theirs["norm1"], rtol=1e-5, atol=1e-6)
    assert not np.allclose(found[0]["norm1"], found[1]["norm1"])
