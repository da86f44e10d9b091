"""Several labels an image, or none: a sigmoid for each class, with a threshold of its own."""

from typing import Any

import numpy as np

from classifier.support.errors import InputError
from classifier.tasks.task import Task


class MultiLabel(Task):
    """Labels are integers (N, classes), 0 or 1."""

    activation = "sigmoid"
    losses = ("binary_crossentropy", "binary_focal")
    monitors = ("pr_auc", "accuracy", "loss")

    def refusal(self, *, class_weight: Any, sampling: str, taught: bool) -> str | None:
        if class_weight is not None:
            return "class_weight is for one label an image, and these may have several: set null"
        if sampling != "natural":
            return f"sampling is {sampling}, which is for one label an image: set natural"
        if taught:
            return (
                "a teacher is for one label an image, and these may have several: set teacher: none"
            )
        return None

    def refuses_loss(self, kind: str) -> bool:
        return kind.startswith(("Categorical", "SparseCategorical"))

    def with_last_activation(self, model: Any) -> None:
        import keras

        last = model.layers[-1]
        if not hasattr(last, "activation"):
            raise InputError(
                f"model: {model.name} ends with a layer {type(last).__name__}, without an "
                "activation; several labels an image need a sigmoid: end it with "
                f"keras.layers.Dense({model.output_shape[-1]}, activation='sigmoid')"
            )
        last.activation = keras.activations.get(self.activation)

    def problem(self, values: np.ndarray) -> str | None:
        if values.min() >= 0 and values.max() <= 1:
            return None
        return f"they go from {values.min():.3g} to {values.max():.3g}, not from 0 to 1"

    def metrics(self, classes: int, monitor: str) -> list[Any]:
        """``accuracy`` is that of whole images, all labels right at a threshold of 0.5; ``pr_auc``
        the mean over the classes of the area under the curve of precision by recall."""
        import keras

        from classifier.saved.class_metrics import ExactMatch

        area = keras.metrics.AUC(curve="PR", multi_label=True, num_labels=classes, name="pr_auc")
        return [ExactMatch(name="accuracy"), area]

    def targets(self, labels: Any, classes: int) -> Any:
        import tensorflow as tf

        return tf.cast(labels, tf.float32)

    def labels(self, targets: np.ndarray) -> np.ndarray:
        return targets.round().astype(np.int64)

    def counts(self, labels: np.ndarray, classes: int) -> np.ndarray:
        counts: np.ndarray = labels.sum(axis=0, dtype=np.int64)
        return counts

    def right(
        self, probabilities: np.ndarray, labels: np.ndarray, thresholds: np.ndarray | None
    ) -> np.ndarray:
        assert thresholds is not None
        right: np.ndarray = ((probabilities >= thresholds) == labels.astype(bool)).all(axis=1)
        return right
