"""Streamed batches: in order, or shuffled by seed and epoch with each image once per epoch."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.augmentation.random_resized_crop import RandomResizedCrop
from classifier.storage.sharded_images import ShardedImages
from classifier.storage.shards import ShardWriter
from classifier.training import streaming
from classifier.training.feed import TrainingFeed, evaluation_batches

COUNT, SHAPE = 103, (6, 6, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(COUNT)  # the image's row, if it is not augmented
LABELS = (np.arange(COUNT) % 3).astype(np.uint16)
POLICY = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShardedImages:
    """Shards of 20 images, read in blocks of 8 and shuffled in a buffer of 30."""
    monkeypatch.setattr(streaming, "BLOCK_BYTES", 8 * 36)
    monkeypatch.setattr(streaming, "SHUFFLE_BYTES", 30 * 36)
    with ShardWriter(tmp_path, "train", SHAPE, shard_bytes=20 * 36) as writer:
        for pixels, label in zip(IMAGES, LABELS, strict=True):
            writer.append(pixels, int(label))
    return ShardedImages(tmp_path, "train")


def batches(
    images: ShardedImages,
    seed: int = 1,
    layers: list | None = None,
    workers: int = 2,
    first_epoch: int = 0,
    context: tf.distribute.InputContext | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The batches of three epochs: ten images per batch and three in the last one."""
    feed = TrainingFeed(
        images=images,
        labels=LABELS,
        classes=3,
        batch_size=10,
        seed=seed,
        layers=layers or [],
        workers=workers,
        replicas=context.num_replicas_in_sync if context else 1,
    )
    dataset = feed.batches(range(first_epoch, 3), context)
    assert dataset.element_spec[0].shape[1:] == SHAPE
    return [(pixels.numpy(), targets.numpy()) for pixels, targets, *_ in dataset]


def assert_same(some: list, others: list) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_an_epoch_has_each_image_once_in_a_new_order(shards: ShardedImages) -> None:
    all_batches = batches(shards)
    assert len(all_batches) == 33
    for pixels, targets in all_batches:
        row = pixels[:, 0, 0, 0]
        np.testing.assert_array_equal(pixels, IMAGES[row])
        np.testing.assert_array_equal(targets, np.eye(3)[LABELS[row]])
    rows = [
        [row for pixels, _ in all_batches[at : at + 11] for row in pixels[:, 0, 0, 0].tolist()]
        for at in (0, 11, 22)
    ]
    assert [sorted(epoch) for epoch in rows] == [list(range(COUNT))] * 3
    assert rows[0] != rows[1] != rows[2] != rows[0]


def test_neighbouring_images_are_separated(shards: ShardedImages) -> None:
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
    epochs = []
    for global_seed, seed in ((1, 1), (2, 1), (1, 2)):
        keras.utils.set_random_seed(global_seed)
        epochs.append(batches(shards, seed, POLICY))
    assert_same(epochs[0], epochs[1])
    assert (epochs[0][0][0] != epochs[2][0][0]).any()


def test_a_later_first_epoch_gives_the_same_batches_from_there_on(shards: ShardedImages) -> None:
    assert_same(batches(shards, layers=POLICY)[11:], batches(shards, layers=POLICY, first_epoch=1))


def test_evaluation_keeps_the_order_and_every_image(shards: ShardedImages) -> None:
    dataset = evaluation_batches(shards, LABELS, classes=3, batch_size=10)
    assert dataset.cardinality() == 11  # without it, Keras warns that the data ended
    pairs = list(dataset)
    assert [len(pixels) for pixels, _ in pairs] == [10] * 10 + [3]
    np.testing.assert_array_equal(np.concatenate([pixels for pixels, _ in pairs]), IMAGES)
    targets = np.concatenate([targets for _, targets in pairs])
    np.testing.assert_array_equal(targets, np.eye(3)[LABELS])


def test_processes_make_their_rows_of_one_process_s_batches(shards: ShardedImages) -> None:
    layers = [RandomResizedCrop((0.3, 0.9))]
    parts = [
        batches(shards, layers=layers, context=tf.distribute.InputContext(2, number, 2))
        for number in (0, 1)
    ]
    whole = batches(shards, layers=layers)
    joined = [
        # The last batch has 3 images: the second process has one of the first's again.
        tuple(np.concatenate(both)[: len(images)] for both in zip(first, second, strict=True))
        for (images, _), first, second in zip(whole, *parts, strict=True)
    ]
    assert_same(joined, whole)


def test_balanced_batches_of_shards_are_those_of_an_array(shards: ShardedImages) -> None:
    labels = np.minimum(np.arange(COUNT) // 50, 2)
    some, others = (
        [
            (pixels.numpy(), targets.numpy())
            for pixels, targets in TrainingFeed(
                images=images,
                labels=labels,
                classes=3,
                batch_size=10,
                seed=1,
                layers=POLICY,
                sampling="balanced",
            ).batches(range(2))
        ]
        for images in (shards, IMAGES)
    )
    assert len(some) == 22
    assert_same(some, others)
