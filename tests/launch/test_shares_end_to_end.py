"""A grid trained in two shares gives what one process gives."""

import csv
import os
import sys
from pathlib import Path
from unittest import mock

from sparsity_jax import main as alone
from sparsity_jax.launch.__main__ import main

CONFIG = """
from sparsity_jax.settings import default_config


def get_config(arg=None):
    config = default_config()
    config.name = "shared"
    config.renderings.update(classes=3, size=8, train_views=96, test_views=24)
    config.width = "0.0625"
    config.pool_after = (1, 3)
    config.epochs = 10.0
    config.drops = ((8.0, 0.1),)
    config.evaluations = 2
    config.strength = 0.05
    config.latency_seconds = 0.0
    config.seeds = 2
    config.sweep = ({"optimizer": "adam"}, {"optimizer": "sgd"})
    return config
"""


def results(workdir: str) -> list[dict[str, str]]:
    with Path(workdir, "results.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def test_two_shares_give_the_results_of_one_process(tmp_path, monkeypatch, capsys):
    paths = filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.chdir(tmp_path)
    Path("shared.py").write_text(CONFIG)
    with mock.patch.object(sys, "argv", ["main", "--config=shared.py", "--workdir=whole"]):
        assert alone.main() == 0
    words = ["local", "--shares=2", "--at-once=2", "--", "--config=shared.py", "--workdir=parts"]
    assert main(words) == 0, capsys.readouterr()
    assert len(results("whole")) == 4
    assert results("parts") == results("whole")
    assert Path("parts", "report.html").exists()
    for share in range(2):  # each did its part of the work
        log = Path("parts", "logs", f"share-{share}-of-2.log").read_text()
        assert "2 runs in one program" in log
