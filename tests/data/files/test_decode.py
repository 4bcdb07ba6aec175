"""Pixels of PNG and JPEG files in every mode, and of damaged ones."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparsity_jax.data.files import decode


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, [255]),
        ("L", 7, [7]),
        ("LA", (7, 100), [7]),
        ("I;16", 40000, [40000 >> 8]),
        ("P", 0, [0, 0, 0]),
        ("RGB", (1, 2, 3), [1, 2, 3]),
        ("RGBA", (1, 2, 3, 100), [1, 2, 3]),
    ],
)
def test_png_modes(mode, value, expected):
    stream = io.BytesIO()
    Image.new(mode, (3, 2), value).save(stream, "PNG")
    decoded = decode.decode(stream.getvalue())
    assert decoded.dtype == np.uint8
    assert decoded.tolist() == [[expected] * 3] * 2


def test_palette_with_transparency_and_cmyk():
    stream = io.BytesIO()
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(stream, "PNG", transparency=b"\x00\x80")
    assert decode.decode(stream.getvalue()).tolist() == [[[10, 200, 30]] * 2] * 2
    stream = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(stream, "JPEG")
    red = decode.decode(stream.getvalue())
    assert red.shape == (8, 8, 3)
    assert red[..., 0].min() > 240
    assert red[..., 1:].max() < 15


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_images_decode_or_raise_value_error(pets, data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG"]))
    content = bytearray(pets.encode(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), kind))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode.decode(bytes(content))
    except ValueError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert pixels.dtype == np.uint8
