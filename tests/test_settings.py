"""A config's base and grid become checked runs, named as the paper's tables name them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.settings import default_config, expand, strength_text


def one(**fields):
    config = default_config()
    config.data = "folder:somewhere"
    config.update_from_flattened_dict(fields)
    (run,) = expand(config)
    return run


def test_the_default_is_the_papers():
    run = one()
    assert (run.optimizer, run.regularizer, run.strength, run.batch_size) == (
        "adam",
        "l2",
        1e-4,
        40,
    )
    assert run.learning_rate == 1e-3
    assert run.steps(50_000) == 406_250
    assert run.drop_steps(50_000) == ((312_500, 0.1),)
    assert run.name == "adam_l2_1e-04_b40_seed0"


@pytest.mark.parametrize("batch_size", [20, 40, 80, 160])
def test_the_batch_size_does_not_change_the_iterations(batch_size):
    run = one(batch_size=batch_size)
    assert run.steps(50_000) == 406_250


@pytest.mark.parametrize(
    ("fields", "variant"),
    [
        ({"negative_slope": 0.01}, "leaky_relu_0.01"),
        ({"beta_init": -0.1}, "beta_init=-0.1"),
        ({"beta_init": 1.0}, "beta_init=1.0"),
        ({"gamma_lr_scale": 0.1}, "gamma_lr_scale=0.1"),
        ({"beta_lr_scale": 0.1}, "beta_lr_scale=0.1"),
        ({"width": "64-0.5x"}, "width=64-0.5x"),
        ({"data": "renderings"}, "bg=clean"),
        ({"data": "renderings", "renderings.background": "cluttered"}, "bg=cluttered"),
        ({}, ""),
    ],
)
def test_variants_are_the_words_of_the_published_tables(fields, variant):
    assert one(**fields).variant == variant


def test_the_grid_times_the_seeds_each_once():
    config = default_config()
    config.sweep = ({"strength": 1e-3}, {"strength": 1e-4}, {"strength": 0.001})
    config.seeds = 2
    runs = expand(config)
    assert [(run.strength, run.seed) for run in runs] == [
        (1e-3, 0), (1e-3, 1), (1e-4, 0), (1e-4, 1),
    ]  # fmt: skip
    assert len({run.name for run in runs}) == 4


def test_no_regularizer_means_strength_zero():
    run = one(regularizer="none", strength=0.3)
    assert run.strength == 0
    assert run.name == "adam_none_b40_seed0"


@given(st.floats(1e-30, 1e3))
def test_strengths_read_back(strength):
    assert float(strength_text(strength)) == strength


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        (({"optimiser": "sgd"},), "optimiser"),
        (({"optimizer": 3},), "optimizer"),
        (({"optimizer": "lion"},), "adadelta"),
        (("adam",), "tuple of dicts"),
    ],
)
def test_a_wrong_grid_entry_is_named(sweep, said):
    config = default_config()
    config.sweep = sweep
    with pytest.raises(UserError, match=said):
        expand(config)


def test_a_foreign_field_is_named_with_the_valid_ones():
    config = default_config()
    with config.unlocked():
        config.batchsize = 3
    with pytest.raises(UserError, match=r"batchsize.*batch_size"):
        expand(config)
