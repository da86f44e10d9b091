"""The accuracy by slice: what the test images are sliced by, and which slices are worse."""

import numpy as np
import pandas as pd
import pytest

from classifier.reporting.slices import colourfulness, features, slice_table, too_small


def test_colourfulness_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    red, green, blue = np.moveaxis(pixels.astype(float), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    for image, found in enumerate(colourfulness(pixels)):
        spread = np.hypot(rg[image].std(), yb[image].std())
        mean = np.hypot(rg[image].mean(), yb[image].mean())
        assert found == pytest.approx(spread + 0.3 * mean)
    grey = np.repeat(pixels[..., :1], 3, axis=-1)
    assert colourfulness(grey).tolist() == [0, 0, 0]


MEASURED = pd.DataFrame(
    {
        "id": ["x", "b/2", "a/1", "a/3"],
        "width": [9, 40, 20, 20],
        "height": [9, 30, 50, 50],
        "brightness": [0.0, 10.0, 20.0, 30.0],
        "sharpness": [0.0, 3.0, 2.0, 1.0],
    }
)
IDS = pd.Series(["a/1", "b/2", "a/3"], index=[5, 6, 7])


def test_the_features_are_those_of_the_test_images_in_their_order() -> None:
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[1, ..., 0] = 200
    table = features(images, IDS, MEASURED, {"a/1": "g", "x": "h"}, merged=True)
    assert table["size"].tolist() == [20, 30, 20]
    assert table["brightness"].tolist() == [20, 10, 30]
    assert table["sharpness"].tolist() == [2, 3, 1]
    assert table["colourfulness"].tolist() == [0, 67.1, 0]  # 0.3 * hypot(200, 100)
    assert table["source"].tolist() == ["a", "b", "a"]
    assert table["group"].fillna("").tolist() == ["g", "", ""]


def test_grey_images_without_parts_and_groups_have_fewer_features() -> None:
    table = features(np.zeros((3, 4, 4, 1), np.uint8), IDS, MEASURED, {}, merged=False)
    assert table.columns.tolist() == ["size", "brightness", "sharpness"]


def test_a_slice_that_is_worse_is_found_and_a_harmless_one_is_not() -> None:
    rng = np.random.default_rng(2)
    brightness = rng.permutation(400).astype(float)
    correct = rng.random(400) > 0.03
    correct[brightness < 100] &= rng.random(100)[: (brightness < 100).sum()] > 0.3
    table = pd.DataFrame(
        {"brightness": brightness, "sharpness": rng.permutation(400).astype(float)}
    )
    found = slice_table(correct, table)
    assert found["images"].tolist() == [100] * 8
    assert found["slice"].tolist()[:2] == ["0 to 99", "100 to 199"]
    assert found["worse"].tolist() == [True] + [False] * 7
    assert found["accuracy"][0] == correct[brightness < 100].mean()
    assert found["accuracy_of_others"][0] == correct[brightness >= 100].mean()


def test_few_slices_are_worse_where_only_chance_makes_mistakes() -> None:
    rng = np.random.default_rng(5)
    found = []
    for _ in range(20):
        table = pd.DataFrame({name: rng.random(200) for name in ("brightness", "sharpness")})
        found.append(slice_table(rng.random(200) > 0.2, table)["worse"].any())
    assert sum(found) <= 3  # about 5 % of 20


def test_p_is_that_of_fishers_exact_test_adjusted() -> None:
    from scipy.stats import fisher_exact

    correct = np.array([False] * 8 + [True] * 12 + [False] * 2 + [True] * 28)
    table = pd.DataFrame({"group": ["a"] * 20 + ["b"] * 30})
    found = slice_table(correct, table).set_index("slice")
    expected = fisher_exact([[8, 12], [2, 28]], alternative="greater").pvalue
    assert found["p"]["a"] == pytest.approx(2 * expected, rel=1e-5)  # the smaller of two
    assert found.index.tolist() == ["a", "b"]
    assert found["worse"].tolist() == [True, False]


def test_small_groups_are_left_out_and_counted() -> None:
    group = ["a"] * 12 + ["b"] * 12 + ["c"] * 3 + [None] * 3
    table = pd.DataFrame({"size": [5] * 30, "group": group})
    found = slice_table(np.ones(30, bool), table)
    assert found["slice"].tolist() == ["a", "b"]  # one size is no slice
    assert found["p"].tolist() == [1, 1]
    assert too_small(table) == 1


def test_images_that_are_alike_have_no_slices() -> None:
    found = slice_table(np.ones(5, bool), pd.DataFrame({"size": [28] * 5, "brightness": range(5)}))
    assert not len(found)
    assert not found["worse"].sum()
