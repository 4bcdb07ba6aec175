"""A tiny image set in any container, and a check that a loaded set trains, resumes and streams."""

import io
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.sources import image_folder as folder
from sparsity_jax.data.stream import Stream
from sparsity_jax.errors import UserError
from sparsity_jax.models import Conv, Plan
from sparsity_jax.training import (
    DeviceDataset,
    Hparams,
    ProgramConfig,
    StreamingDataset,
    init_state,
    input_pipeline,
    train_steps,
)
from sparsity_jax.training.state import epoch_order
from sparsity_jax.training.step import next_batch


class Pets:
    """Three classes, 3 train and 2 test images each, 4 wide and 5 high, RGB noise."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self.images = {
            f"{split}/{name}/{index}.png": self.pixels()
            for split, count in (("train", 3), ("test", 2))
            for name in ("dog", "cat", "owl")
            for index in range(count)
        }
        self.files = {name: self.encode(image) for name, image in self.images.items()}

    def pixels(self, channels: int = 3, height: int = 5, width: int = 4) -> np.ndarray:
        return self._rng.integers(0, 256, (height, width, channels), dtype=np.uint8)

    def encode(self, pixels: np.ndarray, kind: str = "PNG") -> bytes:
        stream = io.BytesIO()
        shown = pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels
        Image.fromarray(shown).save(stream, kind)
        return stream.getvalue()

    def pack(self, path: Path, files: dict[str, bytes]) -> Path:
        """Writes files as whatever the path's suffix says: a folder when it has none."""
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        elif ".tar" in path.name:
            mode = "w:" + path.name.partition(".tar")[2].lstrip(".")
            with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
                for name, content in files.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        else:
            for name, content in files.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(content)
        return path

    def load(self, path: Path) -> Dataset:
        return folder.load(path, cache_dir=path.parent / "cache", progress=False)

    def check(self, dataset: Dataset) -> None:
        """Asserts that this is the set, in sorted order."""
        assert dataset.class_names == ("cat", "dog", "owl")
        for split, count in (("train", 3), ("test", 2)):
            names = [f"{split}/{c}/{i}.png" for c in dataset.class_names for i in range(count)]
            expected = np.stack([self.images[name] for name in names])
            np.testing.assert_array_equal(getattr(dataset, f"{split}_images"), expected)
            labels = getattr(dataset, f"{split}_labels")
            assert labels.tolist() == [0] * count + [1] * count + [2] * count

    def refuse(self, path: Path, *words: str) -> None:
        """Asserts that loading fails in one line that holds the words, and leaves no cache."""
        with pytest.raises(UserError) as caught:
            self.load(path)
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert word in message
        assert not list((path.parent / "cache").glob("*"))


@pytest.fixture(scope="session")
def pets() -> Pets:
    return Pets()


@pytest.fixture
def cifar10_archive(tmp_path: Path) -> Path:
    """CIFAR-10 in its official layout, with 10 images of noise in each file."""
    rng = np.random.default_rng(0)
    top = "cifar-10-batches-bin"
    files = {f"{top}/batches.meta.txt": "\n".join(f"class{k}" for k in range(10)).encode()}
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        pixels = rng.integers(0, 256, (10, 3072), dtype=np.uint8)
        labels = np.arange(10, dtype=np.uint8)[:, None]
        files[f"{top}/{name}.bin"] = np.concatenate([labels, pixels], axis=1).tobytes()
    (tmp_path / "official").mkdir()
    return Pets().pack(tmp_path / "official" / "cifar-10-binary.tar.gz", files)


@pytest.fixture
def trains_and_resumes(monkeypatch):
    """Takes a loaded set through real steps, resumes it in the middle of an epoch, streams it."""
    monkeypatch.setattr(input_pipeline, "ORDER_LENGTH", 16)  # else a thousand epochs are ordered

    def check(dataset: Dataset) -> None:
        shape = dataset.image_shape
        plan = Plan("tiny", (Conv(2, pool=True), Conv(2)), shape, "global", (3,), dataset.classes)
        program = ProgramConfig(plan, "adam", "l2", "schedule", 2, (), flip=True)
        hparams = Hparams(*(jnp.float32(value) for value in (1e-3, 1e-3, 1, 1, 0)), jnp.uint32(5))
        corpus, start = DeviceDataset.of(dataset), init_state(program, hparams)
        order = epoch_order(hparams, 0, size=dataset.train_size)
        assert dataset.train_size // 2 > 2  # so that step 1 is in the middle
        first = train_steps(program, hparams, corpus, start, until=1)
        kept = jax.device_get(first)
        whole = train_steps(program, hparams, corpus, first, until=3)
        images, labels = next_batch(program, hparams, corpus, order, kept)
        chosen = np.asarray(order[2:4])
        np.testing.assert_array_equal(labels, dataset.train_labels[chosen])
        seen = np.asarray(images) * np.asarray(dataset.std) + np.asarray(dataset.mean)
        stored = dataset.train_images[chosen] / 255
        for got, image in zip(seen, stored, strict=True):  # flipped or not
            errors = [np.abs(got - image).max(), np.abs(got - image[:, ::-1]).max()]
            assert min(errors) < 1e-5
        resumed = train_steps(
            program, hparams, DeviceDataset.of(dataset), jax.device_put(kept), until=3
        )
        with closing(StreamingDataset(Stream.of(dataset))) as stream:
            streamed = train_steps(program, hparams, stream, init_state(program, hparams), until=3)
        for other in (resumed, streamed):
            for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(other), strict=True):
                np.testing.assert_array_equal(a, b)

    return check
