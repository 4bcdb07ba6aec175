"""Streams: the order asked for, in batches, whoever decodes; shares of several hosts."""

import multiprocessing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.data.stream import Arrays, StreamedImages, part_of_batches, read
from sparsity_jax.errors import UserError


class Numbered:
    """Image k is filled with k; one of them may be unreadable."""

    def __init__(self, size, broken=None):
        self.size, self.broken = size, broken

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if index == self.broken:
            raise UserError(f"image {index} cannot be read")
        return np.full((2, 3, 1), index, np.uint8), index % 7

    def label(self, index):
        return index % 7


ORDER = np.random.default_rng(0).permutation(50)[:23]


def check(batches):
    assert [len(labels) for _, labels in batches] == [8, 8, 7]
    images = np.concatenate([images for images, _ in batches])
    assert images.shape == (23, 2, 3, 1)
    assert images.dtype == np.uint8
    assert (images == ORDER[:, None, None, None]).all()
    assert np.concatenate([labels for _, labels in batches]).tolist() == (ORDER % 7).tolist()


def test_arrays_and_threads_give_the_order_asked_for():
    source = Numbered(50)
    whole = Arrays(np.stack([source[k][0] for k in range(50)]), np.arange(50) % 7)
    check(list(read(whole, ORDER, batch_size=8)))
    check(list(read(source, ORDER, batch_size=8)))


def test_workers_give_the_same_name_bad_images_and_end_when_closed():
    check(list(read(Numbered(50), ORDER, batch_size=8, workers=2)))
    with pytest.raises(UserError, match="image 3 cannot"):
        list(read(Numbered(50, broken=3), np.arange(8), batch_size=4, workers=2))
    batches = read(Numbered(50), ORDER, batch_size=8, workers=1)
    next(batches)
    assert multiprocessing.active_children()
    batches.close()
    assert not multiprocessing.active_children()


def test_streamed_images_can_be_walked_twice_and_sliced():
    images = StreamedImages(Numbered(50))
    for _ in range(2):
        assert np.concatenate(list(images))[:, 0, 0, 0].tolist() == list(range(50))
    assert images[45:60][:, 0, 0, 0].tolist() == [45, 46, 47, 48, 49]
    assert [len(batch) for batch in images.in_batches(20)] == [20, 20, 10]


@settings(deadline=None, max_examples=50)
@given(
    count=st.integers(1, 8), each=st.integers(1, 5), batches=st.integers(1, 6), seed=st.integers(0)
)
def test_hosts_together_see_every_batch_once(count, each, batches, seed):
    batch = count * each
    order = np.random.default_rng(seed).permutation(batch * batches)
    shares = [part_of_batches(order, batch_size=batch, index=k, count=count) for k in range(count)]
    assert {len(share) for share in shares} == {each * batches}
    for number in range(batches):
        seen = [share[number * each : (number + 1) * each] for share in shares]
        np.testing.assert_array_equal(
            np.concatenate(seen), order[number * batch : (number + 1) * batch]
        )


def test_a_batch_that_hosts_cannot_share_is_refused():
    with pytest.raises(UserError, match="batch of 10"):
        part_of_batches(np.arange(20), batch_size=10, index=0, count=4)
