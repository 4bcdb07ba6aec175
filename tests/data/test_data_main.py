"""`python -m sparsity_jax.data`: what it prints, writes, and answers to wrong input."""

import sys

import numpy as np
import pytest
from PIL import Image

from sparsity_jax.data import __main__ as data_main


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("SPARSITY_JAX_DATA", str(tmp_path / "data"))


def test_show_prints_facts_and_writes_a_picture(pets, tmp_path, capsys):
    path = pets.pack(tmp_path / "pets.zip", pets.files)
    out = tmp_path / "here" / "sheet.png"
    assert data_main.main(["show", f"folder:{path}", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "pets: 9 train and 6 test images, 4x5 RGB, 3 classes" in printed
    counts = {line.split()[0]: line.split()[1:] for line in printed.splitlines()[3:6]}
    assert counts == {name: ["3", "2"] for name in ("cat", "dog", "owl")}
    train = np.stack([v for k, v in pets.images.items() if k.startswith("train")]) / 255
    for label, values in (("mean", train.mean((0, 1, 2))), ("std", train.std((0, 1, 2)))):
        assert f"{label} {' '.join(f'{v:.4f}' for v in values)}" in printed
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
        shown = np.asarray(sheet)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20  # images, not an empty page


def test_show_names_the_picture_after_the_set(pets, tmp_path, capsys):
    path = pets.pack(tmp_path / "pets.zip", pets.files)
    assert data_main.main(["show", f"folder:{path}"]) == 0
    assert (tmp_path / "here" / "pets.png").is_file()
    assert "pets.png" in capsys.readouterr().out


def test_prepare_fills_the_named_folder(pets, tmp_path, capsys):
    path = pets.pack(tmp_path / "pets", pets.files)
    there = tmp_path / "there"
    assert data_main.main(["prepare", f"folder:{path}", "--data_dir", str(there)]) == 0
    assert "pets is ready" in capsys.readouterr().out
    assert len(list(there.rglob("*.npz"))) == 1
    assert not (tmp_path / "data").exists()
    assert not list((tmp_path / "here").iterdir())  # prepare draws no picture


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["show", "mnist"], "valid: renderings"),
        (["prepare", "folder:none"], "does not exist"),
        (
            ["show", "imagenet2012"],
            "too large to show; valid: `python -m",
        ),
        (["prepare", "folder:."], "holds no images"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, word, capsys, tmp_path):
    assert data_main.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert word in captured.err
    assert not list((tmp_path / "here").iterdir())


def test_unwritable_picture(pets, tmp_path, capsys):
    path = pets.pack(tmp_path / "pets.zip", pets.files)
    out = tmp_path / "no" / "such" / "sheet.png"
    assert data_main.main(["show", f"folder:{path}", "--out", str(out)]) == 2
    assert "--out" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["show"], ["draw", "renderings"], ["show", "a", "--x"]])
def test_usage_errors_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        data_main.main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("arguments", [["--help"], ["show", "--help"], ["prepare", "--help"]])
def test_help_names_what_can_be_said(arguments, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["data", *arguments])
    with pytest.raises(SystemExit) as caught:
        data_main.main()
    assert caught.value.code == 0
    text = capsys.readouterr().out
    words = ("show", "prepare") if arguments == ["--help"] else ("folder:PATH", "--data_dir")
    assert all(word in text for word in words)
