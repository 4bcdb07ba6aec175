"""Workdirs and files of rows judged together: each run once, errors in one line, JSON to read."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_workdir
import pytest

from sparsity_jax import report
from sparsity_jax.report import __main__ as command
from sparsity_jax.report.paper.claims import CLAIMS
from sparsity_jax.report.paper.joined import join, read_sources
from sparsity_jax.storage.results import RunResult, encode_results, write_results

ROW = RunResult(
    "a", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, steps=406_250, test_error=10.5,
    sparsity_gamma=70.0, layers=(44.0, 22.0, 6.0, 45.0, 54.0, 96.0, 95.0), pruned_test_error=10.5,
    train_macs_pct=100.0, scale=1.0,
)  # fmt: skip


def _file(path: Path, *rows: RunResult) -> str:
    write_results(path, rows)
    return str(path)


def _judged(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert command.main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_files_of_several_machines_say_what_their_rows_say_together(
    paper: list[RunResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    halves = (paper[::2], paper[1::2])
    files = [_file(tmp_path / f"{i}.csv", *half) for i, half in enumerate(halves)]
    found = _judged(capsys, *files)
    whole = report.check_claims(paper)
    assert {c["claim"]: c["outcome"] for c in found["claims"]} == {
        c.claim: c.outcome for c in whole
    }
    assert len(found["claims"]) == len(CLAIMS)
    assert {line["verdict"] for line in found["compare"] if line["n"]} == {"agrees"}
    assert all({"claim", "outcome", "evidence"} <= set(claim) for claim in found["claims"])


def test_the_order_of_files_does_not_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = dataclasses.replace(ROW, test_error=11.0)  # the same run, on another machine
    files = [_file(tmp_path / "a.csv", ROW), _file(tmp_path / "b.csv", other)]
    one, two = (_judged(capsys, *order) for order in (files, files[::-1]))
    assert one["compare"] == two["compare"]


@pytest.mark.parametrize(
    ("again", "n"),
    [
        ({}, 1),
        ({"run": "another name of it"}, 1),
        ({"test_error": 10.9}, 1),
        ({"seed": 1}, 2),
        ({"seed": 1, "status": "failed"}, 1),
        ({"dataset": "cifar10_jpeg"}, 2),
    ],
)
def test_a_run_in_two_files_counts_once(again: dict[str, Any], n: int, tmp_path: Path) -> None:
    files = (
        _file(tmp_path / "a.csv", ROW),
        _file(tmp_path / "b.csv", dataclasses.replace(ROW, **again)),
    )
    together = join(read_sources([Path(file) for file in files]))
    finished = [row for row in together.records.rows if row.status == "finished"]
    assert len(finished) == n
    assert bool(together.notes) is (n == 1 and "status" not in again)
    assert ("differ" in "".join(together.notes)) is ("test_error" in again)


def test_runs_of_one_name_in_two_files_are_two_runs(tmp_path: Path) -> None:
    other = dataclasses.replace(ROW, dataset="CIFAR100", sparsity_gamma=47.0)
    files = [_file(tmp_path / "a.csv", ROW), _file(tmp_path / "b.csv", other)]
    (claim,) = (
        each
        for each in report.check_claims(join(read_sources(list(map(Path, files)))).records.rows)
        if each.claim == "Harder tasks, less sparsity"
    )
    assert claim.outcome == "pass"
    assert set(claim.runs) == {f"{file}:a" for file in files}


def test_a_workdir_its_file_and_a_copy_are_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workdir brings what only it has: measurements, and the length of its runs."""
    monkeypatch.setattr("sparsity_jax.report.figures.registry.DRAWINGS", ())
    built = tmp_path / "quickstart"
    fake_workdir.write(built, evaluations=4, universality=True)
    report.build(built)
    copy = tmp_path / "other.csv"
    copy.write_bytes((built / "results.csv").read_bytes())
    alone = _judged(capsys, str(built))
    assert alone == _judged(capsys, str(built), str(built / "results.csv"))
    together = _judged(capsys, str(copy), str(built))
    for both, one in zip(together["claims"], alone["claims"], strict=True):
        assert (both["outcome"], both["evidence"]) == (one["outcome"], one["evidence"])
    kept = json.loads((built / "claims.json").read_text())["claims"]
    assert kept == alone["claims"]


def test_rows_know_how_long_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the paper has no length and config.json stayed on the other machine."""
    mine = dataclasses.replace(ROW, dataset="renderings", steps=5_000, scale=0.125)
    sgd = dataclasses.replace(mine, run="b", optimizer="sgd", sparsity_gamma=0.0)
    found = _judged(capsys, _file(tmp_path / "a.csv", mine, sgd))
    assert {claim["outcome"] for claim in found["claims"]} == {"shortened", "not testable"}
    assert command.main([str(tmp_path / "a.csv")]) == 0
    assert "The paper does not train on renderings" in capsys.readouterr().out
    unknown = [dataclasses.replace(row, scale=float("nan")) for row in (mine, sgd)]
    assert command.main([_file(tmp_path / "b.csv", *unknown), "--json"]) == 0
    assert "nothing tells whether 2 runs were shortened" in capsys.readouterr().err


def test_files_without_the_newest_columns_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, line, *_ = encode_results([ROW]).splitlines()
    old = [",".join(text.split(",")[:-2]) for text in (header, line)]
    path = tmp_path / "old.csv"
    path.write_text("\n".join(old) + "\n")
    new = _judged(capsys, _file(tmp_path / "new.csv", ROW))
    assert _judged(capsys, str(path)) == new
    assert _judged(capsys, str(path), str(tmp_path / "new.csv"))["compare"] == new["compare"]


TEXT = encode_results([ROW, dataclasses.replace(ROW, seed=1)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (TEXT.splitlines()[0] + "\n", "holds no run yet"),
        ("a,b\n1,2\n", "lacks the columns"),
        ('{"claims": []}', "lacks the columns"),
        (TEXT[: len(TEXT) // 5], "lacks the columns"),
        (TEXT[:-40], "line 3"),
        (TEXT.replace("406250", "many"), "many"),
        (TEXT.replace("finished", "finished,more"), "line 2"),
        ("\udcff\udcfe", "damaged"),
    ],
)
def test_bad_files_are_one_line_and_code_two(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, good = tmp_path / "bad.csv", _file(tmp_path / "good.csv", ROW)
    path.write_bytes(content.encode(errors="surrogateescape"))
    for more in ([], ["--json"], ["--out", str(tmp_path / "out")]):
        assert command.main([good, str(path), *more]) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert error.startswith(f"error: {path}")
        assert said in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_workdir_is_one_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_workdir.write(tmp_path / "w", fake_workdir.QUICKSTART[:1], evaluations=4)
    text = (tmp_path / "w" / "results.csv").read_text()
    (tmp_path / "w" / "results.csv").write_text(text[:-60])
    assert command.main([str(tmp_path / "w")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "w" / "report.html").exists()


def test_what_is_written_is_what_a_workdir_holds(
    tmp_path: Path, paper: list[RunResult], capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = _file(tmp_path / "a.csv", *paper), tmp_path / "new" / "out"
    assert command.main([file, "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"claims.json", "compare.csv", "tables"}
    assert (out / "tables" / "table2.html").exists()
    assert str(out) in capsys.readouterr().out
    for place, said in ((file, "is not a folder"), (tmp_path / "w", "is a workdir")):
        fake_workdir.write(tmp_path / "w", fake_workdir.QUICKSTART[:1], evaluations=4)
        assert command.main([file, "--out", str(place)]) == 2
        assert said in capsys.readouterr().err


def test_the_text_tells_claims_verdicts_and_lengths(
    tmp_path: Path, paper: list[RunResult], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([_file(tmp_path / "a.csv", *paper)]) == 0
    full = capsys.readouterr().out
    assert f"The paper's claims on these runs: {len(CLAIMS) - 10} pass, 10 not testable." in full
    assert "agrees" in full
    assert "of full length" not in full
    assert "in miniature" not in full
    short = [dataclasses.replace(row, steps=row.steps // 8) for row in paper]
    random.Random(0).shuffle(short)
    assert command.main([_file(tmp_path / "b.csv", *short)]) == 0
    out = capsys.readouterr().out
    assert out.count("These runs are shortened to 12.5 % of full length") == 2
    assert "agrees" not in out.replace("agrees on them", "")


def test_a_closed_pipe_ends_quietly(tmp_path: Path, paper: list[RunResult]) -> None:
    file = _file(tmp_path / "a.csv", *paper)
    asked = [sys.executable, "-m", "sparsity_jax.report", file, "--json"]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(2) == b"{\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
