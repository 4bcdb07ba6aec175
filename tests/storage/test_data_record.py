"""Data records: what was written comes back, and a damaged file is named."""

import io

import numpy as np
import pytest
from PIL import Image

from sparsity_jax.data import Dataset, Stream
from sparsity_jax.data.contact_sheet import preview
from sparsity_jax.errors import UserError
from sparsity_jax.storage.data_record import DataRecord, read_data_record, write_data_record

RECORD = DataRecord("pets/of mine", "bg=clean", 20, 10, (8, 6, 1), ("cat", "dog"))


def test_a_record_comes_back(tmp_path):
    write_data_record(tmp_path, RECORD, b"picture")
    (path,) = (tmp_path / "data").glob("*.json")
    assert read_data_record(path) == RECORD
    assert path.with_suffix(".png").read_bytes() == b"picture"
    assert path.parent == tmp_path / "data"  # whatever the name


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "a", "image_shape": [1]}', "\x00"])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=r"a\.json"):
        read_data_record(tmp_path / "a.json")


@pytest.mark.parametrize("classes", [1, 3, 30])
def test_a_preview_shows_some_classes_the_same_from_a_stream(classes):
    labels = np.arange(120, dtype=np.int32) % classes
    images = np.broadcast_to((labels * 8)[:, None, None, None], (120, 8, 8, 1)).astype(np.uint8)
    names = tuple(f"class {label:02d}" for label in range(classes))
    dataset = Dataset("gray", images, labels, images[:classes], labels[:classes], names)
    shown = preview(dataset)
    assert shown == preview(Stream.of(dataset))
    with Image.open(io.BytesIO(shown)) as sheet:
        column = np.asarray(sheet.convert("L"))[:, -20]  # through the last image of each row
    rows = column[column != 255]
    assert len(set(rows.tolist())) == min(classes, 10)
    assert len(rows) == min(classes, 10) * 32
