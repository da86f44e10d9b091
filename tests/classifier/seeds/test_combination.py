"""Soups: the mean of weights; what does not fit together."""

from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.saved.saving import load_model, save_model
from classifier.seeds.combination import (
    check_same_architecture,
    check_same_outputs,
    greedy_soup,
    mean_weights,
    uniform_soup,
)
from classifier.support.errors import InputError
from conftest import build_model


def models(count: int = 3) -> list[keras.Model]:
    found = []
    for seed in range(count):
        keras.utils.set_random_seed(seed)
        found.append(build_model("convnet", size=8, filters=[4], convolutions=1))
    return found


def test_a_uniform_soup_has_the_mean_of_all_weights(tmp_path: Path) -> None:
    members = models()
    soup = uniform_soup(members)
    for number, values in enumerate(soup.get_weights()):
        expected = np.mean([member.get_weights()[number] for member in members], axis=0)
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-7)
    save_model(soup, tmp_path / "soup.keras")
    image = np.full((1, 8, 8, 3), 100, np.uint8)
    loaded = load_model(tmp_path / "soup.keras")
    np.testing.assert_array_equal(loaded(image), soup(image))
    assert mean_weights([members[0]] * 2)[0].dtype == members[0].get_weights()[0].dtype


def test_a_greedy_soup_leaves_out_what_makes_it_worse() -> None:
    members = models()
    tried: list[float] = []

    def accuracy_of(model: keras.Model) -> float:
        tried.append(0.9 if len(tried) == 0 else 0.6)  # better with the second, not with the third
        return tried[-1]

    soup, kept = greedy_soup(members, [0.7, 0.8, 0.75], accuracy_of)
    assert kept == [1, 2]
    assert tried == [0.9, 0.6]
    expected = mean_weights([members[1], members[2]])
    for values, mean in zip(soup.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(values, mean)


def test_a_greedy_soup_can_be_its_best_member_alone() -> None:
    members = models()
    soup, kept = greedy_soup(members, [0.7, 0.8, 0.75], lambda model: 0.1)
    assert kept == [1]
    assert soup is members[1]


def test_models_that_do_not_fit_together_are_refused() -> None:
    one = models(1)[0]
    names = ["seed=7", "seed=8"]
    check_same_architecture(models(2), names)
    with pytest.raises(InputError, match="'seed=7' and 'seed=8' have different architectures"):
        check_same_architecture([one, build_model("convnet", size=8, filters=[6])], names)
    with pytest.raises(InputError, match="'seed=8' \\(9, 9, 3\\) and 5: they cannot be one model"):
        check_same_outputs([one, build_model("dense", size=9)], names)
