"""`~` in a path means the home folder wherever a path can be given, also behind `=`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from sparsity_jax import doctor, main
from sparsity_jax.audit import __main__ as audit
from sparsity_jax.data import __main__ as data
from sparsity_jax.data import default_data_dir
from sparsity_jax.errors import UserError, user_path
from sparsity_jax.launch import __main__ as launch
from sparsity_jax.report import __main__ as report

QUICKSTART = f"--config={Path(__file__).parents[1] / 'configs' / 'quickstart.py'}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder; the working folder is another."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_home_is_spelled_out_and_the_rest_is_left(home: Path) -> None:
    assert user_path("~/runs/a") == home / "runs" / "a"
    assert user_path("runs/~/a") == Path("runs/~/a")
    assert user_path(Path("~")) == home


def test_data_lie_where_the_variable_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSITY_JAX_DATA", "~/sets")
    assert default_data_dir() == home / "sets"


def test_a_figure_is_written_to_the_home_folder(home: Path) -> None:
    assert report.main(["figure", "1", "--out=~/figure.png"]) == 0
    assert (home / "figure.png").exists()
    assert not list(Path().iterdir())


def test_an_audit_reads_and_writes_in_the_home_folder(home: Path) -> None:
    zeros = np.zeros(4, np.float32)
    parts = {"weight": zeros, "bias": zeros, "running_mean": zeros, "running_var": zeros}
    np.savez(home / "net.npz", **{f"bn.{name}": value for name, value in parts.items()})
    assert audit.main(["~/net.npz", "--html=~/page.html"]) == 0
    assert (home / "page.html").exists()
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("run", "flags"),
    [
        (report.main, ["figure", "1", "--out=~not_a_user/f.png"]),
        (report.main, ["--out=~not_a_user/r", "."]),
        (report.main, ["reproduced", "~not_a_user/w"]),
        (audit.main, ["~not_a_user/net.npz"]),
        (doctor.main, ["--workdir=~not_a_user/w"]),
        (doctor.main, ["--data_dir=~not_a_user/w"]),
        (data.main, ["show", "renderings", "--out=~not_a_user/f.png"]),
        (data.main, ["prepare", "renderings", "--data_dir=~not_a_user/d"]),
        (data.main, ["show", "folder:~not_a_user/f", "--data_dir=d"]),
        (launch.main, ["local", "--shares=2", "--", QUICKSTART, "--workdir=~not_a_user/w"]),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_home_of_nobody_is_one_line(
    run: Callable[[Sequence[str]], int], flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ~not_a_user/")
    assert error.count("\n") == 1
    assert not [path for path in Path().iterdir() if path.name.startswith("~")]


@pytest.mark.usefixtures("home")
def test_training_refuses_a_home_of_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [QUICKSTART, "--workdir=~not_a_user/w"]
    monkeypatch.setattr("sys.argv", ["main", *flags])
    assert main.main() == 2
    assert "~not_a_user is no home folder" in capsys.readouterr().err
    with pytest.raises(UserError, match="~not_a_user is no home folder here"):
        user_path("~not_a_user/w")
