"""Cross-validation: tables over folds and seeds, and the corrected t-test."""

import numpy as np
import pandas as pd
import pytest

from classifier.apps.cross_validation import (
    corrected_t_test,
    differences,
    fold_table,
    out_of_fold,
    summarize,
)
from classifier.support.errors import InputError


def metrics(accuracy: float) -> dict[str, float]:
    return {
        "test.images": 10.0,
        "test.accuracy": accuracy,
        "test.macro_f1": accuracy,
        "test.log_loss": 1 - accuracy,
    }


def predictions(ids: list[str], correct: list[bool]) -> pd.DataFrame:
    return pd.DataFrame({"id": ids, "correct": correct})


def test_summary_separates_folds_from_seeds() -> None:
    table = fold_table(
        {(1, 7): metrics(0.8), (1, 8): metrics(0.9), (2, 7): metrics(0.6), (2, 8): metrics(0.7)}
    )
    figures = summarize(table)
    assert figures["accuracy"] == pytest.approx(0.75)
    assert figures["folds_std"] == pytest.approx(np.std([0.85, 0.65], ddof=1))
    assert figures["seeds_std"] == pytest.approx(np.std([0.8, 0.9], ddof=1))
    assert "seeds_std" not in summarize(table[table["seed"] == 7])


def test_out_of_fold_has_each_image_once_per_seed() -> None:
    table = out_of_fold(
        {
            (1, 7): predictions(["a", "b"], [True, False]),
            (2, 7): predictions(["c"], [True]),
            (1, 8): predictions(["a", "b"], [True, True]),
            (2, 8): predictions(["c"], [False]),
        }
    )
    assert table.groupby("seed")["id"].apply(sorted).tolist() == [["a", "b", "c"]] * 2
    assert list(table.columns) == ["fold", "seed", "id", "correct"]


def test_differences_are_by_fold_and_need_the_same_folds() -> None:
    first = out_of_fold(
        {(1, 7): predictions(["a", "b"], [True, False]), (2, 7): predictions(["c"], [True])}
    )
    second = out_of_fold(
        {(1, 7): predictions(["a", "b"], [True, True]), (2, 7): predictions(["c"], [False])}
    )
    assert differences(first, second).to_dict() == {1: 0.5, 2: -1.0}
    other = out_of_fold(
        {(1, 7): predictions(["a", "c"], [True, True]), (2, 7): predictions(["b"], [False])}
    )
    with pytest.raises(InputError, match="their folds have different images"):
        differences(first, other)


def test_corrected_t_test_finds_chance_and_difference() -> None:
    """The statistic of 0.03 ± 0.01 over 5 folds is 0.03 / (0.01 √(1/5 + 1/4)) = 4.47: p = 0.011.
    The uncorrected one would be 6.71: p = 0.0026.
    """
    values = 0.03 + 0.01 * np.array([-1.0, 1, -1, 1, 0])  # their standard deviation is 0.01
    assert corrected_t_test(values) == pytest.approx(0.0111, abs=1e-4)
    assert corrected_t_test([0.01, -0.01, 0.02, -0.02, 0.0]) == pytest.approx(1.0)
    assert corrected_t_test([0.0] * 5) == 1.0
    assert corrected_t_test([0.02] * 5) == 0.0


def test_corrected_t_test_seldom_finds_a_difference_where_there_is_none() -> None:
    """Two equal ways to train on shared images: at 5 %, at most that many tests find something."""
    generator = np.random.default_rng(7)
    found = 0
    for _ in range(400):
        noise = generator.normal(size=(2, 5))
        found += corrected_t_test(noise[0] - noise[1]) < 0.05
    assert found / 400 <= 0.05
