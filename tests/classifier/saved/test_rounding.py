"""Figures as they are rounded for files: the same for last bits that differ."""

import numpy as np
import pandas as pd
import pytest

from classifier.reporting.calibration import reliability_table
from classifier.reporting.label_errors import label_errors
from classifier.reporting.metrics import compute_metrics
from classifier.reporting.predictions import (
    least_certain,
    predictions_table,
    worst_mistakes,
)
from classifier.saved.rounding import (
    order_of_magnitude,
    rounded,
    significant,
    significant_table,
)

CLASSES = ["a", "b", "c", "d"]


def test_rounded_figures_have_few_digits() -> None:
    assert significant(2 / 3) == 0.666667
    assert significant(12345678.9, 4) == 12350000
    assert significant(0.0) == 0
    assert np.isnan(significant(float("nan")))
    assert rounded(np.array([2 / 3], np.float32)).tolist() == [0.667]
    assert [order_of_magnitude(x) for x in (0.0, 4e-7, 1.2e-6, 0.002)] == [1e-6, 1e-6, 1e-6, 1e-3]


def test_a_table_keeps_its_columns_of_integers_and_texts() -> None:
    table = pd.DataFrame({"epoch": [1, 2], "loss": [1 / 3, 2 / 3], "name": ["x", "y"]})
    shown = significant_table(table, 4)
    assert shown.to_csv(index=False) == "epoch,loss,name\n1,0.3333,x\n2,0.6667,y\n"


@pytest.mark.difference(
    "the last bits of probabilities, by the CPU's instructions",
    "all tables and pictures are of probabilities with three decimals, so ties are in one order",
)
def test_last_bits_change_no_table_and_no_order() -> None:
    """Half of the images come in pairs of the same probabilities, which must stay in one order."""
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=400)
    # 0.0002 away from where another third decimal begins.
    exact = rng.dirichlet([0.2] * 4, size=400).round(3) + 0.0002
    exact[200:] = exact[:200]
    labels[200:] = labels[:200]
    ids = pd.Series(f"{number:03d}" for number in range(400))
    tables = []
    for seed in (1, 2):
        noise = np.random.default_rng(seed).uniform(-1e-6, 1e-6, exact.shape)
        probabilities = (exact + noise).astype(np.float32)
        table = predictions_table(ids, labels, probabilities, CLASSES)
        table = table.drop(columns="loss")  # it is not 0.0002 away from its boundary
        tables.append(
            (
                table,
                least_certain(table, 100),
                label_errors(table).head(100),
                reliability_table(labels, probabilities),
                pd.DataFrame([compute_metrics(labels, probabilities)])[["accuracy", "macro_f1"]],
            )
        )
    for one, other in zip(*tables, strict=True):
        assert one.to_csv() == other.to_csv()


def test_the_predicted_class_is_that_of_the_unrounded_probabilities() -> None:
    """Rounded, the four are equal; unrounded, the first two are, and the last is the highest."""
    labels = np.array([3, 0])
    probabilities = np.array([[0.2498, 0.2498, 0.2499, 0.2505], [0.25] * 4], np.float32)
    table = predictions_table(pd.Series(["x", "y"]), labels, probabilities, CLASSES)
    assert table["predicted"].tolist() == ["d", "a"]
    assert compute_metrics(labels, probabilities)["accuracy"] == 1
    assert reliability_table(labels, probabilities)["accuracy"].tolist() == [1]


def test_a_probability_that_is_rounded_to_0_keeps_its_loss() -> None:
    probabilities = np.array([[0.9999, 0.0001], [0.9997, 0.0003]], np.float32)
    table = predictions_table(pd.Series(["x", "y"]), np.array([1, 1]), probabilities, ["a", "b"])
    assert table["p(b)"].tolist() == [0, 0]
    assert table["loss"].tolist() == [9.21, 8.112]
    assert worst_mistakes(table, 1)["id"].tolist() == ["x"]
