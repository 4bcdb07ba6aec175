"""Errors by class: of runs, of seeds together, and what figures and the page make of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import fake_workdir
import numpy as np
import pytest

from sparsity_jax.report import loading
from sparsity_jax.report.classes import ClassErrors, Confused, class_errors
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.confusions import (
    confusions,
    error_by_class,
    few_classes,
    many_classes,
)
from sparsity_jax.report.page.classes import class_table, confused_table
from sparsity_jax.storage.data_record import DataRecord, write_data_record
from sparsity_jax.storage.measurements import (
    Measurements,
    decode_measurements,
    encode_measurements,
    read_measurements,
    write_measurements,
)

ADAM = fake_workdir.QUICKSTART[0]


def _with_confusions(workdir: Path, *parts: np.ndarray, names: tuple[str, ...]) -> loading.Records:
    """A workdir with seeds of one run, whose test images were taken for these classes."""
    fakes = tuple(dataclasses.replace(ADAM, seed=seed) for seed in range(len(parts)))
    fake_workdir.write(workdir, fakes, evaluations=2)
    for fake, pairs in zip(fakes, parts, strict=True):
        path = workdir / "runs" / fake.run / "measure.npz"
        measure = dataclasses.replace(read_measurements(path), confusion=pairs)
        write_measurements(path, measure)
    record = DataRecord(ADAM.dataset, "", 10, 10, (8, 8, 1), names)
    write_data_record(workdir, record, b"")
    return loading.load(workdir)


@pytest.fixture
def pets(tmp_path: Path) -> loading.Records:
    first = np.array([[0, 0, 8], [0, 2, 2], [1, 1, 9], [1, 0, 1], [2, 2, 5]], np.int32)
    other = np.array([[0, 0, 9], [0, 2, 1], [1, 1, 10], [2, 2, 5]], np.int32)
    return _with_confusions(tmp_path, first, other, names=("cat", "dog", "owl"))


def test_seeds_add_up(pets: loading.Records) -> None:
    (found,) = class_errors(pets)
    assert found.names == ("cat", "dog", "owl")
    assert found.matrix.tolist() == [[17, 0, 3], [1, 19, 0], [0, 0, 10]]
    assert found.images.tolist() == [20, 20, 10]
    assert found.pct.tolist() == [15, 5, 0]
    assert found.hardest(3) == [("cat", 15), ("dog", 5)]
    assert found.most_confused(1) == [Confused("cat", "owl", 3, 15.0)]


def test_the_page_names_what_is_hard(pets: loading.Records) -> None:
    table = class_table(pets)
    assert table.titles == ("run", "cat", "dog", "owl")
    assert [cell.text for cell in table.lines[0][1:]] == ["15.0", "5.0", "0.0"]
    (line,) = confused_table(pets).lines
    texts = [cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in line]
    expected = ["Adam L2 1e-3", "50", "cat (15.0 %), dog (5.0 %)", "cat → owl (3), dog → cat (1)"]
    assert texts == expected


def test_the_errors_agree_with_the_runs(built: Path) -> None:
    records = loading.load(built)
    found = class_errors(records)
    assert len(found) == 4  # the diverged run has none
    for each in found:
        wrong = 100 * (1 - np.trace(each.matrix) / each.images.sum())
        assert wrong == pytest.approx(each.group.first.test_error, abs=0.06)


def test_a_class_without_images_has_no_error(pets: loading.Records) -> None:
    (found,) = class_errors(pets)
    errors = ClassErrors(found.group, ("cat", "dog"), np.array([[1, 1, 3], [1, 0, 1]]))
    assert np.isnan(errors.pct[0])
    assert errors.hardest(2) == [("dog", 25.0)]


def test_many_classes_are_curves_and_few_are_matrices(
    pets: loading.Records, tmp_path: Path
) -> None:
    classes = np.arange(100)
    right = np.stack([classes, classes, np.full(100, 9)], axis=1)
    wrong = np.stack([classes, (classes + 1) % 100, 1 + classes % 5], axis=1)
    pairs = np.concatenate([right, wrong]).astype(np.int32)
    many = _with_confusions(tmp_path / "many", pairs, names=tuple(f"c{i}" for i in range(100)))
    assert (len(few_classes(many)), len(many_classes(many))) == (0, 1)
    assert (len(few_classes(pets)), len(many_classes(pets))) == (1, 0)
    curve = error_by_class(many).axes[0].lines[0].get_ydata()
    assert np.all(np.diff(curve) <= 0)
    assert curve[0] == pytest.approx(100 * 5 / 14)
    assert class_table(many).lines == ()
    assert len(confused_table(many).lines) == 1
    written = {text.get_text() for text in confusions(pets, theme=style.DARK).axes[0].texts}
    assert written == {"17", "3", "1", "19", "10"}


def test_files_without_confusions_show_none(tmp_path: Path) -> None:
    rows = fake_workdir.write(tmp_path, (ADAM,), evaluations=2)
    path = tmp_path / "runs" / rows[0].run / "measure.npz"
    arrays = encode_measurements(read_measurements(path))
    assert "confusion" in arrays
    del arrays["confusion"]
    older: Measurements = decode_measurements(arrays)
    assert older.confusion.shape == (0, 3)
    write_measurements(path, older)
    records = loading.load(tmp_path)
    assert class_errors(records) == []
    assert confused_table(records).lines == ()
