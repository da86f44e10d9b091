"""Batches are a function of seed, epoch and step, on any number of threads."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.augmentation.color_jitter import ColorJitter
from classifier.augmentation.random_affine import RandomAffine
from classifier.augmentation.random_resized_crop import RandomResizedCrop
from classifier.support.errors import InputError
from classifier.training.feed import TrainingFeed, evaluation_batches

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 3), dtype=np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(23)  # the image's index, if it is not augmented
LABELS = np.arange(23) % 3
POLICY = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
PER_IMAGE = [
    RandomResizedCrop((0.3, 0.9)),
    RandomAffine(0.1, 0.1, 0.1, 0.1),
    ColorJitter(0.1, (0.8, 1.2), (0.5, 2)),
]


def make_feed(batch_size: int = 5, **options: Any) -> TrainingFeed:
    data: dict[str, Any] = {"images": IMAGES, "labels": LABELS, "classes": 3, "seed": 1}
    return TrainingFeed(batch_size=batch_size, **data | options)


def batches(first_epoch: int = 0, **options: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    feed = make_feed(**options)
    epochs = range(first_epoch, 3)
    arrays = [(images.numpy(), targets.numpy()) for images, targets in feed.batches(epochs)]
    assert len(arrays) == len(epochs) * feed.steps_per_epoch
    return arrays


def test_an_epoch_has_each_image_once_in_a_new_order() -> None:
    all_batches = batches()
    epochs = [
        np.concatenate([images[:, 0, 0, 0] for images, _ in all_batches[5 * e : 5 * e + 5]])
        for e in range(3)
    ]
    assert all(sorted(epoch.tolist()) == list(range(23)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    for images, targets in all_batches:
        assert (images.dtype, targets.dtype) == (np.uint8, np.float32)
        assert (targets.argmax(axis=1) == LABELS[images[:, 0, 0, 0]]).all()


@pytest.mark.difference("threads that augment", "each batch is a function of seed, epoch and step")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_threads_change_nothing(workers: int) -> None:
    for (images, _), (others, _) in zip(
        batches(layers=POLICY), batches(layers=POLICY, workers=workers), strict=True
    ):
        np.testing.assert_array_equal(images, others)


@pytest.mark.difference("a training that was interrupted", "each epoch is a function of its number")
def test_a_later_first_epoch_gives_the_same_batches_from_there_on() -> None:
    whole, rest = batches(layers=POLICY), batches(layers=POLICY, first_epoch=1)
    for (images, targets), (others, expected) in zip(whole[5:], rest, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(targets, expected)


@pytest.mark.parametrize(
    ("count", "size", "sizes", "shape"),
    [
        (23, 5, [5, 5, 5, 4, 4], None),
        (20, 5, [5, 5, 5, 5], 5),
        (18, 8, [6, 6, 6], 6),
        (3, 5, [3], 3),
        (3, 2, [2, 1], None),
        (6, 5, [3, 3], 3),
    ],
)
def test_steps_of_an_epoch(count: int, size: int, sizes: list[int], shape: int | None) -> None:
    feed = make_feed(
        size,
        images=IMAGES[:count],
        labels=LABELS[:count],
        layers=[*PER_IMAGE, *POLICY],
        mixing=keras.layers.MixUp(),
    )
    dataset = feed.batches(range(1))
    assert [len(images) for images, _ in dataset] == sizes
    assert feed.steps_per_epoch == len(sizes)
    assert dataset.element_spec[0].shape[0] == shape  # known, as long as all batches have it


@pytest.mark.parametrize(
    ("count", "size", "replicas", "message"),
    [
        (20, 5, 1, ""),
        (23, 5, 1, ""),
        (18, 8, 2, ""),
        (3, 5, 1, "batch_size is 5: each step has all 3 training images"),
        (22, 4, 2, "2 replicas cannot share each batch of 22 training images evenly: 2 images of"),
        (23, 8, 4, "1 images of each epoch count twice in its accuracy, but once in its loss"),
    ],
)
def test_what_is_unusual_about_an_epoch_is_said(
    count: int, size: int, replicas: int, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_feed(size, images=IMAGES[:count], labels=LABELS[:count], replicas=replicas).report()
    assert message in caplog.text
    assert len(caplog.records) == bool(message)


def test_the_seed_decides_order_and_augmentation() -> None:
    first, again, other = (batches(seed=seed, layers=POLICY)[0][0] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_evaluation_keeps_the_order_and_every_image() -> None:
    dataset = evaluation_batches(IMAGES, LABELS, classes=3, batch_size=10)
    assert np.concatenate([images.numpy() for images, _ in dataset]).tolist() == IMAGES.tolist()


@pytest.mark.parametrize(
    "replicas", [1, 2], ids=["one replica per process", "two replicas per process"]
)
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
    def batches_of(process: int, processes: int) -> list[list[np.ndarray]]:
        shared = replicas * processes if processes > 1 else 1
        context = tf.distribute.InputContext(processes, process, shared)
        feed = make_feed(8, layers=layers, mixing=mixing, replicas=shared)
        return [[part.numpy() for part in batch] for batch in feed.batches(range(2), context)]

    whole = batches_of(0, 1)
    parts = [batches_of(process, 2) for process in (0, 1)]
    assert [len(part) for part in parts] == [replicas * len(whole)] * 2 == [replicas * 6] * 2
    for step, (images, targets) in enumerate(whole):
        of_replicas = [part for process in parts for part in process[replicas * step :][:replicas]]
        size = 4 // replicas  # 7 images of the last step, and the first of them again
        assert [len(images) for images, *_ in of_replicas] == [size] * 2 * replicas
        own_images, own_targets, weights = (
            np.concatenate(of_each) for of_each in zip(*of_replicas, strict=True)
        )
        count = len(images)
        assert count == (7 if step % 3 == 2 else 8)
        for of_all, of_each in ((images, own_images), (targets, own_targets)):
            np.testing.assert_array_equal(of_each[:count], of_all)
            np.testing.assert_array_equal(of_each[count:], of_all[: 8 - count])
        np.testing.assert_allclose(weights, [8 / count] * count + [0] * (8 - count))


def test_a_process_does_not_make_the_others_rows() -> None:
    shapes = []

    class Recorder(RandomAffine):
        def transform(self, images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
            shapes.append((images.shape[0], *draws.shape))
            return super().transform(images, draws)

    context = tf.distribute.InputContext(4, 3, 4)
    options = {"images": IMAGES[:16], "labels": LABELS[:16], "replicas": 4}
    dataset = make_feed(8, layers=[Recorder(0.1)], **options).batches(range(1), context)
    assert next(iter(dataset))[0].shape == (2, 8, 8, 3)
    assert set(shapes) == {(2, 2, 5)}


def test_fewer_images_than_a_batch_are_shared_evenly() -> None:
    context = tf.distribute.InputContext(2, 1, 2)
    dataset = make_feed(40, replicas=2).batches(range(1), context)
    assert [len(images) for images, *_ in dataset] == [12]  # one of the 23 is there twice
    with pytest.raises(InputError, match="23 images are too few for 24 replicas"):
        make_feed(48, replicas=24)


def test_weights_of_the_labels_and_of_the_replicas_are_multiplied() -> None:
    feed = make_feed(12, class_weights={0: 1.0, 1: 2.0, 2: 3.0}, replicas=3)  # 12, and 11 images
    weights, others = [], []
    for images, targets, factors in feed.batches(range(1)):
        assert images.shape == (4, 8, 8, 3)
        weights.append(factors.numpy())
        others.append(targets.numpy().argmax(axis=1) + 1)
    expected = np.concatenate(others) * np.array([1] * 12 + [12 / 11] * 11 + [0])
    np.testing.assert_allclose(np.concatenate(weights), expected, rtol=1e-6)


def test_weights_are_those_of_the_labels() -> None:
    assert len(make_feed().batches(range(1)).element_spec) == 2
    weighted = make_feed(class_weights={2: 3.0, 0: 1.0, 1: 2.0}).batches(range(1))
    for _, targets, factors in weighted:
        np.testing.assert_array_equal(factors, targets.numpy().argmax(axis=1) + 1)
        assert factors.dtype == tf.float32


RARE = np.array([0] * 18 + [1] * 4 + [2])


@pytest.mark.parametrize("replicas", [1, 2])
def test_balanced_sampling_has_as_many_images_of_each_class(replicas: int) -> None:
    feed = make_feed(labels=RARE, sampling="balanced", replicas=replicas, layers=POLICY)
    dataset, steps = feed.batches(range(20)), feed.steps_per_epoch * replicas
    targets = [targets.numpy().argmax(axis=1) for _, targets, *_ in dataset]
    epochs = [
        np.concatenate(targets[first : first + steps]) for first in range(0, 20 * steps, steps)
    ]
    repeated = feed.repeated if replicas > 1 else 0
    counts = np.array([np.bincount(epoch, minlength=3) for epoch in epochs])
    assert (counts.sum(axis=1) == 23 + repeated).all()
    assert (np.abs(counts - 23 / 3) < 1 + repeated).all()
    assert len({tuple(row) for row in counts.tolist()}) > 1  # the image more is of another class
    assert all(len(set(epoch[:8])) > 1 for epoch in epochs)  # not one class after the other


def test_balanced_sampling_uses_every_image_as_often_as_another_of_its_class() -> None:
    feed = make_feed(labels=RARE, sampling="balanced")
    rows = np.concatenate([images.numpy()[:, 0, 0, 0] for images, _ in feed.batches(range(30))])
    times = np.bincount(rows, minlength=23)
    assert times.min() > 0
    first = np.concatenate([images.numpy()[:, 0, 0, 0] for images, _ in feed.batches(range(1))])
    once = np.bincount(first, minlength=23)
    assert once[:18].max() == 1
    assert np.ptp(once[18:22]) <= 1
    assert once[22] in (7, 8)


def test_balanced_batches_are_a_function_of_seed_epoch_and_step() -> None:
    options: dict[str, Any] = {"labels": RARE, "sampling": "balanced", "layers": POLICY}
    whole, rest, threads = (
        batches(**options),
        batches(first_epoch=1, **options),
        batches(workers=4, **options),
    )
    for some, others in ((whole[5:], rest), (whole, threads)):
        for (images, targets), (again, expected) in zip(some, others, strict=True):
            np.testing.assert_array_equal(images, again)
            np.testing.assert_array_equal(targets, expected)
    other = batches(seed=2, **options)
    assert any((one[0] != two[0]).any() for one, two in zip(whole, other, strict=True))


@pytest.mark.fault("a class without an image that is to be balanced", "one line")
def test_a_class_without_images_cannot_be_balanced() -> None:
    expected = "sampling is balanced: the class of label 1 has no image to train on"
    with pytest.raises(InputError, match=expected):
        make_feed(labels=2 * (LABELS > 1), sampling="balanced")


def test_what_balanced_sampling_does_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    make_feed(labels=RARE, sampling="balanced").report()
    assert caplog.messages == [
        "sampling is balanced: of each class 7.667 of an epoch's 23 images, so that an image of "
        "the largest class (18) comes 0.43 times, one of the smallest (1) 7.7 times"
    ]
