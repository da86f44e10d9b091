"""Streamed batches: in order, or each image once an epoch in an order of the seed and the epoch."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.data import streaming
from classifier.data.feed import evaluation_batches, training_batches
from classifier.data.sharded_images import ShardedImages
from classifier.data.shards import ShardWriter
from classifier.random_resized_crop import RandomResizedCrop

COUNT, SHAPE = 103, (6, 6, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(COUNT)  # an image's row, where it is not augmented
LABELS = (np.arange(COUNT) % 3).astype(np.uint16)
POLICY = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShardedImages:
    """Shards of 20 images, which are read in blocks of 8 and shuffled in a buffer of 30."""
    monkeypatch.setattr(streaming, "BLOCK_BYTES", 8 * 36)
    monkeypatch.setattr(streaming, "SHUFFLE_BYTES", 30 * 36)
    with ShardWriter(tmp_path, "train", SHAPE, shard_bytes=20 * 36) as writer:
        for pixels, label in zip(IMAGES, LABELS, strict=True):
            writer.append(pixels, label)
    return ShardedImages(tmp_path, "train")


def batches(
    images: ShardedImages,
    seed: int = 1,
    layers: list | None = None,
    workers: int = 2,
    first_epoch: int = 0,
    context: tf.distribute.InputContext | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of three epochs, ten a batch: ten batches an epoch."""
    dataset = training_batches(
        images,
        LABELS,
        classes=3,
        batch_size=10,
        epochs=3,
        seed=seed,
        first_epoch=first_epoch,
        layers=layers or [],
        workers=workers,
        context=context,
    )
    rows = 10 if context is None else 10 // context.num_replicas_in_sync
    assert dataset.element_spec[0].shape == (rows, *SHAPE)
    return [(pixels.numpy(), targets.numpy()) for pixels, targets in dataset]


def assert_same(some: list, others: list) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_an_epoch_has_each_image_once_in_a_new_order(shards: ShardedImages) -> None:
    found = batches(shards)
    assert len(found) == 30
    for pixels, targets in found:
        row = pixels[:, 0, 0, 0]
        np.testing.assert_array_equal(pixels, IMAGES[row])
        np.testing.assert_array_equal(targets, np.eye(3)[LABELS[row]])
    rows = [
        [row for pixels, _ in found[at : at + 10] for row in pixels[:, 0, 0, 0].tolist()]
        for at in (0, 10, 20)
    ]
    assert [len(set(epoch)) for epoch in rows] == [100, 100, 100]
    assert rows[0] != rows[1] != rows[2] != rows[0]


def test_neighbours_are_parted(shards: ShardedImages) -> None:
    pairs = streaming.shuffled(shards, tf.constant([1, 0]), workers=2)
    rows = np.array([int(row) for _, row in pairs])
    assert sorted(rows) == list(range(COUNT))
    assert (np.diff(rows) == 1).mean() < 0.2
    assert np.ptp(rows[:10]) > 30  # from more than one shard


@pytest.mark.difference("threads that read shards", "blocks come in the order of their drawing")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_threads_change_nothing(shards: ShardedImages, workers: int) -> None:
    assert_same(batches(shards, layers=POLICY), batches(shards, layers=POLICY, workers=workers))


@pytest.mark.difference("TensorFlow's global seed", "no part of a shuffled epoch")
def test_the_seed_alone_decides(shards: ShardedImages) -> None:
    found = []
    for of_all, seed in ((1, 1), (2, 1), (1, 2)):
        keras.utils.set_random_seed(of_all)
        found.append(batches(shards, seed, POLICY))
    assert_same(found[0], found[1])
    assert (found[0][0][0] != found[2][0][0]).any()


def test_a_later_first_epoch_gives_the_same_batches_from_there_on(shards: ShardedImages) -> None:
    assert_same(batches(shards, layers=POLICY)[10:], batches(shards, layers=POLICY, first_epoch=1))


def test_evaluation_keeps_the_order_and_every_image(shards: ShardedImages) -> None:
    dataset = evaluation_batches(shards, LABELS, classes=3, batch_size=10)
    assert dataset.cardinality() == 11  # Keras warns of the end otherwise
    found = list(dataset)
    assert [len(pixels) for pixels, _ in found] == [10] * 10 + [3]
    np.testing.assert_array_equal(np.concatenate([pixels for pixels, _ in found]), IMAGES)
    targets = np.concatenate([targets for _, targets in found])
    np.testing.assert_array_equal(targets, np.eye(3)[LABELS])


def test_processes_make_their_rows_of_one_process_s_batches(shards: ShardedImages) -> None:
    layers = [RandomResizedCrop((0.3, 0.9))]
    parts = [
        batches(shards, layers=layers, context=tf.distribute.InputContext(2, number, 2))
        for number in (0, 1)
    ]
    joined = [
        tuple(np.concatenate(both) for both in zip(first, second, strict=True))
        for first, second in zip(*parts, strict=True)
    ]
    assert_same(joined, batches(shards, layers=layers))
