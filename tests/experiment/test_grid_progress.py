"""Progress of a grid: what is said, in how many lines."""

from sparsity_jax.experiment import grid_progress
from sparsity_jax.experiment.grid_progress import GridProgress
from sparsity_jax.training.progress import Progress, Status, telling


def test_lines_count_all_runs_and_name_those_that_run(capsys, monkeypatch):
    monkeypatch.setattr(grid_progress, "LINE_EVERY", 0.0)
    shown = GridProgress({"1/3": 100, "2/3": 300}, processes=2, runs=3, finished=1)
    shown.at(Status("1/3", "a", 50, 100, {"loss": "0.5"}))
    shown.at(Status("2/3", "b", 150, 300, {}))
    shown.at(Status("", "b, fine-tuning", 10, 20, {}))
    shown.finished("1/3", ["a"])
    shown.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 of 3 runs, 2 at once: 400 steps"
    assert lines[1].startswith("1/3 runs finished, 50/400 steps, ")
    assert lines[2].startswith("1/3 runs finished, 200/400 steps, ")
    assert lines[2].endswith("[1/3] 50 %, [2/3] 50 %")
    assert lines[3] == "[1/3] a: finished, loss 0.5"
    assert "2/3 runs finished, 250/400 steps" in lines[4]
    assert len(lines) == 5


def test_a_listener_hears_instead_of_the_terminal(capsys):
    heard: list[Status] = []
    with telling(heard.append), Progress("a", total=10, place="1/2") as progress:
        progress.at(5, loss=0.25)
    assert heard == [Status("1/2", "a", 0, 10, {}), Status("1/2", "a", 5, 10, {"loss": "0.250"})]
    assert capsys.readouterr().out == ""
