"""Risk and coverage: the accuracy by the share of the images that are answered."""

import numpy as np
import pytest

from classifier.reporting.coverage import coverage_metrics, coverage_table, expected_mistakes


def test_the_area_under_the_curve_is_the_mean_risk_of_the_surest() -> None:
    correct = np.array([True, False, True, False])
    metrics = coverage_metrics(correct, np.array([0.9, 0.8, 0.7, 0.6]))
    assert metrics["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4, rel=1e-5)
    assert metrics["ideal_aurc"] == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4, rel=1e-5)
    assert metrics["accuracy_at_90"] == 0.5


def test_the_order_of_equal_probabilities_does_not_matter() -> None:
    confidence = np.array([0.8, 0.8, 0.6, 0.8])
    for wrong in ([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]):
        assert expected_mistakes(np.array(wrong) == 0, confidence) == pytest.approx(
            [1 / 3, 2 / 3, 1, 1]
        )


def test_the_table_begins_with_all_images_and_ends_with_the_surest() -> None:
    rng = np.random.default_rng(4)
    confidence = rng.uniform(0.5, 1, 200).round(3)
    correct = rng.random(200) < confidence
    table = coverage_table(correct, confidence)
    assert len(table) == 20
    assert table["coverage"][0] == 1
    assert table["images"].tolist() == list(range(200, 0, -10))
    assert table["accuracy"][0] == pytest.approx(correct.mean())
    assert table["probability"].is_monotonic_increasing
    assert (table["ideal"] >= table["accuracy"]).all()
    assert table["accuracy"][15] > table["accuracy"][0]


@pytest.mark.parametrize("count", [1, 3])
def test_few_images(count: int) -> None:
    correct, confidence = np.ones(count, bool), np.full(count, 0.9)
    table = coverage_table(correct, confidence)
    assert table["images"].between(1, count).all()
    assert (table["accuracy"] == 1).all()
    assert coverage_metrics(correct, confidence) == {
        "aurc": 0,
        "ideal_aurc": 0,
        "accuracy_at_90": 1,
    }
