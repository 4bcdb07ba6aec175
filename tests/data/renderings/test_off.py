"""OFF files as they are found: untidy ones are read, broken ones refused, none hang."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparsity_jax.data.renderings.off import read_off

VERTICES = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]]
FACES = [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [0, 2, 1], [0, 3, 2]]
BODY = "\n".join(
    [*(f"{x} {y} {z}" for x, y, z in VERTICES), *(f"3 {a} {b} {c}" for a, b, c in FACES)]
)
PYRAMID = f"OFF\n5 6 0\n{BODY}\n"


@pytest.mark.parametrize(
    "text",
    [
        PYRAMID,
        PYRAMID.replace("\n", "\r\n"),
        PYRAMID.rstrip("\n"),
        f"OFF5 6 0\n{BODY}",  # the header glued to the counts, as in ModelNet
        f"OFF 5 6 0\n{BODY}",
        f"5 6 0\n{BODY}",  # no header
        f"5 6\n{BODY}",  # the number of edges left out
        f"COFF\n5 6 0\n{BODY}",
        "# made by hand\n\nOFF # the header\n" + PYRAMID[4:].replace("\n", "  # x\n\n"),
        PYRAMID.replace("3 0 1 4", "3  0\t1 4  255 0 0").replace("1 1 0\n", "1 1 0 128 128 128\n"),
        PYRAMID.replace("0.5 0.5 1", "5e-1 .5 1.0"),
        PYRAMID + "the end\n",
    ],
)
def test_the_same_pyramid(text):
    vertices, faces = read_off(text.encode())
    assert vertices.dtype == np.float64
    assert faces.dtype == np.int32
    np.testing.assert_array_equal(vertices, VERTICES)
    np.testing.assert_array_equal(faces, FACES)


def test_polygons_become_fans():
    text = f"OFF\n5 3 0\n{BODY.splitlines()[0]}\n" + "\n".join(BODY.splitlines()[1:5])
    _, faces = read_off(f"{text}\n4 0 1 2 3\n5 0 1 2 3 4\n3 0 1 4\n".encode())
    assert faces.tolist()[:2] == [[0, 1, 2], [0, 2, 3]]
    assert faces.tolist()[-1] == [0, 1, 4]


def test_faces_without_area_are_left_out():
    flat = "3 0 0 1\n3 2 2 2\n2 0 1\n1 3\n0\n"
    text = PYRAMID.replace("5 6 0", "5 11 0") + flat
    np.testing.assert_array_equal(read_off(text.encode())[1], FACES)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("# nothing", "empty"),
        ("OFF", "does not begin"),
        ("solid cube\nfacet normal", "does not begin"),
        ("4OFF\n" + PYRAMID[4:], "does not begin"),
        ("OFF BINARY\n" + PYRAMID[4:], "does not begin"),
        (PYRAMID[: len(PYRAMID) // 2], "cut off"),
        (PYRAMID.replace("5 6 0", "5 7 0"), "cut off"),
        (PYRAMID.replace("5 6 0", "99999999999999999999 6 0"), "cut off"),
        (PYRAMID.replace("5 6 0", "-5 6 0"), "announces"),
        (PYRAMID.replace("5 6 0", "5 0 0"), "announces"),
        (PYRAMID.replace("0.5 0.5 1", "0.5 0.5"), "vertex is not three"),
        (PYRAMID.replace("0.5 0.5 1", "0.5 half 1"), "vertex is not three"),
        (PYRAMID.replace("0.5 0.5 1", "0.5 nan 1"), "finite"),
        (PYRAMID.replace("0.5 0.5 1", "0.5 1e999 1"), "finite"),
        (PYRAMID.replace("3 0 1 4", "3 0 1 5"), "not there"),
        (PYRAMID.replace("3 0 1 4", "3 0 -1 4"), "not there"),
        (PYRAMID.replace("3 0 1 4", "3 0 1"), "lacks corners"),
        (PYRAMID.replace("3 0 1 4", "99999999999 0 1 4"), "lacks corners"),
        (PYRAMID.replace("3 0 1 4", "-1 0 1 4"), "lacks corners"),
        (PYRAMID.replace("3 0 1 4", "3 0 1 a"), "whole numbers"),
        ("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2", "no face with an area"),
    ],
)
def test_broken_files_are_refused(text, word):
    with pytest.raises(ValueError, match=word):
        read_off(text.encode())


def check_read_or_refused(content):
    try:
        vertices, faces = read_off(content)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert np.isfinite(vertices).all()
        assert 0 <= faces.min() <= faces.max() < len(vertices)


@settings(max_examples=200)
@given(content=st.binary(max_size=200))
@example(content=b"OFF\n3 1 0\n" + b"9" * 5000)
def test_any_bytes_are_read_or_refused(content):
    check_read_or_refused(content)


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(data):
    lines = PYRAMID.splitlines()
    words = st.text(alphabet="0123456789.-+e# OFnai_\t", max_size=6)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(st.one_of(words, st.just(lines[at] + " 7"), st.sampled_from(lines)))
    check_read_or_refused("\n".join(lines).encode())
