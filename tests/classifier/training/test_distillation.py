"""A teacher's part of the loss, and what stays as it is."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.saved.saving import load_model, save_model
from classifier.training.distillation import by_labels_alone, distill, load_teacher, softened
from conftest import build_model

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
TARGETS = np.eye(5, dtype=np.float32)[[0, 1, 2, 3, 4, 0]]


def network(seed: int, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(seed)
    size = {"filters": [4], "convolutions": 1, "dropout": 0.0, "normalization": "none"}
    return build_model("convnet", 8, **size | options)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    save_model(network(2), tmp_path / "teacher.keras")
    return tmp_path / "teacher.keras"


def taught(file: Path, temperature: float = 4.0, alpha: float = 0.9, **options: Any) -> keras.Model:
    student = network(1, **options)
    student.compile(keras.optimizers.SGD(0.01), keras.losses.CategoricalCrossentropy())
    distill(student, load_teacher(file), source="x", temperature=temperature, alpha=alpha)
    return student


def test_softened_probabilities_are_those_of_logits_divided_by_the_temperature() -> None:
    logits = np.array([[2.0, -1.0, 40.0], [0.0, 1.0, -60.0]], np.float32)
    expected = keras.ops.softmax(logits / 4)
    np.testing.assert_allclose(softened(keras.ops.softmax(logits), 4), expected, atol=1e-6)
    probabilities = keras.ops.softmax(logits)
    np.testing.assert_allclose(softened(probabilities, 1), probabilities, atol=1e-6)


@pytest.mark.parametrize("weights", [None, np.arange(6, dtype=np.float32)])
def test_the_loss_of_a_step(teacher: Path, weights: np.ndarray | None) -> None:
    """Against the formula, in logarithms of numpy."""
    student = taught(teacher, weight_decay=0.01)
    answers = student(IMAGES).numpy()
    q, p = (
        (powers := np.float64(values) ** 0.25) / powers.sum(axis=1, keepdims=True)
        for values in (load_model(teacher)(IMAGES).numpy(), answers)
    )
    factors = np.ones(6) if weights is None else weights
    labels = np.mean(factors * -np.log((answers * TARGETS).sum(axis=1)))
    divergence = np.mean(factors * (q * np.log(q / p)).sum(axis=1))
    penalty = sum(map(float, student.losses))
    expected = 0.1 * labels + 0.9 * 16 * divergence + penalty
    loss = student.compute_loss(IMAGES, TARGETS, student(IMAGES), weights, True)
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    loss = student.compute_loss(IMAGES, TARGETS, student(IMAGES), weights, False)
    assert float(loss) == pytest.approx(labels + penalty, rel=1e-4)
    with by_labels_alone(student):
        loss = student.compute_loss(IMAGES, TARGETS, student(IMAGES), weights, True)
    assert float(loss) == pytest.approx(labels + penalty, rel=1e-4)


def test_a_student_becomes_like_its_teacher_and_is_saved_alone(
    teacher: Path, tmp_path: Path
) -> None:
    student, goal = taught(teacher, alpha=1.0), load_model(teacher)
    student.compile(keras.optimizers.Adam(0.01), keras.losses.CategoricalCrossentropy())
    before = np.abs(student(IMAGES) - goal(IMAGES)).mean()
    dataset = tf.data.Dataset.from_tensors((IMAGES, TARGETS)).repeat(60)
    student.fit(dataset, epochs=1, verbose=0)
    assert np.abs(student(IMAGES) - goal(IMAGES)).mean() < before / 2
    for one, other in zip(load_model(teacher).get_weights(), goal.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    save_model(student, tmp_path / "student.keras")
    saved = load_model(tmp_path / "student.keras")
    np.testing.assert_array_equal(saved(IMAGES), student(IMAGES))
    assert [layer.name for layer in saved.layers] == [layer.name for layer in network(1).layers]


def test_a_saved_model_teaches_too(teacher: Path, tmp_path: Path) -> None:
    model = load_model(teacher)

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.uint8, "images")])
    def serve(images: Any) -> dict[str, Any]:
        return {"probabilities": model(images)}

    module = tf.Module()
    module.model = model
    tf.saved_model.save(module, tmp_path / "exported", signatures=serve)
    exported = load_teacher(tmp_path / "exported")
    np.testing.assert_allclose(exported.predict(tf.constant(IMAGES)), model(IMAGES), atol=1e-6)
    assert (exported.input_shape, exported.output_shape) == ((None, 8, 8, 3), (None, 5))
    tf.saved_model.save(tf.Module(), tmp_path / "other")
    with pytest.raises(ValueError, match="must take images and give probabilities"):
        load_teacher(tmp_path / "other")
