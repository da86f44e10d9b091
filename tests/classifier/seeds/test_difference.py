"""Whether two ways to train differ beyond their seeds and test images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import norm

from classifier.seeds.charts import draw_differences
from classifier.seeds.difference import (
    Difference,
    bootstrap_interval,
    check_same_classes,
    correct_table,
    difference,
    verdict,
)
from classifier.support.errors import InputError

IMAGES = 400


def models(accuracies: list[float], seed: int = 0, first_seed: int = 7) -> pd.DataFrame:
    """Whether models of these accuracies are right; some images are harder for all."""
    rng = np.random.default_rng(seed)
    hardness = np.random.default_rng(1).random(IMAGES)
    columns = {}
    for number, accuracy in enumerate(accuracies):
        order = np.argsort(hardness + 0.2 * rng.random(IMAGES))
        right = np.zeros(IMAGES, bool)
        right[order[: round(accuracy * IMAGES)]] = True
        columns[first_seed + number] = right
    return pd.DataFrame(columns)


def test_a_difference_beyond_seeds_and_images_is_real() -> None:
    found = difference(models([0.80, 0.81, 0.79]), models([0.90, 0.92, 0.90], seed=1))
    assert found.paired
    assert found.seeds == (3, 3)
    assert found.low < found.mean < found.high
    assert found.low > 0
    assert found.real
    text = verdict("before", "after", found)
    assert text.startswith("after minus before: +10.67 points of accuracy, between +")
    assert "paired t-test over 3 seeds: p = 0.0" in text
    assert text.endswith("a real difference, after is better")


def test_a_difference_within_the_spread_of_the_seeds_may_be_chance() -> None:
    found = difference(models([0.80, 0.90, 0.84]), models([0.88, 0.83, 0.86], seed=1))
    assert not found.real
    assert found.low < 0 < found.high
    assert "may be chance, as seeds alone differ as much" in verdict("one", "two", found)


def test_a_difference_of_a_few_images_may_be_chance_though_all_seeds_agree() -> None:
    """Without any spread between seeds, the t-test alone would call one image a real difference."""
    found = difference(models([0.80] * 3), models([0.8025] * 3, seed=1))
    assert found.p_value == 0
    assert not found.real
    assert "as other test images may turn it round" in verdict("one", "two", found)


def test_equal_models_do_not_differ() -> None:
    table = models([0.8, 0.8])
    found = difference(table, table)
    assert (found.mean, found.low, found.high, found.p_value) == (0, 0, 0, 1.0)
    assert not found.real


def test_other_seeds_are_not_paired() -> None:
    found = difference(models([0.8, 0.82]), models([0.9, 0.91, 0.92], 1, first_seed=20))
    assert not found.paired
    assert "Welch's t-test over 2 and 3 seeds" in verdict("one", "two", found)


def test_the_order_of_the_seeds_does_not_count() -> None:
    one, two = models([0.8, 0.82, 0.83]), models([0.9, 0.89, 0.92], 1)
    assert difference(one, two) == difference(one, two[[9, 7, 8]])


@pytest.mark.parametrize("counts", [(1, 1), (1, 3), (3, 1)])
def test_with_one_seed_the_spread_is_unknown(counts: tuple[int, int]) -> None:
    one, two = models([0.6] * counts[0]), models([0.9] * counts[1], 1)
    found = difference(one, two)
    assert found.p_value is None
    assert not found.real
    text = verdict("one", "two", found)
    single = {(1, 1): "one and two have one seed each", (1, 3): "one has one seed"}
    assert "the seeds' spread is unknown, as " in text
    assert single.get(counts, "two has one seed") in text


def test_the_interval_of_one_pair_is_that_of_the_images() -> None:
    """Against the normal approximation for paired proportions."""
    one, two = (models([value], seed).to_numpy().T for value, seed in ((0.7, 0), (0.8, 1)))
    low, high = bootstrap_interval(one, two, paired=False)
    single = two[0].astype(float) - one[0]
    half = norm.ppf(0.975) * single.std() / np.sqrt(IMAGES)
    assert low == pytest.approx(single.mean() - half, abs=0.006)
    assert high == pytest.approx(single.mean() + half, abs=0.006)


def test_the_interval_has_the_spread_of_the_seeds_too() -> None:
    """Where the images do not matter, its width is that of the mean of so many seeds."""
    accuracies = np.array([0.2, 0.4, 0.6, 0.8, 0.5, 0.3])
    rng = np.random.default_rng(0)
    two = rng.random((6, 5000)) < accuracies[:, None]
    low, high = bootstrap_interval(np.zeros_like(two), two, paired=True, samples=2000)
    half = norm.ppf(0.975) * accuracies.std() / np.sqrt(6)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_other_images_and_classes_are_refused() -> None:
    table = pd.DataFrame({"id": ["a", "b"], "class": ["x", "y"], "correct": [True, False]})
    right = table.assign(**{"p(x)": 0.5, "p(y)": 0.5})
    assert correct_table({1: right, 2: right[::-1]}).to_numpy().tolist() == [
        [True] * 2,
        [False] * 2,
    ]
    with pytest.raises(InputError, match="tested on different images: 2 and 1"):
        correct_table({1: right, 2: right[:1]})
    with pytest.raises(InputError, match="they have other classes: z is or are of one"):
        check_same_classes(right, right.assign(**{"p(z)": 0}))


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    accuracies = {"one": {7: 0.8, 8: 0.8}, "two": {7: 0.9}, "three": {7: 0.8, 8: 0.9}}
    found = Difference(0.1, 0.05, 0.15, 0.01, True, (2, 2), 100)
    differences = {"two": found._replace(p_value=None), "three": found}
    draw_differences(accuracies, differences, tmp_path / "chart.png", title="title")
    assert Image.open(tmp_path / "chart.png").width > 800
