"""Hostile and damaged archives: nothing is written, nothing is quietly lost, nothing explodes."""

import io
import logging
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.files import archives, decode
from sparsity_jax.data.sources import image_folder as folder
from sparsity_jax.errors import UserError

FORMATS = [".zip", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2"]
CIFAR = Path(__file__).parents[4] / "shared" / "data" / "cifar10_jpeg.tar.xz"


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_names_that_climb_out_are_ignored(pets, tmp_path, suffix):
    outside = tmp_path / "inside"
    outside.mkdir()
    climbing = ["../train/cat/9.png", "/train/cat/9.png", "train/../train/cat/9.png", "..\\a.png"]
    climbing += [f"{tmp_path}/evil.png", "train/cat/../../../../evil.png"]
    path = pets.pack(
        outside / f"pets{suffix}",
        {**pets.files, **dict.fromkeys(climbing, pets.files[next(iter(pets.files))])},
    )
    pets.check(pets.load(path))
    written = {each.relative_to(tmp_path).parts[:2] for each in tmp_path.rglob("*.*")}
    assert written == {("inside", f"pets{suffix}"), ("inside", "cache")}


def test_links_and_devices_in_archives_are_passed_over(pets, tmp_path, caplog):
    path = tmp_path / "pets.tar"
    secret = tmp_path / "secret.png"
    secret.write_bytes(pets.files["train/cat/0.png"])
    with tarfile.open(path, "w") as archive:
        for name, kind in (("8", tarfile.SYMTYPE), ("9", tarfile.CHRTYPE), ("7", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(f"train/cat/{name}.png")
            member.type, member.linkname = kind, str(secret)
            archive.addfile(member)
        for name, content in pets.files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with caplog.at_level(logging.WARNING):
        pets.check(pets.load(path))
    assert "3 links or devices" in caplog.text
    zipped = tmp_path / "pets.zip"
    pets.pack(zipped, pets.files)
    with zipfile.ZipFile(zipped, "a") as archive:
        member = zipfile.ZipInfo("train/cat/9.png")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, str(secret))
    pets.check(pets.load(zipped))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x1f\x8b", b"x" * 2000])
def test_not_an_archive(pets, tmp_path, content):
    (tmp_path / "pets.tar").write_bytes(content)
    pets.refuse(tmp_path / "pets.tar", "not an archive", ".tar.gz")


@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated_archive_is_never_a_smaller_set(pets, tmp_path, suffix):
    whole = pets.pack(tmp_path / f"whole{suffix}", pets.files).read_bytes()
    if suffix == ".tar":
        whole = whole.rstrip(b"\0") + bytes(1024)  # GNU pads beyond the end mark
    for end in np.linspace(0, len(whole) - 9, 60, dtype=int).tolist():
        (tmp_path / f"cut{suffix}").write_bytes(whole[:end])
        if suffix == ".tar" and end > len(whole) - 512:
            continue  # one of the two end marks is whole: nothing is lost
        with pytest.raises(UserError):
            pets.load(tmp_path / f"cut{suffix}")


def test_joined_archives_are_refused(pets, tmp_path):
    one = pets.pack(tmp_path / "one.tar", pets.files).read_bytes()
    (tmp_path / "two.tar").write_bytes(one + one)
    pets.refuse(tmp_path / "two.tar", "follows the end")


@pytest.mark.parametrize("side", [5_000, 10_000, 20_000])  # Pillow warns of 10,000, fails at 20,000
def test_absurd_dimensions_are_refused_undecoded(pets, tmp_path, side):
    stream = io.BytesIO()
    Image.new("1", (side, side)).save(stream, "PNG")
    files = {**pets.files, "train/cat/9.png": stream.getvalue()}
    pets.refuse(pets.pack(tmp_path / "pets.zip", files), "9.png", "pixels")


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar.gz"])
def test_large_members_are_refused(pets, tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 2**20)
    files = {**pets.files, "train/cat/9.png": bytes(2**20 + 1)}
    pets.refuse(pets.pack(tmp_path / f"pets{suffix}", files), "9.png is larger than 1 MB")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz"])
def test_expanding_archives_are_refused(pets, tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(archives, "_FREE_EXPANSION_BYTES", 10_000)
    files = {**pets.files, **{f"{i}.bin": bytes(500_000) for i in range(40)}}
    pets.refuse(pets.pack(tmp_path / f"pets{suffix}", files), "bomb")


def test_sets_beyond_memory_are_refused(pets, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MAX_TOTAL_BYTES", 100)
    pets.refuse(pets.pack(tmp_path / "pets.zip", pets.files), "GiB")


@pytest.fixture(scope="module")
def whole_archives(pets, tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    dot = pets.encode(np.zeros((1, 1, 1), np.uint8))
    small = {f"{split}/{name}/1.png": dot for split in ("train", "test") for name in "ab"}
    return {suffix: pets.pack(root / f"s{suffix}", small).read_bytes() for suffix in FORMATS}


def loads_or_refuses(content, place):
    path = place / "pets.bin"
    path.write_bytes(content)
    try:
        options = folder.Options(progress=False)
        dataset = folder.decode(folder.inspect(path, options), options)
    except UserError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        assert isinstance(dataset, Dataset)


FUZZ = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(content=st.binary(max_size=3000))
@example(content=b"PK\x05\x06" + bytes(18))
def test_any_bytes_load_or_are_refused(tmp_path, content):
    loads_or_refuses(content, tmp_path)


@FUZZ
@given(data=st.data(), suffix=st.sampled_from(FORMATS))
def test_damaged_archives_load_or_are_refused(tmp_path, whole_archives, data, suffix):
    content = bytearray(whole_archives[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    loads_or_refuses(bytes(content), tmp_path)


@pytest.mark.skipif(not CIFAR.exists(), reason="the real archive is not at hand")
def test_real_cifar_starts_as_expected():
    first = next(archives.read_archive(CIFAR, lambda name: name.endswith(".jpg")))
    assert first.name == "train/airplane/0000.jpg"
    assert decode.decode(first.data).shape == (32, 32, 3)
