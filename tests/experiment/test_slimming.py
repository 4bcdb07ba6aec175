"""Network Slimming as a run: its penalty shrinks gammas, and is no part of other programs."""

import jax
import numpy as np

from sparsity_jax.training import init_state, train_steps
from sparsity_jax.training.state import build_optimizer


def gamma_after(made, steps):
    state = train_steps(
        made.program, made.hparams, made.data, init_state(made.program, made.hparams), until=steps
    )
    return np.mean([abs(np.asarray(x["norm"]["scale"])).mean() for x in state.params.values()
                    if "conv" in x])  # fmt: skip


def test_the_penalty_shrinks_gamma(small_run):
    plain, slim = (
        small_run(optimizer="sgd"),
        small_run(optimizer="sgd", gamma_l1=0.05, criterion="slimming"),
    )
    assert gamma_after(slim, 4) < gamma_after(plain, 4) - 0.005
    assert slim.config.variant.endswith("gamma_l1=5e-02+baseline=slimming_0.5")


def test_strengths_share_a_setup_and_none_has_its_own(small_run):
    setups = [small_run(gamma_l1=strength).program for strength in (0.0, 1e-4, 1e-3)]
    assert setups[0] != setups[1] == setups[2]
    made = small_run()
    params = init_state(made.program, made.hparams).params
    rule = build_optimizer(made.program, made.hparams)
    assert "sign" not in str(jax.make_jaxpr(rule.update)(params, rule.init(params), params))
