"""A run that two grids share is trained once, when they are given one store."""

from pathlib import Path

from sparsity_jax.training import trainer

SHORT = ("--config.seeds=1", "--config.epochs=4", "--config.drops=()", "--config.evaluations=2")


def test_a_run_of_another_grid_is_taken_from_the_store(main, rows, monkeypatch, capsys):
    assert main(*SHORT, "--config.store=store", "--workdir=first", config=":wide") == 0
    assert "taken from" not in capsys.readouterr().out
    assert len(list(Path("store").iterdir())) == 2
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train_population", None)  # would fail if anything were trained
        assert main(*SHORT, "--config.store=store", "--workdir=second") == 0
    assert "trained before, taken from store" in capsys.readouterr().out
    assert rows("second") == rows("first")[:1]
    assert (Path("second") / "history.jsonl").read_text().count("\n") == 2
    assert (
        main(*SHORT, "--config.store=store", "--workdir=second") == 0
    )  # finished: only the table again


def test_without_a_store_everything_is_trained_anew(main, capsys):
    assert main(*SHORT, "--config.store=store", "--workdir=first") == 0
    assert main(*SHORT, "--config.store=elsewhere", "--workdir=second") == 0
    assert "taken from" not in capsys.readouterr().out
