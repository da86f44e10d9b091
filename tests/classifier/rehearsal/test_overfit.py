"""One batch, learned by heart: what learns, what does not, and why."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.rehearsal.overfit import Overfit, contradictions, likely_causes, loss_floor, overfit
from classifier.training.phases import Phase

CROSSENTROPY = keras.losses.CategoricalCrossentropy
LABELS = np.arange(12) % 3
IMAGES = np.random.default_rng(0).normal(LABELS[:, None], 0.5, (12, 6)).astype(np.float32)
Batch = tuple[tf.Tensor, tf.Tensor]


def batch(images: np.ndarray = IMAGES) -> Batch:
    return tf.constant(images), tf.one_hot(LABELS, 3)


def learned(
    rate: float, trainable: bool = True, given: Batch | None = None, **smoothing: float
) -> tuple[Overfit, keras.Model]:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(16, "relu"), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model.trainable = trainable
    before = model.get_weights()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.5)
    phase = Phase(1, keras.optimizers.Adam(schedule), [], loss=CROSSENTROPY(**smoothing))
    result = overfit(model, phase, given or batch(), rate, steps=100, seconds=5)
    np.testing.assert_equal(model.get_weights(), before)
    return result, model


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_batch_is_learned(smoothing: float) -> None:
    result, _ = learned(0.05, label_smoothing=smoothing)
    assert (result.verdict, result.cut_short) == ("learns", False)
    assert 3 < len(result.taken.losses) < 100
    assert result.taken.losses[-1] > result.floor


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"rate": 0.05, "trainable": False}, "no layer trains"),
        ({"rate": 0.0}, "the learning rate is too small"),
        ({"rate": 1e30}, "the learning rate is too large"),
        ({"rate": 0.05, "given": batch(0 * IMAGES)}, "all images of the batch are equal"),
    ],
    ids=["frozen", "rate 0", "rate too large", "one image"],
)
def test_a_batch_is_not_learned_and_why(given: dict[str, Any], cause: str) -> None:
    result, model = learned(**given)
    assert result.verdict == "does not learn"
    causes = likely_causes(result, model, given.get("given", batch()), given["rate"], None)
    assert any(text.startswith(cause) for text in causes)


def test_equal_images_with_different_labels_are_counted() -> None:
    twice = IMAGES.copy()
    twice[4] = twice[3] = twice[0]  # the labels 1, 0 and 0
    assert contradictions(batch(twice)) == 1
    assert contradictions(batch()) == 0


def test_the_lowest_loss() -> None:
    assert loss_floor(CROSSENTROPY(), 3) == pytest.approx(0, abs=1e-6)
    spread = np.array([0.9 + 0.1 / 4, *[0.1 / 4] * 3])
    entropy = -(spread * np.log(spread)).sum()
    assert loss_floor(CROSSENTROPY(label_smoothing=0.1), 4) == pytest.approx(entropy, rel=1e-3)
    focal = keras.losses.CategoricalFocalCrossentropy(alpha=0.25, gamma=2.0)
    assert loss_floor(focal, 3) == pytest.approx(0, abs=1e-6)
