"""Training on a stream is training on the device, bit for bit, from any step."""

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.data import Dataset
from sparsity_jax.data.augment import centre_crop
from sparsity_jax.data.stream import Stream
from sparsity_jax.training import (
    DeviceDataset,
    Hparams,
    StreamingDataset,
    evaluate,
    init_state,
    train_steps,
)
from sparsity_jax.training import input_pipeline as module


def hparams(seed=0):
    return Hparams(*map(jnp.float32, (1e-3, 1e-4, 1, 1, 0)), seed=jnp.uint32(seed))


@pytest.fixture
def stream(dataset):
    return StreamingDataset(Stream.of(dataset))


def same(left, right):
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("augment", ["flip", "crop", "resized_crop"])
def test_streaming_changes_nothing(with_program, dataset, stream, augment, monkeypatch):
    monkeypatch.setattr(module, "ORDER_LENGTH", 45 * 2)  # the third epoch asks for more
    program = with_program(augment=augment)
    if augment != "flip":
        plan = program.plan
        program = with_program(
            augment=augment, plan=type(plan)(**{**vars(plan), "input_shape": (7, 7, 1)})
        )
    on_device = train_steps(
        program, hparams(), DeviceDataset.of(dataset), init_state(program, hparams()), until=13
    )
    state = init_state(program, hparams())
    for until in (3, 4, 13):  # across the ends of epochs, which have 5 steps
        state = train_steps(program, hparams(), stream, state, until=until)
    same(on_device, state)


def labels_of(data, program, start, stop, seed=0):
    batches = data.batches(program, hparams(seed), start=start, stop=stop)
    return [np.asarray(images).sum((1, 2, 3)).tolist() for images, _ in batches]


def test_batches_depend_on_seed_and_step_alone(program, dataset, stream):
    straight = labels_of(stream, program, 0, 12)
    fresh = StreamingDataset(Stream.of(dataset))
    assert labels_of(fresh, program, 7, 9) == straight[7:9]
    assert labels_of(fresh, program, 9, 12) == straight[9:12]  # read ahead
    assert labels_of(fresh, program, 2, 3) == straight[2:3]  # back again
    assert labels_of(fresh, program, 3, 4, seed=1) != straight[3:4]
    assert labels_of(fresh, program, 4, 5) == straight[4:5]
    fresh.close()


def test_a_new_process_resumes_to_the_identical_batch(program, stream, tmp_path):
    """Grain has restored iterators wrongly in fresh processes (issue 1179); ours has no state."""
    del program, stream
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from resumed import main
main(int(sys.argv[1]))
"""
    (tmp_path / "resumed.py").write_text(RESUMED)
    answers = [
        subprocess.run(
            [sys.executable, "-c", f"{code}", str(first)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for first in (0, 7)
    ]
    assert len(answers[0]) == 9
    assert answers[0][7:] == answers[1]


RESUMED = """
import hashlib
import jax.numpy as jnp
import numpy as np
from sparsity_jax.data.stream import Stream
from sparsity_jax.models import Conv, Plan
from sparsity_jax.training import Hparams, ProgramConfig, StreamingDataset

class Noise:
    def __len__(self):
        return 45
    def __getitem__(self, index):
        return np.random.default_rng(index).integers(0, 256, (8, 8, 1), dtype=np.uint8), index % 3

def main(first):
    plan = Plan("tiny", (Conv(4, pool=True), Conv(6)), (8, 8, 1), "global", (5,), 3)
    program = ProgramConfig(plan, "adam", "l2", "schedule", 8, (), True)
    one = np.ones(1, np.float32)
    stream = Stream("n", Noise(), Noise(), ("a", "b", "c"), (8, 8, 1), one, one, workers=1)
    own = Hparams(*map(jnp.float32, (1e-3, 1e-4, 1, 1, 0)), seed=jnp.uint32(5))
    data = StreamingDataset(stream)
    for images, labels in data.batches(program, own, start=first, stop=9):
        content = np.asarray(images).tobytes() + np.asarray(labels).tobytes()
        print(hashlib.sha256(content).hexdigest())
    data.close()
"""


def test_scores_of_a_stream_are_those_of_arrays(program, dataset, stream):
    state = init_state(program, hparams())
    data = DeviceDataset.of(dataset)
    scores = [
        evaluate(
            program.plan,
            state.variables,
            each.test_images,
            each.test_labels,
            mean=each.mean,
            std=each.std,
            batch_size=5,
        )
        for each in (data, stream)
    ]
    assert scores[0].error == scores[1].error
    assert scores[0].loss == pytest.approx(scores[1].loss, rel=1e-6)


def test_larger_images_are_tested_at_their_centre(program, dataset):
    state, data = init_state(program, hparams()), DeviceDataset.of(dataset)
    wide = np.pad(dataset.test_images, [(0, 0), (3, 3), (2, 2), (0, 0)])
    assert (centre_crop(wide, (8, 8)) == dataset.test_images).all()
    a, b = (
        evaluate(
            program.plan,
            state.variables,
            images,
            dataset.test_labels,
            mean=data.mean,
            std=data.std,
        )
        for images in (dataset.test_images, wide)
    )
    assert a == b


def test_other_data_have_another_fingerprint(dataset):
    one = StreamingDataset(Stream.of(dataset))
    assert one.fingerprint == StreamingDataset(Stream.of(dataset)).fingerprint
    darker = dataclasses.replace(dataset, train_images=dataset.train_images // 2)
    assert one.fingerprint != StreamingDataset(Stream.of(darker)).fingerprint
    on_device = [DeviceDataset.of(each).fingerprint for each in (dataset, dataset, darker)]
    assert on_device[0] == on_device[1] != on_device[2]


def test_a_stream_is_told_from_one_with_another_label_or_other_pixels():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 4, 4, 1), np.uint8)
    labels = np.arange(12, dtype=np.int32) % 3

    def marks(pixels, classes):
        toy = Dataset("toy", pixels, classes, pixels[:5], classes[:5], ("a", "b", "c"))
        stream = Stream.of(toy)
        stream = dataclasses.replace(stream, mean=np.zeros(1), std=np.ones(1))
        return StreamingDataset(stream).fingerprint

    assert marks(images, labels) == marks(images.copy(), labels.copy())
    assert marks(images, labels) != marks(images, labels[::-1].copy())
    assert marks(images, labels) != marks(255 - images, labels)
