"""Keras metrics that count every class the same, however many images it has.

A saved model names them where they chose its best epoch. Keras has no balanced accuracy, and its
``F1Score`` counts a class without images and predictions as 0.
"""

from typing import Any

import keras
from keras import ops


class ClassMetric(keras.metrics.Metric):
    """Counts images by class: those with it as label, as prediction, and as both.

    Of several classes with the same probability, the first one counts as predicted.

    Args:
        classes: their number.
    """

    def __init__(self, classes: int, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.classes = classes
        self.labelled, self.predicted, self.correct = (
            self.add_variable((classes,), "zeros", name=kind)
            for kind in ("labelled", "predicted", "correct")
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: one-hot or mixed labels, and probabilities, (B, classes) both."""
        labels, predictions = (
            ops.one_hot(ops.argmax(values, axis=-1), self.classes, dtype=self.dtype)
            for values in (y_true, y_pred)
        )
        self.labelled.assign(self.labelled + ops.sum(labels, axis=0))
        self.predicted.assign(self.predicted + ops.sum(predictions, axis=0))
        self.correct.assign(self.correct + ops.sum(labels * predictions, axis=0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


@keras.saving.register_keras_serializable("classifier")
class BalancedAccuracy(ClassMetric):
    """The mean recall of the classes with images, 0..1, as
    ``sklearn.metrics.balanced_accuracy_score``."""

    def result(self) -> Any:
        recalls = self.correct / ops.maximum(self.labelled, 1)
        return ops.sum(recalls) / ops.maximum(_number_above_0(self.labelled), 1)


@keras.saving.register_keras_serializable("classifier")
class MacroF1(ClassMetric):
    """The mean F1 of the classes that are labels or predictions, 0..1, as
    ``sklearn.metrics.f1_score``."""

    def result(self) -> Any:
        sizes = self.labelled + self.predicted
        scores = 2 * self.correct / ops.maximum(sizes, 1)
        return ops.sum(scores) / ops.maximum(_number_above_0(sizes), 1)


@keras.saving.register_keras_serializable("classifier")
class ExactMatch(keras.metrics.Mean):
    """The share of images of which every label is right at a threshold of 0.5, 0..1: scikit-learn's
    accuracy of several labels an image. Mixed labels are rounded."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: labels 0..1 and probabilities, (B, classes) both."""
        right = ops.equal(y_true >= 0.5, y_pred >= 0.5)
        super().update_state(ops.cast(ops.all(right, axis=-1), self.dtype), sample_weight)


def _number_above_0(counts: Any) -> Any:
    return ops.sum(ops.cast(counts > 0, counts.dtype))


CLASS_METRICS: dict[str, type[ClassMetric]] = {
    "balanced_accuracy": BalancedAccuracy,
    "macro_f1": MacroF1,
}
