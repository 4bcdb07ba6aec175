"""Every way of pruning a run: what goes, what is measured, and what is written down."""

import jax
import numpy as np
import pytest

from sparsity_jax.data.augment import normalise
from sparsity_jax.experiment.prune import prune_network
from sparsity_jax.models.convnet import logits
from sparsity_jax.storage.models import load_model
from sparsity_jax.storage.pruned import decode_pruned, encode_pruned

DEAD = {"C2": 2, "C6": 3}
compiled = jax.jit(logits, static_argnums=0)


def answers(plan, variables, data):
    return np.asarray(compiled(plan, variables, normalise(data.test_images, data.mean, data.std)))


def removed(record):
    counts = {name: layer["filters"] - layer["kept"] for name, layer in record.layers.items()}
    return {name: count for name, count in counts.items() if count}


def test_the_default_is_the_papers_pruning(small_run, dead_state):
    made = small_run()
    pruned_run = prune_network(made, dead_state(made))
    record = pruned_run.record
    assert removed(record) == DEAD
    assert (record.mode, record.criterion, record.finetune_steps) == ("author", "gamma", 0)
    assert record.masked_test_error == record.pruned_test_error == pruned_run.score.error
    assert record.max_logit_difference < 1e-5
    assert record.folded is None
    assert record.latency == ()
    assert record.file_bytes.pruned < record.file_bytes.dense
    plan, variables = load_model(made.folder / "pruned")
    assert plan == pruned_run.plan
    np.testing.assert_array_equal(
        answers(plan, variables, made.data), answers(*pruned_run[:2], made.data)
    )
    assert sorted(path.name for path in made.folder.iterdir()) == ["pruned"]


def test_the_exact_mode_keeps_the_constant_that_the_authors_drops(small_run, dead_state):
    made = {mode: small_run(prune_mode=mode) for mode in ("author", "exact")}
    state = dead_state(made["exact"], 0.7)
    dense = answers(made["exact"].program.plan, state.variables, made["exact"].data)
    pruned_run = {mode: prune_network(made[mode], state) for mode in made}
    off = {
        mode: np.abs(answers(*found[:2], made[mode].data) - dense).max()
        for mode, found in pruned_run.items()
    }
    folded = pruned_run["exact"].record.folded
    assert off["exact"] < off["author"]
    assert folded.max_logit_difference == pytest.approx(off["exact"], rel=1e-3)
    # What is left is all border: maps are padded with zeros, not with the constant.
    assert folded.border == pytest.approx(folded.max_logit_difference, rel=1e-2)
    assert made["exact"].config.variant.endswith("prune=exact")


def test_the_baselines_write_the_same_columns(small_run, dead_state):
    l1 = small_run(criterion="l1", prune_fraction=0.5, prune_layers=("C1", "C7"))
    found = prune_network(l1, dead_state(l1))
    assert removed(found.record) == {"C1": 4, "C7": 32}
    assert found.record.criterion == "l1"
    slimming = small_run(criterion="slimming", prune_fraction=5 / l1.program.plan.filters)
    assert removed(prune_network(slimming, dead_state(slimming)).record) == DEAD


def test_latency_is_measured_when_time_is_given(small_run, dead_state):
    made = small_run(latency_seconds=0.01)
    record = prune_network(made, dead_state(made)).record
    assert [timing.batch for timing in record.latency] == [1, 32, 256]
    assert all(timing.dense_ms > 0 < timing.pruned_ms for timing in record.latency)
    written = encode_pruned(record)
    assert encode_pruned(decode_pruned(written)) == written
    assert decode_pruned(written).latency == record.latency
