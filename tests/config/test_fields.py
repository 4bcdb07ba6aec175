"""Every field of the config: a wrong type is refused in one line, a valid one reaches the run."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.config import default_config
from sparsity_jax.config.base import ExperimentConfig, all_fields
from sparsity_jax.config.command_line import field_table, override
from sparsity_jax.config.fields import nearest_first
from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.config.sweep import expand, sweepable
from sparsity_jax.config.types import fits, parse, settled
from sparsity_jax.data.renderings.dataset import BACKGROUNDS
from sparsity_jax.errors import UserError
from sparsity_jax.pruning import keep_by
from sparsity_jax.training.members import MAPPED

NAMES = st.sampled_from(sorted(all_fields()))
NUMBERS = st.one_of(st.integers(), st.floats(), st.just(10**400))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5), st.binary(max_size=3))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        # A ConfigDict takes no dict whose keys hold dots.
        st.dictionaries(st.text(max_size=3).filter(lambda key: "." not in key), inner, max_size=2),
        st.dictionaries(st.integers(), inner, max_size=2),
        st.builds(object),
    ),
    max_leaves=5,
)


def is_one_line(text):
    return "\n" not in text and len(text) < 2_000


def changed(**values):
    """The default config with values of any type."""
    config = default_config()
    with config.ignore_type(), config.unlocked():
        config.update_from_flattened_dict({"renderings.size": 8, "renderings.train_views": 10})
        for name, value in values.items():
            parent, _, inner = name.rpartition(".")
            place = config[parent] if parent else config
            del place[inner]  # and its type
            place[inner] = value
    return config


def refusal(act, *given):
    """What a call is refused with; '' if it is not."""
    try:
        act(*given)
    except UserError as error:
        return str(error)
    return ""


@settings(max_examples=200, deadline=None)
@given(NAMES, VALUES)
def test_a_value_of_the_wrong_type_is_one_line_that_names_its_field(name, value):
    if fits(value, all_fields()[name].hint):
        return
    said = refusal(expand, changed(**{name: value}))
    assert said.startswith(f"config.{name}")
    assert is_one_line(said)


@settings(max_examples=200, deadline=None)
@given(NAMES, VALUES)
def test_any_value_gives_runs_or_one_line(name, value):
    assert is_one_line(refusal(expand, changed(**{name: value})))


@settings(max_examples=200, deadline=None)
@given(st.one_of(NAMES, st.text(max_size=8), st.integers(), st.just("renderings")), VALUES)
def test_any_entry_of_a_sweep_gives_runs_or_one_line(name, value):
    said = refusal(expand, changed(sweep=({name: value},)))
    assert is_one_line(said)
    assert said or name in (*sweepable(), "renderings")


@settings(max_examples=200, deadline=None)
@given(st.one_of(NAMES, st.just("renderings")), st.one_of(st.text(), VALUES.map(str)))
def test_any_text_on_the_command_line_sets_its_field_or_is_refused(name, text):
    said = refusal(override, default_config(), {name: text})
    assert is_one_line(said)
    assert not said or name in said


def test_dicts_that_a_config_cannot_hold_are_refused():
    with pytest.raises(UserError, match="not all text"):
        expand(changed(batch_size={"": 1, 0: 2}))


@pytest.mark.parametrize("name", ["strength", "seeds", "data", "sweep"])
def test_an_integer_that_python_does_not_print_is_refused_in_one_line(name):
    said = refusal(expand, changed(**{name: 10**5_000}))
    assert said.startswith(f"config.{name}=<int> must be")


@pytest.mark.parametrize("name", sorted(all_fields()))
def test_what_python_prints_of_a_default_reads_back(name):
    field = all_fields()[name]
    assert settled(parse(str(field.default), field.hint), field.hint) == field.default
    assert fits(field.default, field.hint)


@pytest.mark.parametrize("name", sorted(all_fields()))
def test_every_field_is_described_in_one_line_and_on_the_table(name):
    said = all_fields()[name].setting.help
    assert said
    assert "\n" not in said
    (row,) = [line for line in field_table().splitlines() if line.split(" ")[0] == name]
    assert len(row) <= 100


def test_a_field_of_every_run_reaches_it():
    """Set away from its default, each field of a run changes what `expand` makes."""
    others = {
        "network": "VGG-16", "optimizer": "sgd", "regularizer": "wd", "wd_mode": "lr",
        "width": "0.25", "pool": "avg2", "pool_after": (1,), "stride_2": (1,), "flip": False,
        "drops": ((1.0, 0.5),), "augment": "crop", "precision": "bfloat16", "data": "cifar10",
        "criterion": "slimming", "prune_mode": "exact", "learning_rate": 0.5, "norm_parts": 2,
        "prune_layers": ("C1",), "renderings.background": "cluttered", "dropout": 0.5,
    }  # fmt: skip
    (usual,) = expand(default_config())
    for name, value in others.items():
        sweep = {name: value} | ({"criterion": "l1"} if name == "prune_layers" else {})
        (run,) = expand(changed(sweep=(sweep,)))
        assert getattr(run, name.partition(".")[0]) != getattr(usual, name.partition(".")[0]), name


def test_a_run_has_the_fields_of_its_experiment_but_for_those_that_all_runs_share():
    run = {field.name for field in dataclasses.fields(RunConfig)}
    whole = {field.name for field in dataclasses.fields(ExperimentConfig)}
    assert run < whole
    assert whole - run == {name for name in all_fields() if name not in sweepable()} | {"seeds"}


def test_choices_are_those_of_the_code_that_acts():
    def choices(name):
        return tuple(all_fields()[name].setting.choices)

    assert set(choices("member_map")) == set(MAPPED)
    assert choices("renderings.background") == BACKGROUNDS
    with pytest.raises(UserError, match=", ".join(choices("criterion"))):
        keep_by("neither", {}, fraction=0.5)


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("lr", "learning_rate"),
        ("bs", "batch_size"),
        ("optimiser", "optimizer"),
        ("batchsize", "batch_size"),
        ("decay_mode", "wd_mode"),
        ("background", "renderings.background"),
        ("renderings.sise", "renderings.size"),
    ],
)
def test_the_field_that_was_meant_comes_first(word, first):
    near = nearest_first(word, all_fields())
    assert near[0] == first
    assert sorted(near) == sorted(all_fields())
