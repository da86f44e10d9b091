"""Splits: stratified, seeded, and never the same image on two sides."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.data.manifest import (
    assign_splits,
    find_conflicts,
    find_duplicates,
    list_images,
    read_manifest,
    write_manifest,
)
from classifier.data.raw import RawImage
from classifier.errors import InputError

CLASSES = ["cat", "dog", "owl"]


def table(sizes: dict[str, int], repeats: int = 0, official: str | None = None) -> pd.DataFrame:
    images = [
        RawImage(f"{name}/{number}", name, official, f"{name}{number}".encode())
        for name, size in sizes.items()
        for number in range(size)
    ]
    images += [
        RawImage(f"cat/again{number}", "cat", official, f"cat{number}".encode())
        for number in range(repeats)
    ]
    return list_images(images, CLASSES)


SIZES = {"cat": 100, "dog": 60, "owl": 40}


@pytest.mark.parametrize("seed", range(5))
def test_fractions_are_stratified(seed: int) -> None:
    found = assign_splits(table(SIZES), validation=0.15, test=0.15, seed=seed)
    counts = pd.crosstab(found["class"], found["split"])
    assert counts["test"].tolist() == counts["validation"].tolist() == [15, 9, 6]
    assert counts["train"].tolist() == [70, 42, 28]


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.fixed_dictionaries({name: st.integers(1, 60) for name in CLASSES}),
    repeats=st.integers(0, 10),
    validation=st.floats(0.05, 0.4),
    test=st.floats(0.05, 0.4),
    seed=st.integers(0, 2**31 - 1),
)
def test_any_split_has_each_image_once_and_every_class(
    sizes: dict[str, int], repeats: int, validation: float, test: float, seed: int
) -> None:
    images = table(sizes, repeats=min(repeats, sizes["cat"]))
    try:
        found = assign_splits(images, validation=validation, test=test, seed=seed)
    except InputError as error:
        assert "too few" in str(error)
        return
    assert found["id"].tolist() == images["id"].tolist()
    assert set(found["split"]) == {"train", "validation", "test"}
    assert (found.groupby("sha256")["split"].nunique() == 1).all()
    counts = pd.crosstab(found["class"], found["split"])
    assert (counts > 0).all(axis=None)
    # Stratified: within an image of the exact share, and the identical ones that came along.
    for split, share in (("validation", validation), ("test", test)):
        exact = counts.sum(axis=1) * share
        assert ((counts[split] - exact).abs() <= 2 + repeats).all()
    again = assign_splits(
        images.sample(frac=1, random_state=seed % 1000), validation=validation, test=test, seed=seed
    )
    assert again.sort_index()["split"].tolist() == found["split"].tolist()


def test_counts_are_exact() -> None:
    found = assign_splits(table(SIZES), validation=33, test=17, train=50, seed=1)
    counts = found["split"].value_counts().to_dict()
    assert counts == {"dropped": 100, "train": 50, "validation": 33, "test": 17}


def test_the_seed_decides() -> None:
    def splits(seed: int) -> list[str]:
        return assign_splits(table(SIZES), validation=0.2, test=0.2, seed=seed)["split"].tolist()

    assert splits(1) == splits(1)
    assert splits(1) != splits(2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("conflicting_labels", ["keep", "drop"])
def test_identical_images_are_in_one_split(seed: int, conflicting_labels: str) -> None:
    images = table(SIZES, repeats=30)
    # Ten images stand under two classes.
    images.loc[images.index[100:110], "sha256"] = images["sha256"].iloc[:10].to_numpy()
    assert len(find_duplicates(images)) == 30
    conflicts = set(find_conflicts(images)["sha256"])
    assert len(conflicts) == 10
    found = assign_splits(
        images, validation=0.2, test=0.2, seed=seed, conflicting_labels=conflicting_labels
    )
    used = found[found["split"] != "dropped"]
    assert (used.groupby("sha256")["split"].nunique() == 1).all()
    assert conflicts.isdisjoint(used["sha256"]) == (conflicting_labels == "drop")


def test_dropping_duplicates_keeps_the_first() -> None:
    found = assign_splits(
        table(SIZES, repeats=30), validation=0.2, test=0.2, seed=1, duplicates="drop"
    )
    dropped = found["id"][found["split"] == "dropped"]
    assert dropped.tolist() == [f"cat/again{number}" for number in range(30)]


@pytest.mark.parametrize("duplicates", ["keep", "drop"])
def test_official_test_split_is_untouched_and_does_not_leak(duplicates: str) -> None:
    train, test = (
        table(SIZES, official="train"),
        table({"cat": 20, "dog": 20, "owl": 20}, 0, "test"),
    )
    test["id"] = "test/" + test["id"]
    test.loc[:, "sha256"] = [f"{number:064d}" for number in range(60)]
    train.loc[train.index[0], "sha256"] = test["sha256"].iloc[0]
    found = assign_splits(
        pd.concat([train, test], ignore_index=True),
        validation=20,
        test=None,
        seed=1,
        duplicates=duplicates,
    )
    assert found["id"][found["split"] == "test"].tolist() == test["id"].tolist()
    assert found["split"].iloc[0] == "dropped"
    assert found["split"].value_counts().to_dict() == {
        "train": 179,
        "test": 60,
        "validation": 20,
        "dropped": 1,
    }


@pytest.mark.parametrize(
    ("sizes", "options", "expected"),
    [
        ({"cat": 100, "dog": 2}, {"validation": 0.1, "test": 0.1}, "class 'dog' has too few"),
        (SIZES, {"validation": 150, "test": 60}, "200 images are too few"),
        (SIZES, {"validation": 0.1, "test": None}, "no official test split"),
        (SIZES, {"validation": 1.5, "test": 0.1}, "validation is 1.5"),
    ],
)
def test_what_cannot_be_split(sizes: dict[str, int], options: dict, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        assign_splits(table(sizes), seed=1, **options)


def test_two_images_of_one_name() -> None:
    image = RawImage("cat/1", "cat", None, b"")
    with pytest.raises(InputError, match="two images are called 'cat/1'"):
        list_images([image, image], CLASSES)


def test_csv_gives_back_the_table(tmp_path) -> None:
    images = [RawImage("007", "1", None, np.zeros((2, 2), np.uint8)) for _ in range(1)]
    written = list_images(images, ["1"]).assign(split="train").drop(columns="official")
    write_manifest(tmp_path / "a.csv", written)
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "a.csv"), written, check_dtype=False)
