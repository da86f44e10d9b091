"""The loss: a Keras loss of one-hot or mixed labels and probabilities."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from classifier.support.errors import InputError
from classifier.support.limits import FractionBelow1, NonNegative, Positive, checked
from classifier.tasks.single_label import SingleLabel
from classifier.tasks.task import Task

SINGLE_LABEL = SingleLabel()


@checked
def focal(
    *, label_smoothing: FractionBelow1, alpha: Positive, gamma: NonNegative
) -> keras.losses.Loss:
    """``CategoricalFocalCrossentropy``: the loss of an image of probability p has the factor
    ``alpha * (1 - p) ** gamma``.

    Lin et al., Focal loss for dense object detection, 2017.
    """
    return keras.losses.CategoricalFocalCrossentropy(
        alpha=alpha, gamma=gamma, label_smoothing=label_smoothing
    )


def check_loss(loss: Any, classes: int, task: Task = SINGLE_LABEL) -> None:
    """Checks before the first step that the loss can be computed and that a model can be saved
    with it.

    Raises:
        InputError: it is no Keras loss, or one for another task, it is no finite number for equal
            probabilities, or Keras cannot load it again.
    """
    kind = type(loss).__name__
    if not isinstance(loss, keras.losses.Loss):
        raise InputError(f"loss: it is of type {kind}: return a keras.losses.Loss")
    if task.refuses_loss(kind):
        raise InputError(
            f"loss: {kind} is for one label an image, and these may have several: set "
            f"train.groups.loss to {' or '.join(task.losses)}"
        )
    labels = np.eye(classes, dtype=np.float32)
    try:
        value = float(loss(labels, np.full_like(labels, 1 / classes)))
    except (TypeError, ValueError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"loss: {kind} cannot be computed for {classes} classes: {reason}"
        ) from error
    if not np.isfinite(value):
        raise InputError(f"loss: {kind} is {value} for equal probabilities of {classes} classes")
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"loss: Keras cannot load {kind} from a saved model: return one of keras.losses"
        ) from error
