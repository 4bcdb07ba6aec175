"""A grid trained in two shares gives what one process gives."""

import os
from pathlib import Path

from sparsity_jax.launch.__main__ import main as launch

GRID = f"{Path(__file__).parents[1] / 'helpers' / 'small_grid.py'}:wide"


def test_two_shares_give_the_results_of_one_process(main, rows, monkeypatch, capsys):
    root = str(Path(__file__).parent.parent.parent)
    paths = filter(None, [root, os.environ.get("PYTHONPATH")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    flags = [f"--config={GRID}", "--config.seeds=2"]
    assert main("--workdir=whole", "--config.seeds=2", config=":wide") == 0
    words = ["local", "--shares=2", "--at-once=2", "--", *flags, "--workdir=parts"]
    assert launch(words) == 0, capsys.readouterr()
    assert len(rows("whole")) == 4
    assert rows("parts") == rows("whole")
    assert Path("parts", "report.html").exists()
    for share in range(2):  # each did its part of the work
        log = Path("parts", "logs", f"share-{share}-of-2.log").read_text()
        assert "2 runs in one program" in log
