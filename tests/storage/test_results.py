"""Do the rows of results.csv survive the file, and do they keep the contract's columns?"""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.storage.results import (
    RunResult,
    decode_results,
    encode_results,
    read_results,
    write_results,
)

HEADER = (
    "run,dataset,network,optimizer,regularizer,strength,batch_size,variant,seed,steps,status,"
    "train_loss,test_loss,test_error,top5_error,sparsity_act,sparsity_gamma,c1,c2,"
    "features_pruned,features_pruned_pct,params_pruned_pct,pruned_test_error,pruned_top5_error,"
    "seconds,train_macs_pct,scale"
)

percent = st.one_of(st.just(math.nan), st.integers(0, 10000).map(lambda n: n / 100))
text = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\x00"), max_size=12
)
rows = st.builds(
    RunResult,
    run=text,
    dataset=text,
    network=st.just("BasicNet"),
    optimizer=st.sampled_from(["adam", "sgd"]),
    regularizer=st.sampled_from(["l2", "wd", "none"]),
    strength=st.sampled_from([0.0, 1e-3, 2e-4, 1.5e-5, 1.0]),
    batch_size=st.integers(1, 4096),
    variant=text,
    seed=st.integers(0, 9),
    steps=st.integers(0, 10**7),
    status=st.sampled_from(["finished", "diverged", "failed"]),
    test_error=percent,
    sparsity_gamma=percent,
    layers=st.lists(st.integers(0, 10000).map(lambda n: n / 100), max_size=16).map(tuple),
    features_pruned=st.none() | st.integers(0, 5000),
    pruned_test_error=percent,
)


def _same(a: RunResult, b: RunResult) -> bool:
    """Equality in which NaN equals NaN."""
    return repr(a) == repr(b)


@given(st.lists(rows, max_size=4))
def test_rows_survive_encoding(original: list[RunResult]) -> None:
    decoded = decode_results(encode_results(original))
    assert len(decoded) == len(original)
    assert all(_same(a, b) for a, b in zip(decoded, original, strict=True))


def _row(**changes: object) -> RunResult:
    base = RunResult("r", "CIFAR10", "BasicNet", "adam", "l2", 1e-3, 40, test_error=10.456789)
    return dataclasses.replace(base, **changes)  # pyright: ignore[reportArgumentType]


def test_columns_are_the_contracts_in_its_order() -> None:
    assert encode_results([_row(layers=(1.0, 2.0))]).splitlines()[0] == HEADER


def test_layer_columns_widen_to_the_deepest_network() -> None:
    lines = encode_results([_row(layers=(1.0,)), _row(layers=(1.0, 2.0, 3.0))]).splitlines()
    assert "c3,features_pruned" in lines[0]
    assert len({line.count(",") for line in lines}) == 1
    shallow, deep = decode_results("\n".join(lines))
    assert (len(shallow.layers), len(deep.layers)) == (1, 3)


def test_percentages_have_two_decimals_and_nan_is_empty() -> None:
    line = encode_results([_row(train_loss=math.nan)]).splitlines()[1]
    assert ",10.46," in line
    assert "nan" not in line.lower()


def test_writing_what_was_read_changes_nothing(tmp_path) -> None:
    path = tmp_path / "results.csv"
    write_results(path, [_row(sparsity_act=math.pi, layers=(1 / 3,), seconds=12.34)])
    before = path.read_bytes()
    write_results(path, read_results(path))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]


def test_no_file_means_no_rows(tmp_path) -> None:
    assert read_results(tmp_path / "results.csv") == []


def test_a_foreign_file_is_named_by_what_it_lacks() -> None:
    with pytest.raises(UserError, match="lacks the columns dataset"):
        decode_results("run,loss\na,1\n")


def test_a_bad_cell_is_named_by_its_line() -> None:
    text = encode_results([_row()]).replace(",40,", ",forty,")
    with pytest.raises(UserError, match=r"line 2.*forty"):
        decode_results(text)
