"""One class an image: a softmax, of which the most probable class is the answer."""

from typing import Any

import numpy as np

from classifier.tasks.task import Task

TOLERANCE = 0.02  # of a sum: a softmax in bfloat16 has an error of 0.004, one in float16 of 0.0005


class SingleLabel(Task):
    """Labels are integers (N,), 0 to classes - 1."""

    activation = "softmax"
    losses = ("crossentropy", "focal")
    monitors = ("accuracy", "balanced_accuracy", "macro_f1", "loss")

    def refusal(self, *, class_weight: Any, sampling: str, taught: bool) -> str | None:
        return None

    def refuses_loss(self, kind: str) -> bool:
        return False

    def with_last_activation(self, model: Any) -> None:
        """The networks end with a softmax already."""

    def problem(self, values: np.ndarray) -> str | None:
        sums = values.sum(axis=1)
        if np.abs(sums - 1).max() <= TOLERANCE and values.min() >= 0:
            return None
        worst = sums[np.abs(sums - 1).argmax()]
        return f"the lowest is {values.min():.3g}, and those of an image sum to {worst:.3g}, not 1"

    def metrics(self, classes: int, monitor: str) -> list[Any]:
        import keras

        from classifier.saved.class_metrics import CLASS_METRICS

        kind = CLASS_METRICS.get(monitor)
        accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        return [accuracy, kind(classes, monitor)] if kind else [accuracy]

    def targets(self, labels: Any, classes: int) -> Any:
        import tensorflow as tf

        return tf.one_hot(labels, classes)

    def labels(self, targets: np.ndarray) -> np.ndarray:
        return targets.argmax(axis=1)

    def counts(self, labels: np.ndarray, classes: int) -> np.ndarray:
        return np.bincount(labels, minlength=classes)

    def right(
        self, probabilities: np.ndarray, labels: np.ndarray, thresholds: np.ndarray | None
    ) -> np.ndarray:
        right: np.ndarray = probabilities.argmax(axis=1) == labels
        return right
