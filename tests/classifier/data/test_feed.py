"""Batches are a function of seed, epoch and step, on any number of threads."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.color_jitter import ColorJitter
from classifier.data.feed import (
    evaluation_batches,
    steps_per_epoch,
    training_batches,
    weighted,
)
from classifier.errors import InputError
from classifier.random_affine import RandomAffine
from classifier.random_resized_crop import RandomResizedCrop

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 3), dtype=np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(23)  # an image's number, where it is not augmented
LABELS = np.arange(23) % 3
POLICY = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
PER_IMAGE = [
    RandomResizedCrop((0.3, 0.9)),
    RandomAffine(0.1, 0.1, 0.1, 0.1),
    ColorJitter(0.1, (0.8, 1.2), (0.5, 2)),
]


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


@pytest.mark.parametrize("replicas", [1, 2], ids=["a replica each", "two replicas each"])
@pytest.mark.parametrize(
    ("layers", "mixing"),
    [
        (PER_IMAGE, None),
        (POLICY, None),
        ([*PER_IMAGE, POLICY[0]], None),
        (PER_IMAGE, keras.layers.MixUp()),
        ([], None),
    ],
    ids=["own layers", "Keras's layers", "both", "mixed", "none"],
)
def test_processes_make_the_rows_of_one_process_s_batches(
    layers: list, mixing: keras.layers.Layer | None, replicas: int
) -> None:
    def made(process: int, processes: int) -> list[tuple[np.ndarray, np.ndarray]]:
        dataset = training_batches(
            IMAGES,
            LABELS,
            classes=3,
            batch_size=8,
            epochs=2,
            seed=1,
            layers=layers,
            mixing=mixing,
            context=tf.distribute.InputContext(
                processes, process, replicas * processes if processes > 1 else 1
            ),
        )
        return [(images.numpy(), targets.numpy()) for images, targets in dataset]

    whole = made(0, 1)
    parts = [made(process, 2) for process in (0, 1)]
    assert [len(part) for part in parts] == [replicas * len(whole)] * 2 == [replicas * 4] * 2
    for step, of_one in enumerate(whole):
        found = [part for process in parts for part in process[replicas * step :][:replicas]]
        assert [len(images) for images, _ in found] == [8 // (2 * replicas)] * 2 * replicas
        for of_all, of_each in zip(of_one, zip(*found, strict=True), strict=True):
            np.testing.assert_array_equal(np.concatenate(of_each), of_all)


def test_a_process_does_not_make_the_others_rows() -> None:
    seen = []

    class Watched(RandomAffine):
        def transform(self, images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
            seen.append((images.shape[0], *draws.shape))
            return super().transform(images, draws)

    dataset = training_batches(
        IMAGES,
        LABELS,
        classes=3,
        batch_size=8,
        epochs=1,
        seed=1,
        layers=[Watched(0.1)],
        context=tf.distribute.InputContext(4, 3, 4),
    )
    assert next(iter(dataset))[0].shape == (2, 8, 8, 3)
    assert set(seen) == {(2, 2, 5)}


def test_fewer_images_than_a_batch_are_shared_evenly() -> None:
    context = tf.distribute.InputContext(2, 1, 2)
    dataset = training_batches(
        IMAGES, LABELS, classes=3, batch_size=40, epochs=1, seed=1, context=context
    )
    assert [len(images) for images, _ in dataset] == [11]
    with pytest.raises(InputError, match="23 images are too few for 24 replicas"):
        training_batches(
            IMAGES,
            LABELS,
            classes=3,
            batch_size=48,
            epochs=1,
            seed=1,
            context=tf.distribute.InputContext(2, 0, 24),
        )


def test_weights_are_those_of_the_labels() -> None:
    dataset = training_batches(IMAGES, LABELS, classes=3, batch_size=5, epochs=1, seed=1)
    assert weighted(dataset, None) is dataset
    for _, targets, factors in weighted(dataset, {2: 3.0, 0: 1.0, 1: 2.0}):
        np.testing.assert_array_equal(factors, targets.numpy().argmax(axis=1) + 1)
        assert factors.dtype == tf.float32
