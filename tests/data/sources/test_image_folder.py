"""Folders and archives of images: one set whatever holds it, one-line errors, a trusted cache."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax import data
from sparsity_jax.data.sources import image_folder as folder
from sparsity_jax.errors import UserError

FORMATS = [".zip", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2"]


@pytest.mark.parametrize(
    ("suffix", "top"),
    [("", ""), *[(suffix, top) for suffix in FORMATS for top in ("", "wrapped/", "./")]],
)
def test_containers_hold_the_same_set(pets, tmp_path, suffix, top):
    path = pets.pack(tmp_path / f"pets.v1{suffix}", {top + k: v for k, v in pets.files.items()})
    dataset = pets.load(path)
    pets.check(dataset)
    assert dataset.name == "pets.v1"


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(15)), suffix=st.sampled_from(["", ".zip", ".tar"]))
def test_order_of_storage_does_not_matter(pets, tmp_path_factory, order, suffix):
    path = tmp_path_factory.mktemp("order") / f"pets{suffix}"
    items = list(pets.files.items())
    pets.check(pets.load(pets.pack(path, dict(items[index] for index in order))))


def test_it_trains_and_resumes_in_mid_epoch(pets, tmp_path, trains_and_resumes):
    trains_and_resumes(pets.load(pets.pack(tmp_path / "pets", pets.files)))


@pytest.mark.parametrize("suffix", ["", *FORMATS])
def test_other_files_are_ignored(pets, tmp_path, suffix):
    others = ["train/cat/notes.txt", "train/cat/.hidden.png", "train/.cache/1/1.png", "README.md"]
    others += ["train/stray.png", "validation/cat/1.png", "train/__MACOSX/x/1.png"]
    files = {**pets.files, **dict.fromkeys(others, b"no image")}
    pets.check(pets.load(pets.pack(tmp_path / f"pets{suffix}", files)))


def test_linked_folders_are_followed_once(pets, tmp_path):
    real = pets.pack(tmp_path / "real", {k: v for k, v in pets.files.items() if "owl" not in k})
    pets.pack(tmp_path / "apart", {k: v for k, v in pets.files.items() if "owl" in k})
    for split in ("train", "test"):
        (real / split / "owl").symlink_to(tmp_path / "apart" / split / "owl")
        (real / split / "cat" / "loop").symlink_to(real / split)
    pets.check(pets.load(real))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_gray_stays_one_channel_unless_mixed(pets, tmp_path, kind):
    gray = {name: pets.encode(pets.pixels(1), kind) for name in pets.files}
    dataset = pets.load(pets.pack(tmp_path / "gray.zip", gray))
    assert dataset.image_shape == (5, 4, 1)
    colour = {**gray, "train/cat/2.png": pets.files["train/cat/2.png"]}
    mixed = pets.load(pets.pack(tmp_path / "mixed.zip", colour))
    assert mixed.image_shape == (5, 4, 3)
    np.testing.assert_array_equal(mixed.train_images[0], dataset.train_images[0].repeat(3, -1))
    np.testing.assert_array_equal(mixed.train_images[2], pets.images["train/cat/2.png"])


def without(pets, start, suffix, tmp_path):
    files = {name: content for name, content in pets.files.items() if not name.startswith(start)}
    return pets.pack(tmp_path / f"pets{suffix}", files)


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar"])
class TestLayout:
    def test_missing_class(self, pets, tmp_path, suffix):
        pets.refuse(
            without(pets, "test/owl", suffix, tmp_path), "test/ lacks 'owl'", "same class folders"
        )

    def test_class_only_in_test(self, pets, tmp_path, suffix):
        pets.refuse(without(pets, "train/owl", suffix, tmp_path), "train/ lacks 'owl'")

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_missing_split(self, pets, tmp_path, suffix, split):
        pets.refuse(
            without(pets, split, suffix, tmp_path), f"no images in {split}/", "train/<class>/*"
        )

    def test_no_images(self, pets, tmp_path, suffix):
        path = pets.pack(tmp_path / f"pets{suffix}", {"train/cat/a.txt": b"", "b.png": b""})
        pets.refuse(path, "holds no images", "train/<class>/*")

    def test_one_class(self, pets, tmp_path, suffix):
        files = {name: content for name, content in pets.files.items() if "cat" in name}
        pets.refuse(pets.pack(tmp_path / f"pets{suffix}", files), "one class, 'cat'", "two")

    def test_unreadable_image(self, pets, tmp_path, suffix):
        for number, bad in enumerate([b"", b"text", pets.files["test/cat/1.png"][:-30]]):
            files = {**pets.files, "train/owl/1.png": bad}
            pets.refuse(
                pets.pack(tmp_path / f"pets{number}{suffix}", files), "train/owl/1.png", "remove it"
            )

    def test_mixed_sizes(self, pets, tmp_path, suffix):
        files = dict(
            sorted({**pets.files, "train/cat/1.png": pets.encode(pets.pixels(3, 4, 6))}.items())
        )
        files = {**{k: v for k, v in files.items() if k.startswith("train")}, **files}
        first = "train/cat/0.png" if suffix else "test/cat/0.png"
        path = pets.pack(tmp_path / f"pets{suffix}", files)
        pets.refuse(path, f"{first} is 4x5", "train/cat/1.png is 6x4", "resize")


def test_missing_path(pets, tmp_path):
    pets.refuse(tmp_path / "none", "does not exist", "train/<class>/*")


def test_empty_folder(pets, tmp_path):
    (tmp_path / "empty").mkdir()
    pets.refuse(tmp_path / "empty", "holds no images")


def test_two_top_folders(pets, tmp_path):
    files = {f"{top}/{name}": content for top in "ab" for name, content in pets.files.items()}
    pets.refuse(pets.pack(tmp_path / "pets.zip", files), "'a/'", "'b/'")


def test_unwritable_cache_is_found_before_decoding(pets, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "decode", lambda *_: pytest.fail("decoded"))
    path = pets.pack(tmp_path / "pets.zip", pets.files)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="data folder"):
        folder.load(path, cache_dir=tmp_path / "file" / "cache", progress=False)


def forbid_decoding(monkeypatch):
    monkeypatch.setattr(folder, "decode", lambda *_: pytest.fail("decoded again"))


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_second_load_reads_the_cache(pets, tmp_path, suffix, monkeypatch):
    path = pets.pack(tmp_path / f"pets{suffix}", pets.files)
    pets.load(path)
    forbid_decoding(monkeypatch)
    pets.check(pets.load(path))


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_changed_contents_are_read_anew(pets, tmp_path, suffix):
    path = pets.pack(
        tmp_path / f"pets{suffix}", {**pets.files, "train/cat/9.png": pets.files["test/cat/0.png"]}
    )
    assert len(pets.load(path).train_images) == 10
    if suffix:
        pets.pack(path, pets.files)
    else:
        (path / "train/cat/9.png").unlink()
    pets.check(pets.load(path))
    assert len(list((tmp_path / "cache").iterdir())) == 1  # the older one is gone


def test_equal_stems_do_not_share_a_cache(pets, tmp_path):
    pets.load(pets.pack(tmp_path / "pets.zip", pets.files))
    pets.load(pets.pack(tmp_path / "pets", pets.files))
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_damaged_cache_is_named_and_rebuilt(pets, tmp_path, caplog):
    path = pets.pack(tmp_path / "pets.zip", pets.files)
    pets.load(path)
    (cache,) = (tmp_path / "cache").iterdir()
    whole = cache.read_bytes()
    at = whole.index(pets.images["train/cat/0.png"].tobytes())
    for damaged in (whole[:-100], b"", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
        cache.write_bytes(damaged)
        caplog.clear()
        pets.check(pets.load(path))
        assert str(cache) in caplog.text
        caplog.clear()
        pets.load(path)
        assert not caplog.records


def test_data_load_dispatches(pets, tmp_path):
    path = pets.pack(tmp_path / "pets.tar.gz", pets.files)
    pets.check(data.load(f"folder:{path}", data_dir=tmp_path / "here", progress=False))
    assert len(list((tmp_path / "here" / "folder").iterdir())) == 1


def test_data_dir_comes_from_the_environment(pets, tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSITY_JAX_DATA", str(tmp_path / "there"))
    path = pets.pack(tmp_path / "pets.tar.gz", pets.files)
    data.load(f"folder:{path}", progress=False)
    assert (tmp_path / "there" / "folder").is_dir()


@pytest.mark.parametrize("source", ["mnist", "", "folder:", "renderings:x", "Folder:a"])
def test_unknown_sources_list_the_valid_ones(pets, source):
    with pytest.raises(UserError, match=r"valid: renderings, .*folder:PATH"):
        data.load(source)


def test_a_bare_path_is_met_with_a_hint(pets, tmp_path):
    with pytest.raises(UserError, match=f"did you mean folder:{tmp_path}"):
        data.load(str(tmp_path))


def test_unreadable_images_are_skipped_and_counted_on_request(pets, tmp_path, caplog):
    files = {**pets.files, "train/cat/9.png": b"no image", "test/dog/9.png": b"\x89PNG\r\n"}
    path = pets.pack(tmp_path / "pets.zip", files)
    pets.refuse(path, "9.png", "--skip_unreadable")
    dataset = folder.load(path, cache_dir=tmp_path / "cache", skip_unreadable=True, progress=False)
    pets.check(dataset)
    assert "2 files passed over: 2 unreadable, such as" in caplog.text
    assert "train/cat/9.png" in caplog.text
    pets.check(pets.load(path))  # from the cache, without the option
