"""The task of several labels an image: what a training of it takes and refuses."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.saved.class_metrics import ExactMatch
from classifier.support.errors import InputError
from classifier.tasks.multi_label import MultiLabel
from classifier.tasks.of_labels import task_of
from classifier.tasks.single_label import SingleLabel
from classifier.training.feed import TrainingFeed, evaluation_batches
from classifier.training.losses import check_loss
from classifier.training.outputs import check_outputs

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
LABELS = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]] * 3, np.uint16)


def network(head: keras.layers.Layer) -> keras.Model:
    first = [keras.Input((8, 8, 3), dtype="uint8"), keras.layers.Rescaling(1 / 255)]
    return keras.Sequential([*first, keras.layers.Flatten(), head], name="own")


def test_the_labels_say_the_task() -> None:
    assert isinstance(task_of(LABELS), MultiLabel)
    assert isinstance(task_of(np.zeros(3, np.uint16)), SingleLabel)


def test_a_network_of_any_family_ends_with_sigmoids() -> None:
    model = network(keras.layers.Dense(3, activation="softmax"))
    MultiLabel().with_last_activation(model)
    check_outputs(model, IMAGES, 3, MultiLabel())
    last = model.layers[-1]
    expected = tf.sigmoid(model.layers[1](model.layers[0](IMAGES)) @ last.kernel + last.bias)
    np.testing.assert_allclose(model(IMAGES), expected, atol=1e-6)
    assert last.get_config()["activation"] == "sigmoid"


def test_a_network_without_a_last_activation_is_refused() -> None:
    model = network(keras.layers.Dense(3))
    model = keras.Sequential([model, keras.layers.Softmax()], name="own")
    with pytest.raises(InputError, match=r"own ends with a layer Softmax, without an activation"):
        MultiLabel().with_last_activation(model)


def test_batches_have_all_labels_of_an_image() -> None:
    feed = TrainingFeed(images=IMAGES, labels=LABELS, classes=3, batch_size=9, seed=1)
    (images, targets), *_ = feed.batches(range(1)).as_numpy_iterator()
    rows = [np.flatnonzero((image == IMAGES).all(axis=(1, 2, 3)))[0] for image in images]
    assert targets.tolist() == LABELS[rows].tolist()
    assert feed.counts.tolist() == [6, 3, 6]
    in_order = evaluation_batches(IMAGES, LABELS, classes=3).as_numpy_iterator()
    assert np.concatenate([part for _, part in in_order]).tolist() == LABELS.tolist()


def test_mixing_mixes_all_labels() -> None:
    mixing = keras.layers.MixUp(alpha=0.5)
    feed = TrainingFeed(
        images=IMAGES, labels=LABELS, classes=3, batch_size=9, seed=1, mixing=mixing
    )
    ((_, targets),) = feed.batches(range(1)).as_numpy_iterator()
    assert ((targets >= 0) & (targets <= 1)).all()
    assert targets.sum() == pytest.approx(LABELS.sum(), abs=3)
    assert len(np.unique(targets.round(3))) > 2


@pytest.mark.fault(
    "a loss, a monitor or weights of classes for one label, where an image may have several",
    "one line before the first epoch that says what to set",
)
@pytest.mark.parametrize("loss", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
def test_a_loss_for_one_label_is_refused(loss: str) -> None:
    with pytest.raises(InputError, match="loss to binary_crossentropy or binary_focal"):
        check_loss(getattr(keras.losses, loss)(), 3, MultiLabel())


@pytest.mark.parametrize("loss", ["BinaryCrossentropy", "BinaryFocalCrossentropy"])
def test_losses_of_each_label_are_taken(loss: str) -> None:
    check_loss(getattr(keras.losses, loss)(label_smoothing=0.1), 3, MultiLabel())


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"class_weight": "balanced"}, "class_weight"),
        ({"sampling": "balanced"}, "sampling"),
        ({"taught": True}, "teacher"),
    ],
)
def test_options_for_one_label_are_refused(options: dict[str, Any], word: str) -> None:
    plain: dict[str, Any] = {"class_weight": None, "sampling": "natural", "taught": False}
    assert MultiLabel().refusal(**plain) is None
    assert word in (MultiLabel().refusal(**plain | options) or "")
    assert SingleLabel().refusal(**plain | options) is None


def test_exact_match_counts_whole_images() -> None:
    metric = ExactMatch(name="accuracy")
    metric.update_state(
        tf.constant([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]),
        tf.constant([[0.9, 0.1], [0.2, 0.6], [0.5, 0.7]]),
    )
    assert float(metric.result()) == pytest.approx(2 / 3)
    config = keras.saving.serialize_keras_object(metric)
    assert isinstance(keras.saving.deserialize_keras_object(config), ExactMatch)
