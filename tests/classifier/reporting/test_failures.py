"""How a model fails: what is found, what the report says of it, and the pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classifier.reporting.corruptions import COLUMNS
from classifier.reporting.failures import (
    Failures,
    describe_corruptions,
    describe_failures,
    describe_slices,
    draw_failures,
    find_failures,
)
from classifier.reporting.predictions import Predictions, predictions_table


def predict(images: np.ndarray) -> np.ndarray:
    """Class 1 for a bright image."""
    share = images.mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - share, share], axis=1).astype(np.float32)


def evaluated(corruption_images: int) -> tuple[Predictions, Failures]:
    """Forty images: the brighter half is class 1, two labels are wrong, and in one group."""
    levels = np.linspace(20, 230, 40)
    images = (levels[:, None, None, None] * np.ones((1, 12, 12, 3))).astype(np.uint8)
    labels = (levels > 130).astype(int)
    labels[[19, 21]] = 1 - labels[[19, 21]]
    ids = pd.Series([f"{number:02d}" for number in range(40)])
    table = predictions_table(ids, labels, predict(images), ["dark", "bright"])
    test = Predictions(
        images, labels, predict(images), table, ["dark", "bright"], np.zeros((len(labels), 1))
    )
    features = pd.DataFrame(
        {"brightness": levels, "group": ["p"] * 10 + ["q"] * 20 + ["r"] * 9 + [None]}
    )
    found = find_failures(
        predict, test, features, corruption_images=corruption_images, batch_size=64, seed=7
    )
    return test, found


def test_metrics_agree_with_the_tables() -> None:
    _, found = evaluated(20)
    corruptions = found.tables["corruptions"]
    assert found.metrics["corruptions"]["images"] == 20
    assert found.metrics["corruptions"]["unchanged"] == 0.95
    changed = corruptions[corruptions["corruption"] != "none"]
    assert found.metrics["corruptions"]["accuracy"] == pytest.approx(changed["accuracy"].mean())
    assert found.metrics["slices"] == {"tested": 6, "worse": 0, "too_small": 1}
    assert found.metrics["coverage"]["aurc"] < 0.05
    assert found.tables["coverage"]["accuracy"][0] == 0.95


def test_the_report_says_it_in_words() -> None:
    _, found = evaluated(20)
    said = describe_failures(found.tables, found.metrics)
    assert "falls from 95.0 % on the images as they are to 50.0 % under" in said["of_corruptions"]
    assert len(said["corruptions"]) == 9
    assert [case["strength"] for case in said["corruptions"][0]["cases"]] == [
        "mild",
        "medium",
        "strong",
    ]
    assert said["corruptions"][0]["name"] in ("darkness", "brightness")  # the worst first
    assert said["of_slices"] == (
        "No slice of 6 is worse than chance would explain. Sources and groups with fewer than "
        "10 test images are left out: 1."
    )
    assert "only the 90 % that it is surest of" in said["of_coverage"]
    assert "it is right on 100.00 % of them" in said["of_coverage"]
    assert len(said["coverage"]) == 6


def test_nothing_is_said_of_changes_that_were_not_tried() -> None:
    _, found = evaluated(0)
    assert "corruptions" not in found.metrics
    said = describe_failures(found.tables, found.metrics)
    assert (said["corruptions"], said["of_corruptions"]) == ([], "")


@pytest.mark.parametrize("corruption_images", [0, 5])
def test_the_pictures_are_there_in_any_case(tmp_path: Path, corruption_images: int) -> None:
    test, found = evaluated(corruption_images)
    draw_failures(tmp_path, test, found.tables, title="tiny", seed=7)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "corrupted.png",
        "corruptions.png",
        "coverage.png",
    ]
    with Image.open(tmp_path / "corrupted.png") as picture:
        assert (picture.height > 300) == bool(corruption_images)


def row(corruption: str, strength: str, accuracy: float) -> list[object]:
    return [corruption, strength, "", 100, accuracy, 0.0, 1.0]


@pytest.mark.parametrize(
    ("mild", "strong", "expected"),
    [
        (0.9, 0.95, "No change lowers the accuracy of 90.0 % on the images as they are."),
        (0.9, 0.4, "under blur (strong), which costs most. No mild change costs anything."),
        (0.8, 0.4, "Of the mild changes, blur costs most: 80.0 % are right."),
    ],
)
def test_what_is_said_of_changes(mild: float, strong: float, expected: str) -> None:
    rows = [row("none", "", 0.9), row("blur", "mild", mild), row("blur", "strong", strong)]
    assert describe_corruptions(pd.DataFrame(rows, columns=COLUMNS)).endswith(expected)


def test_the_worst_slice_is_named() -> None:
    rows = pd.DataFrame(
        [
            ["size", "20 to 40", 50, 0.5, 0.9, 0.001, True],
            ["group", "g", 20, 0.6, 0.9, 0.04, True],
            ["group", "h", 20, 0.9, 0.9, 1.0, False],
        ],
        columns=["feature", "slice", "images", "accuracy", "accuracy_of_others", "p", "worse"],
    )
    assert describe_slices(rows, 0) == (
        "2 of 3 slices are worse than chance would explain. Look first at size 20 to 40: 50.0 % "
        "of 50 images are right, and 90.0 % of the others."
    )
    assert "there is nothing to compare" in describe_slices(rows[:0], 0)
