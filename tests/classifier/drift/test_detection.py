"""Which differences are found, and how often one is found where there is none."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from classifier.drift.detection import (
    ALIKE,
    DRIFTED,
    LITTLE,
    compare,
    detectable,
    difference,
    drifted,
    holm,
)


def sample(seed: int, count: int, *, shift: float = 0.0) -> pd.DataFrame:
    """Pictures as a model sees them; ``shift`` is in standard deviations of the brightness."""
    generator = np.random.default_rng(seed)
    score = generator.lognormal(0, 0.3, count)
    return pd.DataFrame(
        {
            "class": generator.choice(["daisy", "roses", "tulips"], count, p=[0.5, 0.45, 0.05]),
            "probability": generator.beta(9, 1, count).round(2),  # with ties
            "score": score,
            "accepted": score < 1.8,
            "brightness": generator.normal(100 + 20 * shift, 20, count),
            "sharpness": 10 * score + generator.normal(0, 1, count),  # not independent
        }
    )


def found(before: pd.DataFrame, now: pd.DataFrame, alpha: float = 0.01) -> list[str]:
    return drifted(compare(before, now, alpha=alpha, effect=0.0))


def test_false_alarms_are_as_rare_as_alpha_says() -> None:
    alarms = [bool(found(sample(2 * at, 80), sample(2 * at + 1, 60), 0.1)) for at in range(120)]
    # More than 22 of 120 with a probability of 0.1 each happen by chance once in 500 tests.
    assert sum(alarms) <= 22


def test_a_shift_is_found_and_what_is_too_small_to_matter_is_not_drift() -> None:
    before, now = sample(0, 400), sample(1, 400, shift=1.0)
    table = compare(before, now, alpha=0.01, effect=0.1).set_index("measure")
    assert table["verdict"]["brightness"] == DRIFTED
    assert table.drop(index="brightness")["verdict"].eq(ALIKE).all()
    assert (table["corrected"] >= table["p"]).all()
    table = compare(before, now, alpha=0.01, effect=0.9).set_index("measure")
    assert table["verdict"]["brightness"] == LITTLE
    many = compare(sample(0, 40_000), sample(1, 40_000, shift=0.05), alpha=0.01, effect=0.1)
    assert many.set_index("measure")["verdict"]["brightness"] == LITTLE
    assert drifted(many) == []


def test_classes_with_few_pictures_are_tested_by_random_tables() -> None:
    before = pd.Series(["a"] * 30 + ["b"] * 30 + ["c"] * 2)
    same = difference("class", before, pd.Series(["a"] * 5 + ["b"] * 6))
    other = difference("class", before, pd.Series(["c"] * 8 + ["a"] * 2))
    assert same.p > 0.5
    assert same.effect == pytest.approx(abs(30 / 62 - 5 / 11) + 1e-9, abs=0.05)
    assert other.p <= 0.001
    assert other.effect == pytest.approx(0.8 - 2 / 62)
    # As many random tables as by the exact distribution, Fisher's, for two classes.
    two = difference("class", pd.Series(["a"] * 9 + ["b"]), pd.Series(["a"] + ["b"] * 4))
    assert two.p == pytest.approx(0.0170, abs=0.006)  # (C(10,1)C(5,4) + C(10,0)C(5,5)) / C(15,5)


def test_the_effect_of_classes_does_not_depend_on_the_number_of_pictures() -> None:
    before = pd.Series(["a", "b"] * 100)
    effects = [difference("class", before, pd.Series(["a"] * 3 * n + ["b"] * n)) for n in (25, 999)]
    assert [each.effect for each in effects] == pytest.approx([0.25, 0.25])
    assert difference("class", pd.Series(["a"] * 9), pd.Series(["a"] * 9)) == (0.0, 1.0)


def test_constant_and_missing_columns() -> None:
    before = sample(0, 50).assign(size=784, colourfulness=np.nan)
    now = sample(1, 50).assign(size=784, colourfulness=3.0)
    now.loc[:9, "score"] = np.nan
    now["accepted"] = now["accepted"].astype(object).where(now.index > 9, None)
    table = compare(before, now, alpha=0.01, effect=0.1).set_index("measure")
    assert table["p"]["size"] == 1
    assert table["effect"]["size"] == 0
    assert "colourfulness" not in table.index
    assert table["verdict"]["score"] == ALIKE
    assert table["verdict"]["accepted"] == ALIKE
    moved = compare(before, now.assign(size=1024), alpha=0.01, effect=0.1).set_index("measure")
    assert moved["verdict"]["size"] == DRIFTED
    assert moved["effect"]["size"] == 1


def test_holm() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]


def test_what_few_pictures_can_show() -> None:
    for before, now in ((543, 30), (60, 60)):
        smallest = detectable(before, now, tests=10, alpha=0.01)
        at = int(np.ceil(smallest * now)) / now
        shifted = np.arange(now) / now + at  # as many values above all others
        assert ks_2samp(np.arange(before) / before, shifted).pvalue < 0.001 * 1.5
    assert detectable(543, 3, tests=10, alpha=0.01) > 1
