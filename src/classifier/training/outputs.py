"""Checks before the first step whether the outputs of a model are probabilities.

The loss, the metrics and the evaluation take them for probabilities. Without a softmax, a training
runs and learns nothing useful.
"""

from typing import Any

import keras
import numpy as np

from classifier.storage.splits import Images
from classifier.support.errors import InputError
from classifier.tasks.single_label import SingleLabel
from classifier.tasks.task import Task

CHECKED = 8  # images
SINGLE_LABEL = SingleLabel()


def check_outputs(model: Any, images: Images, classes: int, task: Task = SINGLE_LABEL) -> None:
    """Checks the outputs of the model for the first images; changes nothing in it.

    Args:
        images: uint8 (N, H, W, C).
        task: says what probabilities are.

    Raises:
        InputError: the model is not a Keras model that returns (N, classes), finite, none
            negative, with the sum 1 for each image where one class is true.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"model: it is of type {type(model).__name__}: return a keras.Model")
    head = f"end it with keras.layers.Dense({classes}, activation='{task.activation}')"
    batch = np.asarray(images[:CHECKED])
    outputs = model(batch, training=False)
    expected = (len(batch), classes)
    if not keras.ops.is_tensor(outputs) or tuple(outputs.shape) != expected:
        shapes = keras.tree.map_structure(lambda output: tuple(output.shape), outputs)
        raise InputError(
            f"model: {model.name} has outputs of shape {shapes} for {len(batch)} images, not "
            f"{expected}, a probability per class: {head}"
        )
    values = keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))
    if not np.isfinite(values).all():
        raise InputError(
            f"model: the outputs of {model.name} are NaN or infinite before the first step: check "
            "its layers and the initial values of their weights"
        )
    if problem := task.problem(values):
        raise InputError(
            f"model: the outputs of {model.name} are no probabilities: {problem}: {head}"
        )
