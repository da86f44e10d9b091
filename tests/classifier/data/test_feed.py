"""Batches are a function of seed, epoch and step, on any number of threads."""

import keras
import numpy as np
import pytest

from classifier.data.feed import evaluation_batches, steps_per_epoch, training_batches

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 3), dtype=np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(23)  # an image's number, where it is not augmented
LABELS = np.arange(23) % 3
POLICY = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]


def batches(
    seed: int = 1, layers: list | None = None, workers: int = 2, first_epoch: int = 0
) -> list:
    dataset = training_batches(
        IMAGES,
        LABELS,
        classes=3,
        batch_size=5,
        epochs=3,
        seed=seed,
        first_epoch=first_epoch,
        layers=layers or [],
        workers=workers,
    )
    found = [(images.numpy(), targets.numpy()) for images, targets in dataset]
    assert len(found) == (3 - first_epoch) * steps_per_epoch(len(IMAGES), 5)
    return found


def test_an_epoch_has_each_image_once_in_a_new_order() -> None:
    found = batches()
    epochs = [
        np.concatenate([images[:, 0, 0, 0] for images, _ in found[4 * e : 4 * e + 4]])
        for e in range(3)
    ]
    assert all(len(set(epoch.tolist())) == 20 for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    for images, targets in found:
        assert (images.dtype, targets.dtype) == (np.uint8, np.float32)
        assert (targets.argmax(axis=1) == LABELS[images[:, 0, 0, 0]]).all()


@pytest.mark.difference("threads that augment", "each batch is a function of seed, epoch and step")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_threads_change_nothing(workers: int) -> None:
    for (images, _), (others, _) in zip(
        batches(layers=POLICY), batches(layers=POLICY, workers=workers), strict=True
    ):
        np.testing.assert_array_equal(images, others)


@pytest.mark.difference("a training that was broken off", "each epoch is a function of its number")
def test_a_later_first_epoch_gives_the_same_batches_from_there_on() -> None:
    whole, rest = batches(layers=POLICY), batches(layers=POLICY, first_epoch=1)
    for (images, targets), (others, wanted) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(targets, wanted)


@pytest.mark.parametrize(("count", "size", "steps"), [(23, 5, 4), (20, 5, 4), (3, 5, 1)])
def test_steps_of_an_epoch(count: int, size: int, steps: int) -> None:
    assert steps_per_epoch(count, size) == steps


def test_the_seed_decides_order_and_augmentation() -> None:
    first, again, other = (batches(seed, POLICY)[0][0] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_evaluation_keeps_the_order_and_every_image() -> None:
    dataset = evaluation_batches(IMAGES, LABELS, classes=3, batch_size=10)
    assert np.concatenate([images.numpy() for images, _ in dataset]).tolist() == IMAGES.tolist()
