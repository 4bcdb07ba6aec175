"""The disk cache: what is read back is what was written, or nothing."""

import errno
import logging

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsity_jax.data.dataset import Dataset, histograms
from sparsity_jax.data.files import cache
from sparsity_jax.data.files.cache import check_writable, read_cache, write_cache
from sparsity_jax.data.files.stored_array import PixelFile
from sparsity_jax.errors import UserError

RNG = np.random.default_rng(0)
DATASET = Dataset(
    name="tiny",
    train_images=RNG.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8),
    train_labels=np.array([0, 1, 2, 0, 1, 2], np.int32),
    test_images=RNG.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8),
    test_labels=np.array([2, 1, 0], np.int32),
    class_names=("Käse", "b", "c"),
    variant="bg=clean",
)


def same(one: Dataset | None, other: Dataset) -> bool:
    if one is None:
        return False
    texts = all(getattr(one, f) == getattr(other, f) for f in ("name", "variant", "class_names"))
    return texts and all(
        np.array_equal(getattr(one, f), getattr(other, f))
        and getattr(one, f).dtype == getattr(other, f).dtype
        for f in ("train_images", "train_labels", "test_images", "test_labels")
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("cache") / "deep" / "set.npz"
    write_cache(path, DATASET)
    return path.read_bytes(), path


def test_round_trip_leaves_one_file(written):
    _, path = written
    assert same(read_cache(path), DATASET)
    assert [each.name for each in path.parent.iterdir()] == ["set.npz"]


def test_missing_is_silent(tmp_path, caplog):
    assert read_cache(tmp_path / "none.npz") is None
    assert not caplog.records


def read_bytes(data, path, caplog):
    caplog.clear()
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        return read_cache(path)


def assert_named(path, caplog):
    (record,) = caplog.records
    assert str(path) in record.getMessage()
    assert "\n" not in record.getMessage()


FUZZ = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@FUZZ
@given(data=st.data())
def test_cut_off_is_refused(written, tmp_path, caplog, data):
    whole, _ = written
    end = data.draw(st.integers(0, len(whole) - 1))
    assert read_bytes(whole[:end], tmp_path / "set.npz", caplog) is None
    assert_named(tmp_path / "set.npz", caplog)


@FUZZ
@given(data=st.data())
def test_flipped_bit_is_never_believed(written, tmp_path, caplog, data):
    whole, _ = written
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(whole)
    flipped[at] ^= 1 << bit
    dataset = read_bytes(bytes(flipped), tmp_path / "set.npz", caplog)
    if dataset is None:
        assert_named(tmp_path / "set.npz", caplog)
    else:  # a bit that carries no data, such as a date inside the zip
        assert same(dataset, DATASET)


def test_every_pixel_bit_counts(written, tmp_path, caplog):
    whole, _ = written
    start = whole.index(DATASET.train_images.tobytes())
    for at in range(start, start + DATASET.train_images.nbytes, 17):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        assert read_bytes(bytes(flipped), tmp_path / "set.npz", caplog) is None


@pytest.mark.parametrize("lost", ["header", "train_labels", "test_images"])
def test_lost_part_is_refused(written, tmp_path, caplog, lost):
    _, path = written
    with np.load(path) as stored:
        kept = {name: stored[name] for name in stored.files if name != lost}
    np.savez(tmp_path / "set.npz", **kept)
    assert read_cache(tmp_path / "set.npz") is None
    assert_named(tmp_path / "set.npz", caplog)


def test_swapped_part_is_refused(written, tmp_path, caplog):
    """A file whose zip checksums are right but whose arrays come from another set."""
    _, path = written
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(tmp_path / "set.npz", **{**arrays, "train_labels": arrays["train_labels"][::-1]})
    assert read_cache(tmp_path / "set.npz") is None
    assert "digest" in caplog.text


def test_file_of_another_set_is_refused(written, tmp_path, caplog):
    """Whole and true to its digest, but renamed or swapped: its name is its settings."""
    whole, _ = written
    assert read_bytes(whole, tmp_path / "other.npz", caplog) is None
    assert_named(tmp_path / "other.npz", caplog)
    assert "written as set.npz" in caplog.text
    assert same(read_bytes(whole, tmp_path / "set.npz", caplog), DATASET)


def test_other_format_is_refused(written, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(cache, "_FORMAT", cache._FORMAT + 1)
    assert read_cache(written[1]) is None
    assert_named(written[1], caplog)


def test_pickles_are_not_loaded(tmp_path, caplog):
    np.savez(tmp_path / "set.npz", header=np.array([{"a": 1}], dtype=object))
    assert read_cache(tmp_path / "set.npz") is None
    assert_named(tmp_path / "set.npz", caplog)


def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "set.npz"
    write_cache(path, DATASET)
    before = path.read_bytes()

    def fail(member, layout):
        member.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", fail)
    with pytest.raises(UserError, match="No space left"):
        write_cache(path, DATASET)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["set.npz"]


def test_pixels_are_verified_without_being_held(written, tmp_path, caplog):
    whole, path = written
    described = read_cache(path, pixels=False)
    assert described is not None
    assert described.train_images.shape == DATASET.train_images.shape
    assert described.test_images.strides == (0, 0, 0, 0)
    np.testing.assert_array_equal(described.train_labels, DATASET.train_labels)
    np.testing.assert_array_equal(described.mean, DATASET.mean)
    flipped = bytearray(whole)
    flipped[whole.index(DATASET.train_images.tobytes())] ^= 1
    (tmp_path / "set.npz").write_bytes(flipped)
    assert read_cache(tmp_path / "set.npz", pixels=False) is None
    assert_named(tmp_path / "set.npz", caplog)


def test_pixels_in_a_file_make_the_same_cache(written, tmp_path):
    arrays = {name: getattr(DATASET, name) for name in cache._ARRAYS}
    for name in ("train_images", "test_images"):
        pixels = arrays[name] = PixelFile(tmp_path)
        for image in getattr(DATASET, name):
            pixels.add(image)
    arrays["train_images"].flush()
    np.testing.assert_array_equal(
        arrays["train_images"].histograms, histograms(DATASET.train_images)
    )
    cache.write_parts(tmp_path / "set.npz", DATASET, arrays)
    for name in ("train_images", "test_images"):
        arrays[name].close()
    assert same(read_cache(tmp_path / "set.npz"), DATASET)
    assert [each.name for each in tmp_path.iterdir()] == ["set.npz"]


def test_jax_takes_the_arrays_as_they_are(written):
    dataset = read_cache(written[1])
    assert dataset is not None
    placed = jax.device_put(dataset.train_images)
    same_place = placed.unsafe_buffer_pointer() == dataset.train_images.ctypes.data
    assert same_place == (jax.default_backend() == "cpu")


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for use in (check_writable, lambda folder: write_cache(folder / "set.npz", DATASET)):
        with pytest.raises(UserError, match="SPARSITY_JAX_DATA"):
            use(tmp_path / "file" / "below")
