"""The metrics by class against scikit-learn's, batch by batch."""

from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from classifier.saved.class_metrics import CLASS_METRICS
from classifier.saved.saving import load_model, save_model

SCORES = {
    "balanced_accuracy": balanced_accuracy_score,
    "macro_f1": lambda labels, predicted: f1_score(
        labels, predicted, average="macro", zero_division=0
    ),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("classes", [3, 5])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_metric_is_scikit_learns_of_all_batches(name: str, classes: int) -> None:
    """Of five classes, one has no image, and one neither images nor predictions."""
    rng = np.random.default_rng(3)
    labels, scores = rng.choice(3, 100, p=[0.8, 0.15, 0.05]), rng.random((100, classes))
    scores[:, 4:] = 0
    metric = CLASS_METRICS[name](classes, name)
    for start in range(0, 100, 32):
        part = slice(start, start + 32)
        metric.update_state(np.eye(classes)[labels[part]], scores[part])
    expected = SCORES[name](labels, scores.argmax(axis=1))
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_a_model_that_was_chosen_by_them_is_loaded(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    metrics = [kind(3, name) for name, kind in CLASS_METRICS.items()]
    model.compile("sgd", "categorical_crossentropy", metrics=metrics)
    values, targets = np.random.default_rng(0).random((6, 4)), np.eye(3)[[0, 0, 0, 1, 1, 2]]
    model.fit(values, targets, verbose=0)
    save_model(model, tmp_path / "a.keras")
    again = load_model(tmp_path / "a.keras").evaluate(values, targets, verbose=0, return_dict=True)
    assert again == pytest.approx(model.evaluate(values, targets, verbose=0, return_dict=True))
