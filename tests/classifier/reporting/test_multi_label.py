"""How several labels an image are judged: thresholds, metrics beside scikit-learn's, captions."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from classifier.reporting.label_pictures import caption, label_curves
from classifier.reporting.multi_label import (
    answered,
    average,
    count_table,
    fit_thresholds,
    label_metrics,
    label_tables,
)
from classifier.reporting.predictions import Predictions

CLASSES = ["a", "b", "c"]


def predictions(seed: int, count: int = 80) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 3)) < (0.5, 0.3, 0.2)).astype(np.uint16)
    noise = rng.normal(0, 1, labels.shape)
    probabilities = (1 / (1 + np.exp(-(3 * labels - 1 + noise)))).astype(np.float32)
    ids = pd.DataFrame({"id": [f"{seed}-{n:03d}" for n in range(count)]})
    images = np.zeros((count, 8, 8, 3), np.uint8)
    features = np.zeros((count, 2), np.float32)
    return Predictions(images, labels, probabilities, ids, CLASSES, features)


def judged() -> tuple[Predictions, Predictions]:
    validation, test = predictions(1), predictions(2)
    thresholds = fit_thresholds(validation.labels, validation.probabilities)
    return answered(validation, thresholds, ";"), answered(test, thresholds, ";")


def test_thresholds_have_the_highest_f1_of_the_validation_split() -> None:
    validation = predictions(1)
    shown = validation.probabilities.astype(float).round(3)
    thresholds = fit_thresholds(validation.labels, validation.probabilities)
    for at, threshold in enumerate(thresholds):
        has = validation.labels[:, at]
        best = max(sk.f1_score(has, shown[:, at] >= cut) for cut in np.unique(shown[:, at]))
        assert sk.f1_score(has, shown[:, at] >= threshold) == pytest.approx(best)
        # The exact probabilities are on the same side as the rounded ones.
        above = validation.probabilities[:, at] >= threshold
        assert (above == (shown[:, at] >= threshold)).all()


def test_the_metrics_are_those_of_scikit_learn() -> None:
    _, test = judged()
    metrics, has = label_metrics(test), test.labels.astype(bool)
    shown = test.probabilities.astype(float).round(3)
    predicted = shown >= test.thresholds
    assert metrics["accuracy"] == pytest.approx(sk.accuracy_score(has, predicted))
    assert metrics["mean_average_precision"] == pytest.approx(
        sk.average_precision_score(has, shown, average="macro"), rel=1e-5
    )
    for kind in ("micro", "macro"):
        expected = sk.f1_score(has, predicted, average=kind)
        assert metrics[f"{kind}_f1"] == pytest.approx(expected, rel=1e-5)
    losses = [sk.log_loss(has[:, at], test.probabilities[:, at].astype(float)) for at in range(3)]
    assert metrics["log_loss"] == pytest.approx(np.mean(losses), abs=1e-4)
    assert metrics["unlabelled"] == (~has.any(axis=1)).sum() > 0


def test_the_tables_agree_with_the_metrics() -> None:
    validation, test = judged()
    trained = dict.fromkeys(CLASSES, 9)
    tables = label_tables(test, validation, trained=trained, seed=3, samples=60, count=5)
    metrics = label_metrics(test)
    for row in tables["intervals"].to_dict("records"):
        assert row["low"] <= metrics[row["metric"]] <= row["high"]
    counts = count_table(test)
    assert (counts.drop(columns="class").sum(axis=1) == len(test.labels)).all()
    assert (counts["found"] + counts["missed"]).tolist() == test.labels.sum(axis=0).tolist()
    assert tables["classes"]["f1"].mean() == pytest.approx(metrics["macro_f1"], rel=1e-4)
    assert tables["predictions"]["correct"].mean() == metrics["accuracy"]
    assert tables["calibration"]["images"].sum() == test.labels.size
    assert len(tables["suspicious"]) <= 5
    for curve in label_curves(test, tables["classes"]).values():
        assert curve["chosen"].sum() == 1


def test_average_precision_of_resamples_is_that_of_repeated_images() -> None:
    rng = np.random.default_rng(5)
    scores, has = rng.random(30).round(1), rng.random(30) < 0.4
    weights = rng.integers(0, 3, (2, 30)).astype(float)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), 29)
    found = average(weights[:, order], has[order], ends)
    for value, counts in zip(found, weights.astype(int), strict=True):
        rows = np.repeat(np.arange(30), counts)
        assert value == pytest.approx(sk.average_precision_score(has[rows], scores[rows]))


@pytest.mark.parametrize(
    ("labels", "answer", "text"),
    [
        ("a;b", "b;c", "missed: a\nwrong: c\nright: b"),
        ("", "", "no label"),
        ("dandelion;sunflowers", "", "missed: dandelion,\nsunflowers"),
    ],
)
def test_a_caption_says_what_is_missed_wrong_and_right(labels: str, answer: str, text: str) -> None:
    assert caption({"class": labels, "predicted": answer}, ";") == text
