"""Metrics, intervals and tables against cases that can be counted by hand."""

import numpy as np
import pandas as pd
import pytest

from classifier.evaluation import (
    bootstrap_intervals,
    compute_metrics,
    least_certain,
    predictions_table,
    suspicious_labels,
    worst_mistakes,
)

CLASSES = ["a", "b", "c"]


def simulated(count: int, right: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities of 0.8 for the right class in a share ``right`` of the images."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count).astype(np.uint16)
    said = np.where(rng.random(count) < right, labels, (labels + 1) % 3)
    probabilities = np.full((count, 3), 0.1, np.float32)
    probabilities[np.arange(count), said] = 0.8
    return labels, probabilities


def test_interval_of_the_accuracy_is_the_binomial_one() -> None:
    labels, probabilities = simulated(2000, right=0.9)
    share = compute_metrics(labels, probabilities)["accuracy"]
    table = bootstrap_intervals(labels, probabilities, seed=7).set_index("metric")
    half = 1.96 * (share * (1 - share) / 2000) ** 0.5
    assert table["low"]["accuracy"] == pytest.approx(share - half, abs=0.003)
    assert table["high"]["accuracy"] == pytest.approx(share + half, abs=0.003)


def test_intervals_hold_the_metrics_and_shrink_with_more_images() -> None:
    widths = []
    for count in (100, 10_000):
        labels, probabilities = simulated(count, right=0.7)
        metrics = compute_metrics(labels, probabilities)
        table = bootstrap_intervals(labels, probabilities, seed=7, samples=200)
        assert table["metric"].tolist() == ["accuracy", "top_2_accuracy", "log_loss", "macro_f1"]
        for row in table.itertuples():
            assert row.low <= metrics[row.metric] <= row.high
        widths.append((table["high"] - table["low"]).to_numpy())
    ratio = widths[0] / widths[1]
    assert (ratio > 5).all()  # the root of 100 is 10


def test_same_seed_same_interval() -> None:
    labels, probabilities = simulated(200, right=0.7)
    first, again, other = (
        bootstrap_intervals(labels, probabilities, seed=seed, samples=50) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert (first["low"] != other["low"]).any()


def test_a_planted_wrong_label_is_suspected_and_a_hard_image_is_not() -> None:
    probabilities = np.array(
        [[0.9, 0.05, 0.05]] * 3 + [[0.1, 0.8, 0.1]] * 3 + [[0.05, 0.9, 0.05], [0.5, 0.4, 0.1]]
    )
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 1])  # the last two are wrong: surely, and barely
    table = predictions_table(pd.Series(list("stuvwxyz")), labels, probabilities, CLASSES)
    assert table["id"][~table["correct"]].tolist() == ["y", "z"]
    assert suspicious_labels(table, 10)["id"].tolist() == ["y"]
    assert worst_mistakes(table, 1)["id"].tolist() == ["y"]
    assert least_certain(table, 1)["id"].tolist() == ["z"]


def test_nothing_is_suspected_of_a_network_without_mistakes() -> None:
    labels, probabilities = simulated(50, right=1.0)
    table = predictions_table(pd.Series(map(str, range(50))), labels, probabilities, CLASSES)
    assert suspicious_labels(table, 10).empty
