"""A config's base and grid become checked runs, named as the paper's tables name them."""

import pytest

from sparsity_jax.config import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError

IMAGENET = {  # BasicNet's schedule on it (supplement, Sec. 4)
    "data": "imagenet2012",
    "reference_batch": 64,
    "epochs": 40.0,
    "drops": ((15.0, 0.1), (30.0, 0.01)),
}


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
        ({"data": "objectnet3d"}, "bg=clean"),
        ({"data": "objectnet3d:cluttered"}, "bg=cluttered"),
        (IMAGENET, ""),
        ({**IMAGENET, "augment": "crop"}, ""),
        ({**IMAGENET, "augment": "resized_crop"}, "augment=resized_crop"),
        ({"data": "imagenet2012"}, "reference_batch=40+drops=250-0.1"),
        ({"augment": "crop", "flip": False}, "flip=off+augment=crop"),
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


def test_an_entry_of_the_sweep_may_have_seeds_of_its_own():
    config = default_config()
    config.sweep = ({"strength": 1e-3, "seeds": 3}, {"strength": 1e-4})
    config.seeds = 2
    assert [(run.strength, run.seed) for run in expand(config)] == [
        *((1e-3, seed) for seed in range(3)),
        *((1e-4, seed) for seed in range(2)),
    ]


def test_no_regularizer_means_strength_zero():
    run = one(regularizer="none", strength=0.3)
    assert run.strength == 0
    assert run.name == "adam_none_b40_seed0"


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


def names(*sweep, **fields):
    config = default_config()
    config.data = "cifar10"
    config.update_from_flattened_dict(fields)
    config.sweep = sweep
    return [run.name.removesuffix("_seed0") for run in expand(config)]


def test_runs_that_differ_only_in_what_names_leave_out_are_told_apart():
    base = "adam_l2_1e-04_b40"
    assert names({"data": "cifar10"}, {"data": "cifar100"}, {"strength": 1e-3}) == [
        f"{base}_data=cifar10",
        f"{base}_data=cifar100",
        "adam_l2_1e-03_b40",
    ]
    assert names({"network": "VGG-16"}, {"network": "BasicNet"}) == [
        f"{base}_network=VGG-16",
        f"{base}_network=BasicNet",
    ]
    assert names({"data": "cifar10"}, {"data": "cifar100", "epochs": 9.0}) == [
        f"{base}_data=cifar10",
        f"{base}_data=cifar100",
    ]
    assert names({"renderings.size": 16}, {"renderings.size": 32}, data="renderings") == [
        f"{base}_bg=clean_renderings.size=16",
        f"{base}_bg=clean_renderings.size=32",
    ]
    assert names({"data": "objectnet3d"}, {"data": "objectnet3d:cluttered"}) == [
        f"{base}_bg=clean",
        f"{base}_bg=cluttered",
    ]
    assert names({"data": "folder:/a/b.zip"}, {"data": "folder:/a/c.zip"})[0] == (
        f"{base}_data=folder-a-b.zip"
    )


def test_what_no_column_shows_is_in_the_variant():
    config = default_config()
    config.data = "cifar10"
    config.sweep = ({"epochs": 1.0}, {"epochs": 2.0}, {"data": "cifar100"})
    assert [run.variant for run in expand(config)] == ["epochs=1.0", "epochs=2.0", "epochs=325.0"]


def test_names_that_stay_the_same_are_refused():
    with pytest.raises(UserError, match="told apart"):
        names({"data": "folder:a/b"}, {"data": "folder:a:b"})


def test_an_unknown_augmentation_is_named_with_the_valid_ones():
    with pytest.raises(UserError, match=r"cutout.*resized_crop"):
        one(augment="cutout")


@pytest.mark.parametrize(
    ("field", "value"), [("sweep", 2.5), ("data", ()), ("drops", 3), ("pool_after", "C1")]
)
def test_a_field_of_another_type_is_refused_although_none_came_first(field, value):
    config = default_config()
    setattr(config, field, None)  # after which a ConfigDict takes any type
    setattr(config, field, value)
    with pytest.raises(UserError, match=f"config.{field}="):
        expand(config)
