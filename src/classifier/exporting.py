"""A trained model as a SavedModel of raw uint8 images, the same bytes for the same model."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from classifier.errors import InputError


class Classifier(tf.Module):
    """A Keras model as one function of images.

    ``classifier(images)`` takes uint8 (N, H, W, C), values 0..255, and gives float32
    (N, classes), probabilities. Its signature ``serving_default`` gives both ``probabilities``
    and ``class_names``, bytes (N,), the most probable one. The class names are the asset
    ``classes.txt``, one a line.

    The weights are constants of the graph, for TensorFlow's constant folding
    (https://www.tensorflow.org/guide/graph_optimization): the default models answer in five sixths
    of the time that they take with variables. Such a model cannot be trained further, and is
    smaller than 2 GB, as protocol buffers are.
    """

    def __init__(self, model: keras.Model, classes_file: Path):
        super().__init__(name="classifier")
        self.classes_file = tf.saved_model.Asset(str(classes_file))
        classes = tf.constant(classes_file.read_text("utf-8").splitlines())
        images = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")
        weights = {id(variable): variable.numpy() for variable in model.weights}

        def constant(variable: keras.Variable) -> tf.Tensor:
            # Dropout's seeds and the metrics, which are no weights, are not used here; the seeds
            # are new in each process.
            return tf.constant(weights.get(id(variable), 0), variable.dtype, variable.shape)

        @tf.function(input_signature=[images])
        def answer(images: tf.Tensor) -> tf.Tensor:
            groups = model.trainable_variables, model.non_trainable_variables
            constants = [[constant(variable) for variable in group] for group in groups]
            found, _ = model.stateless_call(*constants, images, training=False)
            return found

        # Traced once: each trace would keep the weights.
        self._answer = answer.get_concrete_function()

        @tf.function(input_signature=[images])
        def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
            found = self._answer(images)
            return {
                "probabilities": found,
                "class_names": tf.gather(classes, tf.argmax(found, axis=1)),
            }

        self.serve = serve
        self.__call__.get_concrete_function(images)

    @tf.function
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return self._answer(images)

    @property
    def signatures(self) -> dict[str, Any]:
        """The signatures to save."""
        return {"serving_default": self.serve.get_concrete_function()}


def export_saved_model(classifier: Classifier, folder: Path) -> None:
    """Writes ``saved_model.pb``, ``assets/``, and ``variables/`` without weights to ``folder``.

    TensorFlow adds a fingerprint file with a random UUID, which loading does not need; it is
    removed (https://www.tensorflow.org/guide/saved_model#fingerprint).
    """
    tf.saved_model.save(classifier, folder, signatures=classifier.signatures)
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def check_saved_model(
    folder: Path, images: np.ndarray, expected: np.ndarray, tolerance: float
) -> float:
    """The largest absolute difference of a SavedModel's probabilities from the Keras model's.

    Args:
        images: uint8 (N, H, W, C).
        expected: float32 (N, classes).

    Raises:
        InputError: it is more than ``tolerance``.
    """
    serve = tf.saved_model.load(folder).signatures["serving_default"]
    found = serve(images=tf.constant(images))["probabilities"].numpy()
    difference = float(np.abs(found - expected).max())
    check_difference("the SavedModel", difference, tolerance)
    return difference


def check_difference(exported: str, difference: float, tolerance: float) -> None:
    """Checks how far an exported model's probabilities are from the Keras model's.

    Raises:
        InputError: farther than ``tolerance``.
    """
    if not difference <= tolerance:
        raise InputError(
            f"{exported}'s probabilities differ from the Keras model's by {difference:.2g}, more "
            f"than tolerance {tolerance:.2g}"
        )
