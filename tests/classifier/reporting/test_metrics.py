"""Metrics and their intervals against values that follow from the definition."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
)

from classifier.reporting import metrics
from classifier.reporting.metrics import bootstrap_intervals, compute_metrics
from classifier.reporting.precision_recall import rarest_curves
from classifier.reporting.tables import class_table
from classifier.saved.rounding import significant


def simulated(count: int, right: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities of 0.8 for the right class in a share ``right`` of the images."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count).astype(np.uint16)
    predicted = np.where(rng.random(count) < right, labels, (labels + 1) % 3)
    probabilities = np.full((count, 3), 0.1, np.float32)
    probabilities[np.arange(count), predicted] = 0.8
    return labels, probabilities


def test_interval_of_the_accuracy_is_the_binomial_one() -> None:
    labels, probabilities = simulated(2000, right=0.9)
    share = compute_metrics(labels, probabilities)["accuracy"]
    table = bootstrap_intervals(labels, probabilities, seed=7).set_index("metric")
    half = 1.96 * (share * (1 - share) / 2000) ** 0.5
    assert table["low"]["accuracy"] == pytest.approx(share - half, abs=0.003)
    assert table["high"]["accuracy"] == pytest.approx(share + half, abs=0.003)


def test_intervals_contain_the_metrics_and_shrink_with_more_images() -> None:
    widths = []
    for count in (100, 10_000):
        labels, probabilities = simulated(count, right=0.7)
        values = compute_metrics(labels, probabilities)
        table = bootstrap_intervals(labels, probabilities, seed=7, samples=200)
        assert set(table["metric"]) == set(values) - {"images", "untested_classes"}
        for row in table.to_dict("records"):
            assert row["low"] <= values[row["metric"]] <= row["high"]
        widths.append((table["high"] - table["low"]).to_numpy())
    ratio = widths[0] / widths[1]
    assert (ratio > 5).all()  # 100 times the images: about 10 times


def test_same_seed_same_interval() -> None:
    labels, probabilities = simulated(200, right=0.7)
    first, again, other = (
        bootstrap_intervals(labels, probabilities, seed=seed, samples=50) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert (first["low"] != other["low"]).any()


def test_two_classes_are_always_in_the_top_2() -> None:
    labels, probabilities = np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]], np.float32)
    values = compute_metrics(labels, probabilities)
    assert (values["accuracy"], values["top_2_accuracy"], values["images"]) == (0.5, 1.0, 2)
    table = bootstrap_intervals(labels, probabilities, seed=7, samples=50).set_index("metric")
    assert table["low"]["top_2_accuracy"] == table["high"]["top_2_accuracy"] == 1


def test_the_intervals_do_not_depend_on_how_many_resamples_are_made_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, probabilities = simulated(200, right=0.7)
    together = bootstrap_intervals(labels, probabilities, seed=1, samples=50)
    monkeypatch.setattr(metrics, "RESAMPLED_AT_ONCE", 1)
    pd.testing.assert_frame_equal(
        bootstrap_intervals(labels, probabilities, seed=1, samples=50), together
    )


@pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy"])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_the_interval_is_of_scikit_learns_metric_also_where_a_class_has_no_images(
    name: str,
) -> None:
    """Class 3 has no test image, class 2 three, which many resamples leave out."""
    labels, probabilities = simulated(60, right=0.7)
    labels[labels == 2] = 0
    labels[:3] = 2
    probabilities = np.pad(probabilities, ((0, 0), (0, 1)))
    predicted = probabilities.argmax(axis=1)
    rng = np.random.default_rng(7)
    resamples = rng.integers(60, size=(400, 60))
    functions: dict[str, Callable[..., float]] = {
        "macro_f1": partial(f1_score, average="macro", zero_division=0),
        "balanced_accuracy": balanced_accuracy_score,
    }
    scores = [functions[name](labels[rows], predicted[rows]) for rows in resamples]
    table = bootstrap_intervals(labels, probabilities, seed=7, samples=400).set_index("metric")
    low, high = np.percentile(scores, [2.5, 97.5])
    assert table["low"][name] == pytest.approx(low, abs=0.03)
    assert table["high"][name] == pytest.approx(high, abs=0.03)
    values = compute_metrics(labels, probabilities)
    assert table["low"][name] <= values[name] <= table["high"][name]
    assert values[name] == significant(functions[name](labels, predicted))
    assert values["untested_classes"] == 1


def test_a_perfect_network_has_macro_f1_of_1_with_a_class_that_has_no_images() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.eye(3)[labels]
    table = bootstrap_intervals(labels, probabilities, seed=7, samples=50).set_index("metric")
    assert compute_metrics(labels, probabilities)["macro_f1"] == 1
    assert table["low"]["macro_f1"] == table["high"]["macro_f1"] == 1


def test_the_table_of_classes_has_no_figure_for_a_class_without_images_and_predictions() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.eye(4)[[0, 0, 0, 2]]
    table = class_table(labels, probabilities, list("abcd"), {"a": 9}).set_index("class")
    assert table["f1"].isna().tolist() == [False, False, False, True]
    assert table["precision"].isna().tolist() == [False, True, False, True]  # none predicted
    assert table["recall"].isna().tolist() == [False, False, True, True]  # no images
    assert table["average_precision"].isna().tolist() == [False, False, True, True]
    assert table["trained"].tolist() == [9, 0, 0, 0]
    macro_f1 = compute_metrics(labels, probabilities)["macro_f1"]
    assert significant(table["f1"].mean()) == macro_f1


def test_the_log_loss_is_scikit_learns_to_five_decimals() -> None:
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.7, 0.3], [1.0, 0.0], [0.123456, 0.876544]], np.float32)
    normalized = probabilities.astype(np.float64)
    expected = log_loss(labels, normalized / normalized.sum(axis=1, keepdims=True))
    assert compute_metrics(labels, probabilities)["log_loss"] == round(expected, 5)


def test_the_curves_are_those_of_the_rarest_classes_with_test_images() -> None:
    labels, probabilities = simulated(200, right=0.7)
    labels[labels == 1] = 0
    table = class_table(labels, probabilities, list("abc"), {"a": 1000, "b": 1, "c": 20})
    curves = rarest_curves(labels, probabilities, table, count=2)
    area = average_precision_score(labels == 2, probabilities[:, 2])
    assert next(iter(curves)) == f"c: average precision {area:.3f}, 20 images to train"
    assert [name[0] for name in curves] == ["c", "a"]
    steps = next(iter(curves.values()))
    assert -(np.diff(steps["recall"]) * steps["precision"][:-1]).sum() == pytest.approx(area)
    assert [name[0] for name in rarest_curves(labels, probabilities, table, count=1)] == ["c"]
