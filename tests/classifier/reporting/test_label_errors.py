"""Labels that may be wrong: planted ones are found, right ones are not."""

import numpy as np
import pandas as pd
import pytest

from classifier.reporting.label_errors import label_errors
from classifier.reporting.predictions import predictions_table

CLASSES = ["a", "b", "c", "d"]


def predicted(labels: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Probabilities of a network that is mostly right about these true labels."""
    scores = np.random.default_rng(seed).normal(size=(len(labels), len(CLASSES)))
    scores += strength * np.eye(len(CLASSES))[labels]
    odds = np.exp(2 * scores)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


def table(labels: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    ids = pd.Series(f"{number:04d}" for number in range(len(labels)))
    return predictions_table(ids, labels, probabilities, CLASSES)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.15])
def test_planted_errors_are_found(share: float) -> None:
    rng = np.random.default_rng(1)
    true = rng.integers(len(CLASSES), size=2000)
    wrong = rng.random(len(true)) < share
    labels = (true + wrong * rng.integers(1, len(CLASSES), len(true))) % len(CLASSES)
    probabilities = predicted(true, strength=4)
    assert 0.97 < (probabilities.argmax(axis=1) == true).mean() < 1
    found = label_errors(table(labels, probabilities))
    hits = wrong[found.index]
    assert hits.mean() > 0.85
    assert hits.sum() > 0.8 * wrong.sum()
    assert hits[: len(hits) // 2].mean() > 0.95  # the most suspicious ones come first
    of_label = [row[f"p({row['class']})"] for row in found.to_dict("records")]
    assert of_label == sorted(of_label)


def test_a_network_without_mistakes_suspects_nothing() -> None:
    labels = np.arange(50) % 3
    assert label_errors(table(labels, np.eye(4)[labels])).empty


def test_classes_without_images() -> None:
    labels = np.zeros(20, int)
    assert label_errors(table(labels, predicted(labels, strength=1))).empty
    labels = np.repeat([1, 3], 30)
    probabilities = predicted(labels, strength=4)
    labels[0] = 3
    assert label_errors(table(labels, probabilities))["id"].tolist()[0] == "0000"
