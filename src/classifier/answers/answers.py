"""A trained model's answers: probabilities, a score, and whether the image is like the others."""

from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from classifier.answers.distance import Distance
from classifier.answers.features import with_features

SMALLEST = 1e-30  # probability: its logarithm is finite


class Fitted(NamedTuple):
    """What was fitted after a training, for the answers of its model.

    Attributes:
        temperature: of the probabilities.
        distance: of features from those of the training data.
        scores: of the validation images, float32 (M,), sorted.
        thresholds: of each class, float64 (classes,), where an image may have several labels: the
            temperature is then 1, and the score of the features alone. None where it has one.
    """

    temperature: float
    distance: Distance
    scores: np.ndarray
    thresholds: np.ndarray | None = None

    def threshold(self, accept: float) -> float:
        """The smallest score that so many validation images do not exceed, a share, 0..1."""
        return threshold(self.scores, accept)


def threshold(scores: np.ndarray, accept: float) -> float:
    """The smallest of the scores that this share of them, 0..1, does not exceed.

    It has four significant digits, and is rounded up.
    """
    exact = float(np.quantile(scores, accept, method="inverted_cdf"))
    step = 10.0 ** (np.floor(np.log10(max(exact, 1e-6))) - 3)
    return float(f"{np.ceil(exact / step) * step:.4g}")


def write_fitted(fitted: Fitted, file: Path) -> None:
    """Writes ``.npz``, the same bytes for the same numbers."""
    several: Any = {} if fitted.thresholds is None else {"thresholds": fitted.thresholds}
    np.savez(
        file,
        temperature=fitted.temperature,
        mean=fitted.distance.mean,
        whitening=fitted.distance.whitening,
        scores=fitted.scores,
        **several,
    )


def read_fitted(file: Path) -> Fitted:
    """Reads what :func:`write_fitted` wrote."""
    with np.load(file, allow_pickle=False) as numbers:
        distance = Distance(numbers["mean"], numbers["whitening"])
        return Fitted(
            float(numbers["temperature"]), distance, numbers["scores"], numbers.get("thresholds")
        )


def score(probabilities: np.ndarray, features: np.ndarray, distance: Distance) -> np.ndarray:
    """How unlike the training data images are, float32 (N,): 0 or more, 1 for a usual image.

    The distance of the features, plus 1 minus the highest probability.

    Args:
        probabilities: (N, classes), calibrated.
        features: (N, D), of :func:`classifier.answers.features.with_features`.
    """
    unlike: np.ndarray = distance(features) + 1 - probabilities.max(axis=1)
    return unlike.astype(np.float32)


def score_of_features(features: np.ndarray, distance: Distance) -> np.ndarray:
    """How unlike the training data images are that may have several labels, float32 (N,).

    The distance of the features alone: no label at all is an answer as good as another.
    """
    return distance(features).astype(np.float32)


def answering(
    model: keras.Model, fitted: Fitted, *, calibrate: bool, threshold: float
) -> keras.Model:
    """The model with all its answers; it shares the weights.

    Args:
        model: takes uint8 (N, H, W, C) and gives probabilities.
        calibrate: whether the probabilities are those with the temperature. The score always is.
            Of several labels an image, there is no temperature.
        threshold: the highest score that is accepted.

    Returns:
        A model with a dict of outputs: ``probabilities``, float32 (N, classes); ``score``,
        float32 (N,), see :func:`score`; ``accepted``, bool (N,).
    """
    parts = with_features(model)
    image = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype, name="images")
    probabilities, features = parts(image)
    if fitted.thresholds is not None:
        unlike = Unlike(fitted.distance, dtype="float32")(features)
        outputs = {
            "probabilities": probabilities,
            "score": unlike,
            "accepted": AtMost(threshold, dtype="float32")(unlike),
        }
        return keras.Model(image, outputs, name=model.name)
    calibrated = Temperature(fitted.temperature, dtype="float32")(probabilities)
    unlike = Score(fitted.distance, dtype="float32")([calibrated, features])
    outputs = {
        "probabilities": calibrated if calibrate else probabilities,
        "score": unlike,
        "accepted": AtMost(threshold, dtype="float32")(unlike),
    }
    return keras.Model(image, outputs, name=model.name)


class Temperature(keras.layers.Layer):
    """Divides the logarithms of probabilities, (N, classes), by a temperature: see
    :func:`classifier.reporting.calibration.apply_temperature`."""

    def __init__(self, temperature: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.temperature = temperature

    def call(self, probabilities: Any) -> Any:
        logits = ops.log(ops.maximum(probabilities, SMALLEST))
        return ops.softmax(logits / self.temperature, axis=-1)


class Score(keras.layers.Layer):
    """:func:`score` of probabilities and features, (N,)."""

    def __init__(self, distance: Distance, **kwargs: Any):
        super().__init__(**kwargs)
        self.distance = distance

    def call(self, inputs: Any) -> Any:
        probabilities, features = inputs
        whitened = ops.matmul(features - self.distance.mean, self.distance.whitening)
        return ops.sum(ops.square(whitened), axis=-1) + 1 - ops.max(probabilities, axis=-1)


class Unlike(keras.layers.Layer):
    """:func:`score_of_features` of features, (N,)."""

    def __init__(self, distance: Distance, **kwargs: Any):
        super().__init__(**kwargs)
        self.distance = distance

    def call(self, features: Any) -> Any:
        whitened = ops.matmul(features - self.distance.mean, self.distance.whitening)
        return ops.sum(ops.square(whitened), axis=-1)


class AtMost(keras.layers.Layer):
    """Whether scores, (N,), are at most the threshold: bool (N,)."""

    def __init__(self, threshold: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.threshold = threshold

    def call(self, scores: Any) -> Any:
        return ops.less_equal(scores, self.threshold)
