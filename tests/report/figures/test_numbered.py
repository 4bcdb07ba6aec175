"""The paper's figures by number: each is drawn by its command, or one line says what it needs."""

from __future__ import annotations

import io
from pathlib import Path

import fake_workdir
import numpy as np
import pytest
from fake_workdir import Fake
from PIL import Image

from sparsity_jax.errors import UserError
from sparsity_jax.models import make_plan
from sparsity_jax.report import __main__ as command
from sparsity_jax.report import loading
from sparsity_jax.report.figures import final_norms, low_gradient, network, numbered, pictures
from sparsity_jax.report.figures.registry import DRAWINGS

BATCHES = tuple(Fake("adam", "l2", 1e-4, 0.4, batch_size=batch) for batch in (40, 160))
QUICK = ["--strengths=1e-3", "--phases=3:1e-3,5:0"]  # of the simulations


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figure5")
    fake_workdir.write(folder, BATCHES, evaluations=5, universality=True)
    return folder


@pytest.mark.parametrize("number", numbered.FIGURES)
def test_every_figure_is_drawn_by_its_command(number, runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SPARSITY_JAX_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(pictures, "CLASSES", 2)
    path = tmp_path / "made.png"
    options = QUICK if number in ("4", "S3") else []
    assert command.main(["figure", number, str(runs), f"--out={path}", *options]) == 0
    printed, caption = capsys.readouterr().out.strip().split("\n")
    assert printed == str(path)
    assert caption.endswith(".")
    pixels = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L"))
    assert pixels.min() < 128 < pixels.max()


def test_files_have_their_place(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(["figure", "1"]) == 0
    assert (tmp_path / "figure_1.png").exists()
    assert command.main(["figure", "1", str(runs), "--theme=dark"]) == 0
    assert (runs / "figures" / "figure_1.png").exists()
    assert command.main(["figure", "1", "--out=one.pdf"]) == 0
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, capsys):
    there = tmp_path / "taken"
    there.touch()
    assert command.main(["figure", "S3", *QUICK, f"--out={there}/x.png"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {there}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["6"], "valid are 1, 2, 3, 4, 5, S1"),
        (["2"], "figure 2 WORKDIR"),
        (["2", "nowhere"], "nowhere is not a folder"),
        (["2", "."], "measure.npz"),
        (["1", "--out=x.jpg"], ".png or .pdf"),
        (["1", "--data=mine"], "valid: cifar10"),
        (["1", "--network=LeNet"], "LeNet"),
        (["S4", "--data=cifar10"], "no backgrounds"),
        (["4", "--strengths=a"], "'a' is not a number"),
        (["4", "--phases=1e-3"], "STEPS:SIGMA"),
        (["4", "--steps=100"], "leaves nothing"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(
    arguments, said, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert command.main(["figure", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_network_is_the_plan() -> None:
    plan = make_plan("VGG-16", classes=200, input_shape=(64, 64, 3))
    listed = network.blocks(plan)
    convs = [block for block in listed if block.kind == "conv"]
    assert sum(int(block.below) for block in convs) == plan.filters
    assert [block.side for block in convs] == [shape[0] for shape in plan.conv_shapes]
    assert len([block for block in listed if block.kind == "pool"]) == 5
    assert [block.below for block in listed if block.kind == "dense"] == ["512", "256", "200"]
    said = {text.get_text() for axes in network.network_diagram(plan).axes for text in axes.texts}
    assert {block.text for block in listed} <= said


def test_a_workdirs_network_is_its_configs(runs: Path) -> None:
    parser = command._parser("figure", command.figure)
    numbered.add_options(parser)
    plan = numbered.plan_of(parser.parse_args(["1", str(runs)]))
    config = loading.load(runs).config
    assert config
    assert plan.input_shape == (16, 16, 1)
    assert plan.filters == sum(fake_workdir.FILTERS) == 464  # a quarter of BasicNet
    wide = numbered.plan_of(parser.parse_args(["1", str(runs), "--width=64-1x", "--data=cifar100"]))
    assert (wide.filters, wide.classes) == (1856, 100)


def test_the_last_gammas_and_betas_of_two_layers_are_shown(runs: Path) -> None:
    records = loading.load(runs)
    made = final_norms.gamma_beta_final(records)
    titles = [axes.get_title().split(":")[0] for axes in made.axes]
    assert titles == ["C5", "C5", "C6", "C6"]
    last = records.measures[records.rows[0].run].gamma["C6"][-1]
    words = [text.get_text() for text in made.axes[2].texts]
    assert words[1] == f"{100 * np.mean(np.abs(last) < 1e-3):.0f} %"


def test_steps_fit_the_last_phase() -> None:
    parser = command._parser("figure", command.figure)
    numbered.add_options(parser)
    regime = low_gradient.regime_of(parser.parse_args(["4", "--steps=500", "--strengths=0,1e-2"]))
    assert regime.phases == ((100, 1e-3), (400, 1e-5))
    assert regime.strengths == (1e-2, 0)
    assert "0.001 for 100 steps, then 1e-05 for 400 steps" in regime.caption
    with pytest.raises(UserError):
        low_gradient.regime_of(parser.parse_args(["4", "--phases=0:1"]))


def test_a_report_draws_the_simulation_for_the_configs_of_its_figures(runs: Path) -> None:
    (drawing,) = [each for each in DRAWINGS if each.name == "low_gradient"]
    records = loading.load(runs)
    assert not drawing.applies(records)
    assert records.config
    records.config.config["name"] = "figure_s3"
    assert drawing.applies(records)


def test_the_simulation_has_the_papers_contrast() -> None:
    """Adam with L2 goes to zero in the time in which weight decay and SGD hardly move."""
    regime = low_gradient.Regime((1e-3,))
    adam, decay, sgd = (
        low_gradient.paths(*kind, regime)[0, -1]
        for kind in (("adam", "l2"), ("adam", "wd"), ("sgd", "l2"))
    )
    assert adam < 1e-2
    assert min(decay, sgd) > 3 * adam
