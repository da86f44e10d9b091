"""What the report says of test images that other splits have near-duplicates of."""

from math import isnan

import pandas as pd

from classifier.reporting.report import leaked_images

COLUMNS = ["first", "first_split", "second", "second_split", "distance"]


def test_the_accuracy_without_leaked_images() -> None:
    predictions = pd.DataFrame({"id": ["a", "b", "c", "d"], "correct": [1, 1, 0, 1]})
    pairs = pd.DataFrame(
        [
            ["a", "test", "x", "train", 2],
            ["y", "validation", "b", "test", 2],
            ["a", "test", "z", "train", 0],
            ["c", "test", "d", "test", 0],
            ["c", "test", "w", "dropped", 0],
        ],
        columns=COLUMNS,
    )
    assert leaked_images(predictions, pairs) == {
        "images": 2,
        "without": 2,
        "accuracy_without": 0.5,
    }


def test_nothing_leaked_and_everything_leaked() -> None:
    predictions = pd.DataFrame({"id": ["a"], "correct": [1]})
    assert leaked_images(predictions, pd.DataFrame(columns=COLUMNS))["images"] == 0
    pairs = pd.DataFrame([["a", "test", "x", "train", 2]], columns=COLUMNS)
    found = leaked_images(predictions, pairs)
    assert found["images"] == 1
    assert isnan(found["accuracy_without"])
