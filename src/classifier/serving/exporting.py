"""A trained model as a SavedModel of images, the same bytes for the same model."""

from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from classifier.images.preprocessing import read_preprocessing
from classifier.serving.encoded import pixels_of
from classifier.serving.examples import as_png
from classifier.serving.outputs import Answers, as_answers, read_thresholds
from classifier.support.errors import InputError

ENCODED = "encoded"  # the signature of JPEG and PNG
SCORES = 1e-3  # the largest difference of a score, as a share: a sum of hundreds of squares


class Classifier(tf.Module):
    """A Keras model as one TensorFlow function of images.

    ``classifier(images)`` takes uint8 (N, H, W, C), values 0..255, and returns probabilities,
    float32 (N, classes). Its signature ``serving_default`` returns the outputs of
    :func:`classifier.answers.answers.answering`, and ``class_names``, bytes (N,), the most probable
    class of each image, accepted or not. The signature ``encoded`` returns the same of
    ``image_bytes``, strings (N,): JPEG or PNG, each of its own size, which become ``images`` as in
    training (:mod:`classifier.serving.encoded`). It raises ``tf.errors.InvalidArgumentError`` if
    one cannot be decoded. The asset ``classes.txt``
    has a class name per line. The asset ``preprocessing.json`` says how an image file becomes
    ``images`` (:class:`classifier.images.preprocessing.Preprocessing`).

    Where an image may have several labels, the asset ``thresholds.json`` has the threshold of each
    class, from which on it is answered. ``labels``, bool (N, classes), says which are, and
    ``class_names`` has their names, a line each, empty for none.

    The weights are constants of the graph, for TensorFlow's constant folding
    (https://www.tensorflow.org/guide/graph_optimization): the default models take five sixths of
    the time that they take with variables. Such a model cannot be trained further, and must be
    smaller than 2 GB, the limit of protocol buffers.
    """

    def __init__(
        self,
        model: keras.Model,
        classes_file: Path,
        preprocessing_file: Path,
        thresholds_file: Path | None = None,
    ):
        super().__init__(name="classifier")
        self.classes_file = tf.saved_model.Asset(str(classes_file))
        self.preprocessing_file = tf.saved_model.Asset(str(preprocessing_file))
        classes = tf.constant(classes_file.read_text("utf-8").splitlines())
        if thresholds_file is None:
            named = partial(_most_probable, classes)
        else:
            self.thresholds_file = tf.saved_model.Asset(str(thresholds_file))
            named = partial(_above, classes, tf.constant(read_thresholds(thresholds_file)))
        images = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="images")
        weights = {id(variable): variable.numpy() for variable in model.weights}

        def constant(variable: keras.Variable) -> tf.Tensor:
            # Seeds of dropout and metrics are not among the weights, and not used in inference.
            # Their values differ in each process: 0 keeps the bytes the same.
            return tf.constant(weights.get(id(variable), 0), variable.dtype, variable.shape)

        @tf.function(input_signature=[images])
        def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
            groups = model.trainable_variables, model.non_trainable_variables
            constants = [[constant(variable) for variable in group] for group in groups]
            answers, _ = model.stateless_call(*constants, images, training=False)
            return dict(answers)

        # Traced once: each trace would have its own copy of the weights.
        self._answer = answer.get_concrete_function()

        @tf.function(input_signature=[images])
        def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
            answers = self._answer(images)
            return answers | named(answers["probabilities"])

        # The name ends in _bytes: so TensorFlow Serving's and Vertex AI's JSON has base64 there
        # (https://www.tensorflow.org/tfx/serving/api_rest#encoding_binary_values).
        contents = tf.TensorSpec((None,), tf.string, name="image_bytes")
        pixels = pixels_of(read_preprocessing(preprocessing_file))
        answer_images = serve.get_concrete_function()

        @tf.function(input_signature=[contents])
        def serve_encoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            answers: dict[str, tf.Tensor] = answer_images(pixels(image_bytes))
            return answers

        self.serve = serve
        self.serve_encoded = serve_encoded
        self.__call__.get_concrete_function(images)

    @tf.function
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        probabilities: tf.Tensor = self._answer(images)["probabilities"]
        return probabilities

    @property
    def signatures(self) -> dict[str, Any]:
        """The signatures for ``tf.saved_model.save``."""
        return {
            "serving_default": self.serve.get_concrete_function(),
            ENCODED: self.serve_encoded.get_concrete_function(),
        }


def _most_probable(classes: tf.Tensor, probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"class_names": tf.gather(classes, tf.argmax(probabilities, axis=1))}


def _above(
    classes: tf.Tensor, thresholds: tf.Tensor, probabilities: tf.Tensor
) -> dict[str, tf.Tensor]:
    labels = probabilities >= thresholds
    every = tf.broadcast_to(classes, tf.shape(labels))
    names = tf.strings.reduce_join(tf.ragged.boolean_mask(every, labels), axis=1, separator="\n")
    return {"class_names": names, "labels": labels}


def export_saved_model(classifier: Classifier, folder: Path) -> None:
    """Writes ``saved_model.pb``, ``assets/``, and ``variables/`` without weights to ``folder``.

    TensorFlow's fingerprint file has a random UUID. It is removed, as loading does not need it
    (https://www.tensorflow.org/guide/saved_model#fingerprint).
    """
    tf.saved_model.save(classifier, folder, signatures=classifier.signatures)
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def check_encoded(signature: Any, images: np.ndarray, expected: Answers, tolerance: float) -> None:
    """Checks the signature ``encoded`` of a SavedModel, with images as PNG.

    They have the model's size, so that their pixels stay the same.

    Args:
        signature: of the loaded SavedModel.
        images: uint8 (N, H, W, C).
        expected: the Keras model's answers to these and to further images.
        tolerance: the largest difference of a probability, 0..1.

    Raises:
        InputError: a difference is above ``tolerance``, or that of the scores is, as a share.
    """
    contents = tf.constant([as_png(image) for image in images])
    answers = as_answers(signature(image_bytes=contents))
    probabilities, score, _ = (values[: len(images)] for values in expected)
    difference = float(np.abs(answers.probabilities - probabilities).max())
    check_difference(f"the signature {ENCODED}", difference, tolerance)
    check_score_difference(f"the signature {ENCODED}", score_difference(answers.score, score))


def check_difference(exported: str, difference: float, tolerance: float) -> None:
    """Checks the difference of an exported model's probabilities from the Keras model's.

    Raises:
        InputError: it is above ``tolerance``, or not a number.
    """
    if not difference <= tolerance:
        raise InputError(
            f"{exported}'s probabilities differ from the Keras model's by {difference:.2g}, more "
            f"than tolerance {tolerance:.2g}"
        )


def score_difference(scores: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of scores, (N,), from the Keras model's, as a share where above 1."""
    return float((np.abs(scores - expected) / np.maximum(expected, 1)).max())


def check_score_difference(exported: str, difference: float) -> None:
    """Checks a :func:`score_difference`.

    Raises:
        InputError: it is above SCORES, or not a number.
    """
    if not difference <= SCORES:
        raise InputError(
            f"{exported}'s scores differ from the Keras model's by {difference:.2g}, as a share, "
            f"more than {SCORES:.2g}"
        )
