"""Does history.jsonl survive crashes, resumes and the numbers that are not numbers?"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.storage.history import (
    Evaluation,
    append_history,
    cut_off_line,
    decode_line,
    encode_line,
    read_history,
    truncate_after,
)

numbers = st.floats(allow_infinity=False)


def _evaluation(run: str, step: int) -> Evaluation:
    return Evaluation(run=run, step=step, epoch=step / 10, layers={"C1": 1.0 * step})


@given(run=st.text(), step=st.integers(0, 10**9), loss=numbers, pct=numbers)
def test_lines_survive_encoding(run: str, step: int, loss: float, pct: float) -> None:
    original = Evaluation(run, step, 0.5, train_loss=loss, layers={"C1": pct})
    line = encode_line(original)
    assert "\n" not in line
    assert "NaN" not in line.replace(run, "")
    assert repr(decode_line(line)) == repr(original)


def test_infinite_losses_are_null_and_read_as_nan() -> None:
    assert math.isnan(decode_line(encode_line(Evaluation("a", 1, 1.0, math.inf))).learning_rate)


def test_a_line_without_its_newline_is_ignored_named_and_overwritten(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    append_history(path, [_evaluation("a", 1)])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"run": "a", "st')
    assert [e.step for e in read_history(path)] == [1]
    assert cut_off_line(path) == '{"run": "a", "st'
    append_history(path, [_evaluation("a", 2)])
    assert [e.step for e in read_history(path)] == [1, 2]
    assert path.read_bytes().startswith(whole)
    assert cut_off_line(path) == ""


@given(cut=st.integers(1, 200))
def test_any_cut_of_the_last_line_loses_that_line_only(tmp_path_factory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "history.jsonl"
    append_history(path, [_evaluation("a", step) for step in (1, 2, 3)])
    last = len(encode_line(_evaluation("a", 3))) + 1
    path.write_bytes(path.read_bytes()[: -min(cut, last)])
    assert [e.step for e in read_history(path)] == [1, 2]


def test_a_long_cut_off_line_is_found_whole(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"\n" + b"x" * 10_000)
    assert len(cut_off_line(path)) == 10_000


def test_a_broken_line_before_the_last_is_an_error_that_names_it(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    append_history(path, [_evaluation("a", 1)])
    path.write_bytes(path.read_bytes() + b"[1]\n" + path.read_bytes())
    with pytest.raises(UserError, match="line 2"):
        read_history(path)


def test_truncation_drops_only_this_runs_later_steps(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    append_history(path, [_evaluation(run, s) for s in (1, 2, 3) for run in "ab"])
    assert truncate_after(path, "a", 2) == 1
    assert [(e.run, e.step) for e in read_history(path)] == [
        ("a", 1), ("b", 1), ("a", 2), ("b", 2), ("b", 3),
    ]  # fmt: skip


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path) -> None:
    straight, resumed = tmp_path / "straight.jsonl", tmp_path / "resumed.jsonl"
    steps = [_evaluation("a", step) for step in range(6)]
    append_history(straight, steps)
    append_history(resumed, steps[:4])
    resumed.write_bytes(resumed.read_bytes() + b'{"run": "a"')
    truncate_after(resumed, "a", 2)
    append_history(resumed, steps[3:])
    assert resumed.read_bytes() == straight.read_bytes()


def test_a_missing_file_is_an_empty_history(tmp_path) -> None:
    assert read_history(tmp_path / "none.jsonl") == []
    assert truncate_after(tmp_path / "none.jsonl", "a", 0) == 0
    assert cut_off_line(tmp_path / "none.jsonl") == ""
