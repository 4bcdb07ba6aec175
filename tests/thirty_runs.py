"""Train ten strengths with three seeds each, a few steps, into the working directory.

Run in a process of its own, to see what it compiles: python tests/thirty_runs.py
"""

from pathlib import Path

from small_grid import get_config

from sparsity_jax import data
from sparsity_jax.fitting import fit
from sparsity_jax.jobs import groups, make_job
from sparsity_jax.settings import expand
from sparsity_jax.training import Corpus


def main() -> None:
    config = get_config()
    config.seeds, config.epochs, config.drops, config.evaluations = 3, 2.0, (), 1
    config.sweep = tuple({"strength": 10.0**-power} for power in range(1, 11))
    dataset = data.load("renderings", renderings=config.renderings.to_dict())
    corpus = Corpus.of(dataset)
    jobs = [make_job(run, dataset, corpus, Path()) for run in expand(config)]
    for group in groups(jobs, most=5):
        fit(group)


if __name__ == "__main__":
    main()
