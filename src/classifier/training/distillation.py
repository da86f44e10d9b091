"""Distillation: a network learns from the labels, and from what a trained model says of the images.

Hinton, Vinyals, Dean, Distilling the knowledge in a neural network, 2015
(https://arxiv.org/abs/1503.02531). The teacher sees the images of each batch as the student does,
augmented and mixed: Beyer et al., Knowledge distillation: a good teacher is patient and consistent,
2022 (https://arxiv.org/abs/2106.05237).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from classifier.saved.saving import load_model
from classifier.support.limits import FractionAbove0, Positive, checked

LEAST = 1e-30  # of a probability before its logarithm; float32 has numbers down to 1e-38


class Teacher(NamedTuple):
    """A trained model: from uint8 images (B, H, W, C) to probabilities (B, classes).

    Attributes:
        input_shape, output_shape: as those of a Keras model.
    """

    predict: Callable[[Any], Any]
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]


@checked
def distill(
    student: Any, teacher: Any, *, source: str, temperature: Positive, alpha: FractionAbove0
) -> None:
    """Lets the student learn from a teacher, beside the labels, when it is trained by ``fit``.

    The loss of a training step is that of the labels times ``1 - alpha``, and ``alpha`` times
    ``temperature ** 2`` times the Kullback-Leibler divergence of the student's softened
    probabilities from the teacher's. Softened probabilities are the softmax of the logits divided
    by the temperature; the factor keeps the size of their gradients, which falls with the square of
    the temperature (Hinton et al., section 2). Factors of the images, such as those of class
    weights, count for both parts; penalties of the weights count once. The loss of the validation
    images is that of the labels alone.

    The saved student does not know of it.

    Args:
        student: a Keras model with probabilities as outputs.
        teacher: a :class:`Teacher`.
        source: where the teacher comes from; it was loaded from there.
        temperature: 1 leaves the probabilities as they are.
        alpha: the teacher's share of the loss; 1 for no labels.
    """
    by_labels = student.compute_loss
    divergence = keras.losses.KLDivergence()

    def compute_loss(
        x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = by_labels(x, y, y_pred, sample_weight, training)  # with the penalties
        if not training:
            return loss
        taught = ops.stop_gradient(ops.cast(teacher.predict(x), "float32"))
        answered = softened(ops.cast(y_pred, "float32"), temperature)
        of_teacher = divergence(softened(taught, temperature), answered, sample_weight)
        of_labels = student.loss(y, y_pred, sample_weight)
        return loss + alpha * (temperature**2 * of_teacher - of_labels)

    student.compute_loss = compute_loss


@contextmanager
def by_labels_alone(student: keras.Model) -> Iterator[None]:
    """A block in which the loss of :func:`distill` is that of the labels."""
    taught = vars(student).pop("compute_loss", None)
    try:
        yield
    finally:
        if taught is not None:
            student.compute_loss = taught


def softened(probabilities: Any, temperature: float) -> Any:
    """The softmax of the logits divided by the temperature, of float32 (B, classes)."""
    logits = ops.log(ops.maximum(probabilities, LEAST))
    return ops.softmax(logits / temperature)


def load_teacher(path: Path) -> Teacher:
    """The teacher in a ``.keras`` file or in the folder of a SavedModel of this project.

    It keeps its own precision, and its own preprocessing.

    Raises:
        ValueError: the SavedModel does not take ``images``, or gives no ``probabilities``.
    """
    if path.is_file():
        model = load_model(path)
        model.trainable = False

        def predict(images: Any) -> Any:
            return model(images, training=False)

        return Teacher(predict, model.input_shape, model.output_shape)
    loaded = tf.saved_model.load(path)
    serve = loaded.signatures.get("serving_default")
    inputs = serve.structured_input_signature[1] if serve else {}
    outputs = serve.structured_outputs if serve else {}
    if set(inputs) != {"images"} or "probabilities" not in outputs:
        raise ValueError(
            f"{path} must take images and give probabilities, as an exported model does"
        )

    def answer(images: Any) -> Any:
        return serve(images=images)["probabilities"]

    shapes = [tuple(spec.shape) for spec in (inputs["images"], outputs["probabilities"])]
    return Teacher(answer, *shapes)
