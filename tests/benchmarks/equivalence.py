"""Training that cuts dead filters beside training that does not: the same seeds, both ways.

    python tests/benchmarks/equivalence.py [--only CASE ...] [--out=FOLDER] [--seeds=3]
        [--data_dir=DIR] [--epochs=E]

Every case trains `--seeds` networks without cutting and the same ones with it, each in a workdir of
its own under --out. What is done is not done again: the same command goes on where it stopped.
Printed is a Markdown table: mean and range over the seeds, and for the twins without cutting how
many of the filters that the rule would have cut were active again later. --epochs shortens, to see
that it works.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from ml_collections import ConfigDict

from sparsity_jax.config import default_config
from sparsity_jax.distributed.preemption import Interrupted
from sparsity_jax.errors import UserError
from sparsity_jax.experiment import run as experiment
from sparsity_jax.pruning.shrink import GAMMA_THRESHOLD, dead_filters
from sparsity_jax.storage.measurements import Measurements, read_measurements

PICTURES = {"renderings.size": 16, "renderings.train_views": 5_000, "renderings.test_views": 1_000}
QUICK_START = {
    **PICTURES,
    "width": "0.25",
    "strength": 1e-3,
    "epochs": 46.0,
    "drops": ((40.0, 0.1),),
    "evaluations": 23,
}
CASES: dict[str, dict[str, Any]] = {
    # The quick start's first run: a short run at a large strength, in which gamma flickers.
    "renderings, L2 1e-3": QUICK_START,
    # Long for its strength, below the limit of vanishing, and a drop halfway: after it the gammas
    # of all layers vanish, so the second half of the run is a smaller network's.
    "renderings, L2 3e-4, early drop": {
        **QUICK_START,
        "strength": 3e-4,
        "epochs": 160.0,
        "drops": ((80.0, 0.1),),
        "evaluations": 40,
        "prune_least_gain": 0.1,
    },
    # Table 6's narrowest network, shortened from 325 epochs to 16, at three times its strength;
    # beyond 3.8e-4 Adam's gammas would not vanish before the rate drops (see `README.md`).
    "CIFAR-10, L2 3e-4, shortened": {
        "data": "cifar10",
        "width": "32-0.25x",
        "strength": 3e-4,
        "epochs": 16.0,
        "drops": ((12.8, 0.1),),
        "evaluations": 32,
        "prune_least_gain": 0.02,
    },
}
PRINTED = {
    "sparsity_gamma": "inactive filters %",
    "test_error": "test error %",
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_macs_pct": "multiply-adds spent %",
}


class Returns(NamedTuple):
    """Filters of a run without cutting that a rule would have cut at some evaluation.

    Attributes:
      declared: how many.
      returned: of these, with |gamma| >= 1e-3 at any later evaluation.
      alive: of these, with |gamma| >= 1e-3 at the end.
    """

    declared: int
    returned: int
    alive: int


def returns(measured: Measurements, *, patience: int, by_gamma_alone: bool = False) -> Returns:
    """Count what would have been cut wrongly, over all layers.

    Args:
      measured: of a run without cutting.
      patience: evaluations in a row.
      by_gamma_alone: call dead what has |gamma| < 1e-3 at that many evaluations.
    """
    counts = np.zeros(3, int)
    for layer, gamma in measured.gamma.items():
        active = np.abs(gamma) >= GAMMA_THRESHOLD
        if by_gamma_alone:
            lately = [active[max(0, t + 1 - patience) : t + 1] for t in range(len(gamma))]
            declared = np.array([~each.any(0) & (len(each) == patience) for each in lately])
        else:
            beta = measured.beta[layer]
            declared = np.array(
                [
                    dead_filters({"": gamma[:t]}, {"": beta[:t]}, patience=patience)[""]
                    for t in range(1, len(gamma) + 1)
                ]
            )
        ever, first = declared.any(0), declared.argmax(0)
        later = np.arange(len(gamma))[:, None] > first
        counts += [ever.sum(), (ever & (active & later).any(0)).sum(), (ever & active[-1]).sum()]
    return Returns(*(int(count) for count in counts))


def case_config(settings: Mapping[str, Any], asked: argparse.Namespace) -> ConfigDict:
    """The experiment of a case, without cutting."""
    config = default_config()
    config.name, config.seeds, config.latency_seconds = "equivalence", asked.seeds, 0.0
    config.update_from_flattened_dict(dict(settings))
    if asked.data_dir and config.data != "renderings":
        config.data_dir = asked.data_dir
    if asked.epochs:
        config.epochs, config.drops = asked.epochs, ()
    return config


def trained(config: ConfigDict, folder: Path) -> tuple[Path, Path]:
    """Train both ways; the workdirs without cutting and with it."""
    folders = folder / "plain", folder / "cutting"
    for path, cutting in zip(folders, (False, True), strict=True):
        config.prune_during_training = cutting
        experiment.run(config, path)
    return folders


def rows_of(workdir: Path) -> list[dict[str, str]]:
    """The rows of a workdir's results."""
    return list(csv.DictReader((workdir / "results.csv").read_text().splitlines()))


def table(name: str, folders: tuple[Path, Path], *, patience: int) -> list[str]:
    """Lines of Markdown for one case."""
    plain, cutting = (rows_of(folder) for folder in folders)
    lines = []
    for column, what in PRINTED.items():
        a, b = (np.array([float(row[column]) for row in rows]) for rows in (plain, cutting))
        spread = np.ptp(np.concatenate([a, b]))
        lines.append(
            f"| {name} | {what} | {_cell(a)} | {_cell(b)} | {b.mean() - a.mean():+.3g} "
            f"| {spread:.3g} |"
        )
    for alone, rule in ((True, "gamma alone"), (False, "the rule")):
        each = [
            returns(
                read_measurements(folders[0] / "runs" / row["run"] / "measure.npz"),
                patience=patience,
                by_gamma_alone=alone,
            )
            for row in plain
        ]
        said = "; ".join(f"{r.declared} declared, {r.returned} back, {r.alive} alive" for r in each)
        lines.append(f"| {name} | by {rule}, seed by seed | {said} | | | |")
    return lines


def _cell(values: np.ndarray) -> str:
    return f"{values.mean():.4g} ({values.min():.4g} to {values.max():.4g})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path, default=Path("runs/equivalence"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data_dir", default="")
    parser.add_argument("--epochs", type=float, default=0.0)
    asked = parser.parse_args(arguments)
    lines: list[str] = []
    for name in asked.only:
        config = case_config(CASES[name], asked)
        folder = asked.out / name.replace(", ", "_").replace(" ", "_")
        try:
            lines += table(name, trained(config, folder), patience=config.prune_patience)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        except Interrupted as stop:
            return 128 + stop.signum
    head = ["case", "", "without cutting", "with", "difference", "range of all seeds"]
    print("\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
