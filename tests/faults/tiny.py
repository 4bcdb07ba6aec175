"""The small experiment that every fault is tried on, and what must not depend on faults."""

import csv
import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from sparsity_jax.config.base import default_config

EVALUATIONS = 4


def get_config(arg: str | None = None) -> ConfigDict:
    """Two runs of 120 steps on 120 small pictures.

    Args:
      arg: 'population': three runs, in one program; 'streamed': data that stream, networks that are
        pruned exactly and trained on; 'cutting': filters are cut on the way, several times.
    """
    config = default_config()
    config.name = "tiny"
    config.renderings.update(classes=3, size=12, train_views=120, test_views=30)
    config.width = "0.0625"
    config.pool_after = (1, 3)
    config.epochs = 40.0
    config.drops = ((30.0, 0.1),)
    config.evaluations = EVALUATIONS
    config.strength = 0.05
    config.latency_seconds = 0.0
    config.sweep = ({"optimizer": "adam"}, {"optimizer": "sgd", "regularizer": "none"})
    if arg == "streamed":
        config.device_bytes = 0
        config.prune_mode = "exact"
        config.finetune_epochs = 5.0
    if arg == "population":
        config.sweep = tuple({"strength": strength} for strength in (0.05, 0.01, 0.002))
    if arg == "cutting":
        config.prune_during_training, config.prune_patience = True, 1
        config.prune_least_gain, config.evaluations = 0.2, 8
        # Decay moves the weights until gammas vanish; what is left of Adam says how soon.
        config.regularizer, config.strength, config.drops = "wd", 0.75, ()
        config.sweep = tuple({"learning_rate": rate} for rate in (3e-28, 1e-28))
    return config


def results(workdir: Path) -> dict[str, Any]:
    """Everything that must come out bit for bit, whatever happened on the way.

    Left out are times (the column `seconds`, latencies), what is drawn from the rest, and files
    that a process which was killed had begun to write beside those that they were to replace.
    """
    rows = list(csv.DictReader((workdir / "results.csv").read_text().splitlines()))
    found: dict[str, Any] = {
        "results.csv": [{**row, "seconds": ""} for row in rows],
        "history.jsonl": (workdir / "history.jsonl").read_bytes(),
    }
    for folder in sorted((workdir / "runs").iterdir()):
        pruned = json.loads((folder / "pruned.json").read_text())
        found[f"{folder.name}/pruned.json"] = {**pruned, "latency": None}
        for path in (folder / "measure.npz", *sorted((folder / "pruned").glob("[!.]*"))):
            found[f"{folder.name}/{path.name}"] = path.read_bytes()
        found[f"{folder.name}/last checkpoint"] = _leaf_digests(folder / "checkpoints")
    return found


def differing(workdir: Path, reference: dict[str, Any]) -> list[str]:
    """The results that are not those of the reference."""
    try:
        there = results(workdir)
    except FileNotFoundError as error:
        return [f"{error.filename} is missing"]
    return sorted(n for n in {*there, *reference} if there.get(n) != reference.get(n))


def _leaf_digests(checkpoints: Path) -> dict[str, str]:
    """Step and digests of all leaves (parameters, statistics, optimizer) of the last checkpoint."""
    if not checkpoints.exists():
        return {}
    last = max((path for path in checkpoints.iterdir() if path.name.isdigit()), key=_step)
    content = json.loads((last / "metadata" / "metadata").read_text())
    return {"step": last.name, **content["leaves"]}


def _step(path: Path) -> int:
    return int(path.name)
