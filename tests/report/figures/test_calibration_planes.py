"""The picture of the calibration candidates: what stands where, and what is left out."""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from sparsity_jax.report import __main__ as command
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.calibration import SIZES, calibration_planes
from sparsity_jax.report.paper.calibration import FULL_STEPS, Entry, recorded, targets

LITERAL = next(
    line for line in recorded() if (line.candidate, line.length) == ("literal", FULL_STEPS)
)


def _marks(axes: Axes, kind: str) -> list[tuple[float, float]]:
    """Where the marks of this size stand."""
    drawn = [line for line in axes.lines if line.get_linestyle() == "None"]
    return [
        (float(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0]))
        for line in drawn
        if line.get_markersize() == SIZES[kind]
    ]


def _with(line: Entry, **numbers: float) -> Entry:
    return dataclasses.replace(line, numbers={**line.numbers, **numbers})


def test_every_run_on_record_stands_at_its_numbers_with_its_candidates_number():
    made = calibration_planes(recorded())
    for axes, (dataset, target) in zip(made.axes, targets().items(), strict=False):
        row = target.row
        assert _marks(axes, "published") == [(row.train_loss, row.test_error)]
        for kind, is_full in (("full", True), ("shortened", False)):
            expected = {
                (line.numbers["train_loss"], line.numbers["test_error"])
                for line in recorded()
                if line.dataset == dataset and (line.length == FULL_STEPS) == is_full
            }
            assert set(_marks(axes, kind)) == expected
        written = [text.get_text() for text in axes.texts]
        assert len(written) == len(_marks(axes, "full")) + len(_marks(axes, "shortened"))
    shown = {line.candidate for line in recorded()}
    words = [text.get_text() for text in made.legends[0].get_texts()]
    assert {word.split("  ")[1] for word in words if "  " in word} == shown


def test_seeds_are_one_point_at_their_mean():
    seeds = [
        dataclasses.replace(_with(LITERAL, train_loss=loss), seed=seed)
        for seed, loss in enumerate((0.1, 0.3))
    ]
    ((loss, _),) = _marks(calibration_planes(seeds).axes[0], "full")
    assert loss == pytest.approx(0.2)


@pytest.mark.parametrize("loss", [0.0, math.nan, math.inf])
def test_what_has_no_place_on_the_axes_is_left_out(loss):
    first, second, *_ = calibration_planes([_with(LITERAL, train_loss=loss)]).axes
    assert _marks(first, "full") == _marks(second, "full") == []


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
def test_without_any_run_the_published_rows_stand_alone(theme):
    made = calibration_planes([], theme=theme)
    assert [len(_marks(axes, "published")) for axes in made.axes[:2]] == [1, 1]
    style.png(made, theme)


def test_the_command_draws_it_into_the_file(tmp_path, capsys):
    path = tmp_path / "made.png"
    assert command.main(["calibration", f"--out={path}"]) == 0
    *_, place, caption = capsys.readouterr().out.strip().split("\n")
    assert place == str(path)
    assert caption.startswith("Test error over training loss")
    pixels = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L"))
    assert pixels.min() < 128 < pixels.max()
    assert command.main(["calibration", f"--out={tmp_path / 'made.pdf'}", "--theme=dark"]) == 0
    assert Path(tmp_path, "made.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["made.svg", "made", ".png"])
def test_other_kinds_of_files_are_refused_in_one_line(name, tmp_path, capsys):
    assert command.main(["calibration", f"--out={tmp_path / name}"]) == 2
    told = capsys.readouterr()
    assert "must end in .png or .pdf" in told.err
    assert told.out == ""
