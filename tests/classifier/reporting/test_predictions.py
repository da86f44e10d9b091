"""The table of predictions, and what is selected from it, against cases counted by hand."""

import numpy as np
import pandas as pd

from classifier.reporting.predictions import (
    least_certain,
    predictions_table,
    worst_mistakes,
)

CLASSES = ["a", "b", "c"]


def test_the_worst_mistake_and_the_least_certain_prediction() -> None:
    probabilities = np.array(
        [[0.9, 0.05, 0.05]] * 3 + [[0.1, 0.8, 0.1]] * 3 + [[0.05, 0.9, 0.05], [0.5, 0.4, 0.1]]
    )
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 1])  # the last two predictions are wrong
    table = predictions_table(pd.Series(list("stuvwxyz")), labels, probabilities, CLASSES)
    assert table["id"][~table["correct"]].tolist() == ["y", "z"]
    assert worst_mistakes(table, 1)["id"].tolist() == ["y"]
    assert least_certain(table, 1)["id"].tolist() == ["z"]
