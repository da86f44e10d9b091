"""Splits: stratified, seeded, and identical images in the same split."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.catalog import assignment
from classifier.catalog.manifest import (
    class_names,
    find_conflicts,
    find_duplicates,
    left_out,
    list_images,
)
from classifier.catalog.raw import RawImage
from classifier.support.errors import InputError
from conftest import split_options

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


def assign_splits(
    table: pd.DataFrame, *, near: pd.DataFrame | None = None, leaking: Any = "keep", **options: Any
) -> pd.DataFrame:
    return assignment.assign_splits(table, split_options(**options), near=near, leaking=leaking)


SIZES = {"cat": 100, "dog": 60, "owl": 40}


@pytest.mark.parametrize("seed", range(5))
def test_fractions_are_stratified(seed: int) -> None:
    assigned = assign_splits(table(SIZES), validation=0.15, test=0.15, seed=seed)
    counts = pd.crosstab(assigned["class"], assigned["split"])
    assert counts["test"].tolist() == counts["validation"].tolist() == [15, 9, 6]
    assert counts["train"].tolist() == [70, 42, 28]


@pytest.mark.slow
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
        assigned = assign_splits(images, validation=validation, test=test, seed=seed)
    except InputError as error:
        assert "too few" in str(error)
        return
    assert assigned["id"].tolist() == images["id"].tolist()
    assert set(assigned["split"]) == {"train", "validation", "test"}
    assert (assigned.groupby("sha256")["split"].nunique() == 1).all()
    counts = pd.crosstab(assigned["class"], assigned["split"])
    assert (counts > 0).all(axis=None)
    # Stratified: exact to one image by rounding, and to the identical images of a group.
    for split, share in (("validation", validation), ("test", test)):
        exact = counts.sum(axis=1) * share
        assert ((counts[split] - exact).abs() <= 2 + repeats).all()
    again = assign_splits(
        images.sample(frac=1, random_state=seed % 1000), validation=validation, test=test, seed=seed
    )
    assert again.sort_index()["split"].tolist() == assigned["split"].tolist()


def test_counts_are_exact() -> None:
    assigned = assign_splits(table(SIZES), validation=33, test=17, train=50, seed=1)
    counts = assigned["split"].value_counts().to_dict()
    assert counts == {"dropped": 100, "train": 50, "validation": 33, "test": 17}


def test_the_seed_determines_the_split() -> None:
    def splits(seed: int) -> list[str]:
        return assign_splits(table(SIZES), validation=0.2, test=0.2, seed=seed)["split"].tolist()

    assert splits(1) == splits(1)
    assert splits(1) != splits(2)


def test_each_image_is_in_one_fold_and_repeats_share_it() -> None:
    images = table(SIZES, repeats=30, official="test")
    folds = [
        assign_splits(images, validation=0.2, test=None, folds=5, fold=fold, seed=1)
        for fold in range(1, 6)
    ]
    tested = [set(assigned["id"][assigned["split"] == "test"]) for assigned in folds]
    assert sorted(name for names in tested for name in names) == sorted(images["id"])
    for assigned in folds:
        assert (assigned.groupby("sha256")["split"].nunique() == 1).all()
        counts = pd.crosstab(assigned["class"], assigned["split"])
        assert (counts["test"] - counts.sum(axis=1) / 5).abs().max() <= 2
        assert (counts > 0).all(axis=None)
    shuffled = assign_splits(
        images.sample(frac=1, random_state=3), validation=0.2, test=None, folds=5, fold=1, seed=1
    )
    assert shuffled.sort_index()["split"].tolist() == folds[0]["split"].tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("conflicting_labels", ["keep", "drop"])
def test_identical_images_are_in_one_split(seed: int, conflicting_labels: str) -> None:
    images = table(SIZES, repeats=30)
    # Ten images have two classes.
    images.loc[images.index[100:110], "sha256"] = images["sha256"].iloc[:10].to_numpy()
    assert len(find_duplicates(images)) == 30
    conflicts = set(find_conflicts(images)["sha256"])
    assert len(conflicts) == 10
    assigned = assign_splits(
        images, validation=0.2, test=0.2, seed=seed, conflicting_labels=conflicting_labels
    )
    used = assigned[assigned["split"] != "dropped"]
    assert (used.groupby("sha256")["split"].nunique() == 1).all()
    assert conflicts.isdisjoint(used["sha256"]) == (conflicting_labels == "drop")


def test_dropping_duplicates_keeps_the_first() -> None:
    assigned = assign_splits(
        table(SIZES, repeats=30), validation=0.2, test=0.2, seed=1, duplicates="drop"
    )
    dropped = assigned["id"][assigned["split"] == "dropped"]
    assert dropped.tolist() == [f"cat/again{number}" for number in range(30)]


@pytest.mark.parametrize("duplicates", ["keep", "drop"])
def test_the_official_test_split_does_not_change_and_does_not_leak(duplicates: str) -> None:
    train, test = (
        table(SIZES, official="train"),
        table({"cat": 20, "dog": 20, "owl": 20}, 0, "test"),
    )
    test["id"] = "test/" + test["id"]
    test.loc[:, "sha256"] = [f"{number:064d}" for number in range(60)]
    train.loc[train.index[0], "sha256"] = test["sha256"].iloc[0]
    assigned = assign_splits(
        pd.concat([train, test], ignore_index=True),
        validation=20,
        test=None,
        seed=1,
        duplicates=duplicates,
    )
    assert assigned["id"][assigned["split"] == "test"].tolist() == test["id"].tolist()
    assert assigned["split"].iloc[0] == "dropped"
    assert assigned["split"].value_counts().to_dict() == {
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
        (
            SIZES,
            {"validation": 0.1, "test": 0.1, "folds": 3, "fold": 4},
            "fold is 4: must be at most",
        ),
        (
            SIZES,
            {"validation": 0.1, "test": 0.1, "folds": 61},
            "class 'dog' has 60 different images, too few for 61",
        ),
        (
            SIZES,
            {"validation": 0.1, "test": 0.1, "folds": 3, "method": "hash"},
            "method is hash, which makes no folds",
        ),
    ],
)
def test_a_split_that_is_not_possible(sizes: dict[str, int], options: dict, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        assign_splits(table(sizes), seed=1, **options)


def by_hash(images: pd.DataFrame, **options: Any) -> pd.DataFrame:
    options = {"validation": 0.2, "test": 0.2, "seed": 7} | options
    return assign_splits(images, method="hash", **options)


@pytest.mark.difference(
    "images added, renamed or removed",
    "`split.method: hash`: every other image keeps its split",
)
def test_by_hash_other_images_move_nobody() -> None:
    seed = 1
    images = table(SIZES, repeats=30)
    before = by_hash(images, seed=seed).set_index("sha256")["split"]

    changed = images.drop(images.sample(40, random_state=seed).index)
    renamed = changed.sample(40, random_state=seed).index
    changed.loc[renamed, "id"] = "renamed/" + changed.loc[renamed, "id"]
    more = table({"cat": 150, "dog": 61, "owl": 300}).drop(columns="id")
    more = more[~more["sha256"].isin(images["sha256"])]
    more["id"] = [f"more/{number}" for number in range(len(more))]
    changed = pd.concat([changed, more], ignore_index=True).sample(frac=1, random_state=seed)
    after = by_hash(changed, seed=seed).set_index("sha256")["split"]

    kept = after[after.index.isin(before.index)]
    assert len(kept) == len(images) - 40
    assert len(after) > len(kept) + 300
    assert all(before[before.index == image].eq(split).all() for image, split in kept.items())


def test_by_hash_chosen_classes_and_a_smaller_training_split_move_nobody() -> None:
    images = table(SIZES)
    before = by_hash(images)["split"]
    two = images[images["class"] != "dog"]
    assert by_hash(two)["split"].equals(before[two.index])
    half = by_hash(images, train=0.3)["split"]
    assert set(half[before == "train"]) == {"train", "dropped"}
    assert half[before != "train"].equals(before[before != "train"])


@pytest.mark.parametrize("seed", range(10))
def test_by_hash_the_shares_are_met_within_a_binomial_bound(seed: int) -> None:
    shares = {"train": 0.5, "validation": 0.15, "test": 0.2, "dropped": 0.15}
    sizes = {"cat": 3000, "dog": 600, "owl": 400}
    assigned = by_hash(table(sizes), train=0.5, validation=0.15, test=0.2, seed=seed)
    for name, size in sizes.items():
        counts = assigned["split"][assigned["class"] == name].value_counts()
        for split, share in shares.items():
            # Five standard deviations: beyond them is one count in a million.
            bound = 5 * np.sqrt(size * share * (1 - share))
            assert abs(counts[split] - size * share) <= bound


def test_by_hash_the_difference_to_the_shares_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assigned = by_hash(table(SIZES), validation=0.15, test=0.2)
    (line,) = caplog.messages
    shares = re.findall(r"(\w+) ([\d.]+) % \(wanted ([\d.]+) %\)", line)
    assert [(name, wanted) for name, _, wanted in shares] == [
        ("train", "65.00"),
        ("validation", "15.00"),
        ("test", "20.00"),
    ]
    for name, met, _ in shares:
        assert float(met) == pytest.approx(100 * (assigned["split"] == name).mean(), abs=0.005)


def test_by_hash_the_seed_determines_the_split() -> None:
    assert by_hash(table(SIZES), seed=1)["split"].equals(by_hash(table(SIZES), seed=1)["split"])
    assert not by_hash(table(SIZES), seed=1)["split"].equals(by_hash(table(SIZES), seed=2)["split"])


def test_by_hash_of_today_is_that_of_every_later_version() -> None:
    # Another hash would deal again the images of everyone whose data grows.
    splits = by_hash(table({"cat": 12, "dog": 12, "owl": 12}), seed=1)["split"]
    letters = {"train": ".", "validation": "v", "test": "t"}
    assert "".join(letters[split] for split in splits) == ".....v.vvvvt.t...tt..vv..v.vtt..t..."


def test_by_hash_the_official_test_split_does_not_change() -> None:
    train = table(SIZES, official="train")
    test = table({"cat": 120, "dog": 80, "owl": 60}, official="test")
    test = test[~test["sha256"].isin(train["sha256"])].assign(id=lambda rows: "test/" + rows["id"])
    assigned = by_hash(pd.concat([train, test], ignore_index=True), test=None)
    assert assigned["id"][assigned["split"] == "test"].tolist() == test["id"].tolist()
    assert set(assigned["split"][: len(train)]) == {"train", "validation"}


@pytest.mark.fault("a number of images, split by hash", "one line: fractions are needed")
@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_by_hash_numbers_of_images_are_refused(name: str) -> None:
    expected = f"{name} is 10: .*method hash.* a fraction below 1"
    with pytest.raises(InputError, match=expected):
        by_hash(table(SIZES), **{name: 10})


@pytest.mark.parametrize(
    "options",
    [{"validation": 0.5, "test": 0.5}, {"train": 0.7, "validation": 0.2, "test": 0.2}],
)
def test_by_hash_shares_above_all_images_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="add up to") as raised:
        by_hash(table(SIZES), **options)
    assert "\n" not in str(raised.value)


@pytest.mark.fault("a class without an image in a split, by hash", "one line names both")
def test_by_hash_a_class_that_a_split_lacks_is_named() -> None:
    expected = r"class 'dog' has 2 images, and by hash none of them is in \w+: add images"
    with pytest.raises(InputError, match=expected) as raised:
        by_hash(table({"cat": 100, "dog": 2}))
    assert "\n" not in str(raised.value)


def official(*splits: str) -> pd.DataFrame:
    """Images whose official split is each of ``splits``, SIZES of each."""
    parts = [table(SIZES, official=split).assign(of=split) for split in splits]
    images = pd.concat(parts, ignore_index=True)
    images["id"] = images["of"] + "/" + images["id"]
    images["sha256"] = images["of"] + images["sha256"]
    return images.drop(columns="of")


@pytest.mark.parametrize("method", ["stratified", "hash"])
@pytest.mark.parametrize(
    ("splits", "made"),
    [
        (("train", "test"), "validation"),
        (("train", "validation"), "test"),
        (("train", "validation", "test"), None),
    ],
)
def test_official_splits_stay_and_the_lacking_one_is_of_train(
    splits: tuple[str, ...], made: str | None, method: Any
) -> None:
    images = official(*splits)
    assigned = assign_splits(images, validation=0.2, test=0.2, seed=1, method=method)
    own = images["official"]
    for name in splits[1:]:
        assert (assigned["split"][own == name] == name).all()
    assert set(assigned["split"][own == "train"]) == ({"train", made} if made else {"train"})


def test_official_splits_that_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    images = official("train", "validation", "test")
    assigned = assign_splits(images, validation=0.2, test=0.2, seed=1, official="ignore")
    assert assigned["split"].value_counts().to_dict() == {
        "train": 360,
        "validation": 120,
        "test": 120,
    }
    assert (assigned["split"] != images["official"]).any()
    assert caplog.messages == ["the dataset's own splits are ignored: all images are split anew"]
    with pytest.raises(InputError, match="test is null, but official is ignore: set test"):
        assign_splits(images, validation=0.2, test=None, seed=1, official="ignore")


@pytest.mark.fault("a training image that is also an official test image", "dropped, counted")
def test_training_images_of_official_splits_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    images = official("train", "validation", "test")
    images.loc[[0, 1, 200], "sha256"] = images["sha256"][[400, 201, 402]].to_numpy()
    assigned = assign_splits(images, validation=0.2, test=0.2, seed=1)
    assert assigned["split"][[0, 1, 200]].tolist() == ["dropped"] * 3
    assert caplog.messages == [
        "images identical to one of test, dropped: 2",
        "images identical to one of validation, dropped: 1",
    ]


@pytest.mark.fault("a class that an official split lacks", "one line")
def test_a_class_that_an_official_split_lacks() -> None:
    images = official("train", "test")
    images = images[(images["class"] != "owl") | (images["official"] == "train")]
    expected = "class 'owl' has no image in test, by the dataset's own splits: add images, leave"
    with pytest.raises(InputError, match=expected):
        assign_splits(images, validation=0.2, test=0.2, seed=1)


RARE = {"cat": 100, "dog": 2, "owl": 40}


@pytest.mark.fault("a class too rare for each split, rare_classes: drop", "left out, counted")
@pytest.mark.parametrize("method", ["stratified", "hash"])
def test_a_rare_class_that_is_left_out(method: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    images = table(RARE)
    options: dict[str, Any] = {"validation": 0.2, "test": 0.2, "seed": 1, "method": method}
    assigned = assign_splits(images, rare_classes="drop", **options)
    dogs = assigned["class"] == "dog"
    assert set(assigned["split"][dogs]) == {"dropped"}
    assert set(assigned["label"][dogs]) == {-1}
    assert class_names(assigned) == ["cat", "owl"]
    assert assigned.groupby("class")["label"].first().to_dict() == {"cat": 0, "dog": -1, "owl": 1}
    assert left_out(assigned) == {"dog": 2}
    without = assign_splits(images[images["class"] != "dog"], **options)
    assert assigned["split"][~dogs].tolist() == without["split"].tolist()
    (line,) = caplog.messages
    assert re.fullmatch(r"rare classes, left out: 1, with 2 images: dog \(2, none in .*\)", line)


@pytest.mark.fault("a class too rare for each split, rare_classes: train_only", "said, in train")
@pytest.mark.parametrize("method", ["stratified", "hash"])
def test_a_rare_class_that_is_trained_only(method: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    images = table(RARE)
    images.loc[images.index[:3], "group"] = "burst"
    images.loc[images["id"] == "dog/0", "group"] = "burst"
    assigned = assign_splits(
        images, validation=0.2, test=0.2, seed=1, method=method, rare_classes="train_only"
    )
    together = (assigned["class"] == "dog") | (images["group"] == "burst")
    assert set(assigned["split"][together]) == {"train"}
    assert set(assigned["split"][assigned["class"] == "owl"]) == {"train", "validation", "test"}
    assert class_names(assigned) == CLASSES
    (line,) = caplog.messages
    assert line.startswith("rare classes, to train only: 1, with 2 images: dog (2, none in ")


def test_a_class_that_an_official_split_lacks_is_left_out_or_trained_only() -> None:
    images = official("train", "test")
    images = images[(images["class"] != "owl") | (images["official"] == "train")]
    splits: dict[str, set[str]] = {}
    for choice in ("drop", "train_only"):
        assigned = assign_splits(images, validation=0.2, test=0.2, seed=1, rare_classes=choice)
        splits[choice] = set(assigned["split"][assigned["class"] == "owl"])
        assert (assigned["split"] == "test").sum() == 160
    assert splits == {"drop": {"dropped"}, "train_only": {"train"}}


@pytest.mark.fault("a class with official test images alone, rare_classes: train_only", "one line")
def test_a_class_without_an_image_to_train_on() -> None:
    images = official("train", "test")
    images = images[(images["class"] != "owl") | (images["official"] == "test")]
    expected = "rare_classes is train_only, but class 'owl' has no image to train on"
    with pytest.raises(InputError, match=expected):
        assign_splits(images, validation=0.2, test=0.2, seed=1, rare_classes="train_only")


@pytest.mark.fault("all classes but one are rare, rare_classes: drop", "one line")
def test_one_class_that_is_left() -> None:
    expected = "rare_classes is drop: one class is left, 'cat': add images"
    with pytest.raises(InputError, match=expected):
        assign_splits(
            table({"cat": 100, "dog": 2, "owl": 1}),
            validation=0.2,
            test=0.2,
            seed=1,
            rare_classes="drop",
        )


@pytest.mark.parametrize("method", ["stratified", "hash"])
def test_images_of_a_group_are_in_one_split(method: Any) -> None:
    images = table(SIZES, repeats=30)
    images["group"] = [f"patient {number // 2}" for number in range(len(images))]
    images.loc[150:, "group"] = None
    assigned = assign_splits(images, validation=0.2, test=0.2, seed=1, method=method)
    assert set(assigned["split"]) == {"train", "validation", "test"}
    assert (assigned["split"].groupby(images["group"]).nunique() == 1).all()
    assert (assigned.groupby("sha256")["split"].nunique() == 1).all()
    shuffled = images.sample(frac=1, random_state=3)
    again = assign_splits(shuffled, validation=0.2, test=0.2, seed=1, method=method)
    assert again.sort_index()["split"].equals(assigned["split"])


@pytest.mark.fault("a group in two official splits", "stays there; one line")
def test_a_group_that_official_splits_share_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    images = official("train", "test")
    images["group"] = [f"patient {number}" for number in range(len(images))]
    images.loc[0, "group"] = images["group"][200]
    assigned = assign_splits(images, validation=0.2, test=0.2, seed=1)
    assert set(assigned["split"][200:]) == {"test"}
    expected = "groups that the dataset's own test split shares with others: 1 (patient 200)"
    assert caplog.messages == [expected]


def uneven(seed: int) -> pd.DataFrame:
    """Images of three classes in 60 groups, the largest of which has more than a hundred."""
    rng = np.random.default_rng(seed)
    sizes = np.maximum(1, rng.lognormal(2.5, 1.2, 60)).astype(int)
    groups = np.repeat(np.arange(60), sizes)
    usual = np.repeat(rng.integers(0, 3, 60), sizes)
    labels = np.where(rng.random(len(groups)) < 0.8, usual, rng.integers(0, 3, len(groups)))
    return pd.DataFrame(
        {
            "id": [str(number) for number in range(len(groups))],
            "class": [CLASSES[label] for label in labels],
            "label": labels,
            "sha256": [f"{number:04x}" for number in range(len(groups))],
            "official": None,
            "group": [f"patient {number}" for number in groups],
        }
    )


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_groups_are_stratified_as_well_as_they_allow(seed: int) -> None:
    images = uneven(seed)
    assigned = assign_splits(images, validation=0.15, test=0.15, seed=seed)
    assert (assigned["split"].groupby(images["group"]).nunique() == 1).all()
    shares = pd.crosstab(assigned["class"], assigned["split"], normalize="index")
    wanted = {"train": 0.7, "validation": 0.15, "test": 0.15}
    for name, share in wanted.items():
        assert shares[name].tolist() == pytest.approx([share] * 3, abs=0.02)
    again = assign_splits(
        images.sample(frac=1, random_state=3), validation=0.15, test=0.15, seed=seed
    )
    assert again.sort_index()["split"].equals(assigned["split"])


def test_groups_leave_out_what_no_split_wants() -> None:
    images = uneven(0)
    assigned = assign_splits(images, train=400, validation=0.2, test=0.2, seed=1)
    counts = assigned["split"].value_counts()
    assert counts["train"] == pytest.approx(400, abs=20)
    assert counts["dropped"] == pytest.approx(0.6 * len(images) - 400, abs=20)


def pairs(*rows: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["first", "second"]).assign(distance=2)


@pytest.mark.parametrize("method", ["stratified", "hash"])
def test_near_duplicates_join_groups(method: Any) -> None:
    images = table(SIZES)
    images.loc[:9, "group"] = "patient 1"
    images.loc[10:19, "group"] = "patient 2"
    near = pairs((3, 14), (14, 120), (60, 61), (61, 130))
    for seed in range(5):
        assigned = assign_splits(
            images, validation=0.2, test=0.2, seed=seed, method=method, near=near
        )
        assert assigned["split"][[*range(20), 120]].nunique() == 1
        assert assigned["split"][[60, 61, 130]].nunique() == 1
        assert set(assigned["split"]) == {"train", "validation", "test"}


def test_no_near_duplicates_are_the_split_without_them() -> None:
    images = table(SIZES, repeats=10)
    options: dict[str, Any] = {"validation": 0.2, "test": 0.2, "seed": 1}
    pd.testing.assert_frame_equal(
        assign_splits(images, **options), assign_splits(images, **options, near=pairs())
    )


def test_by_hash_near_duplicates_move_nobody_else() -> None:
    images = table(SIZES)
    options: dict[str, Any] = {"validation": 0.2, "test": 0.2, "seed": 1, "method": "hash"}
    before = assign_splits(images, **options)["split"]
    after = assign_splits(images, **options, near=pairs((0, 150), (1, 151)))["split"]
    assert set(np.flatnonzero(before != after)) <= {0, 1, 150, 151}


@pytest.mark.fault(
    "near-duplicates in two official splits", "named, and kept or dropped by `leaking`"
)
@pytest.mark.parametrize("leaking", ["keep", "drop"])
def test_near_duplicates_of_official_splits_are_said(
    caplog: pytest.LogCaptureFixture, leaking: Any
) -> None:
    caplog.set_level("WARNING")
    images = official("train", "validation", "test")
    near = pairs((0, 400), (1, 401), (2, 200), (201, 402), (5, 6))
    assigned = assign_splits(images, validation=0.2, test=0.2, seed=1, near=near, leaking=leaking)
    changed = assigned["split"] != images["official"]
    if leaking == "keep":
        assert not changed.any()
    else:
        assert np.flatnonzero(changed).tolist() == [0, 1, 2, 201]
        assert set(assigned["split"][changed]) == {"dropped"}
    assert caplog.messages == [
        f"near-duplicates that the dataset's own test split shares with others: 3 pairs, 3 images "
        f"of others (leaking: {leaking}): train/cat/0 and test/cat/0, train/cat/1 and test/cat/1, "
        "validation/cat/1 and test/cat/2",
        f"near-duplicates that the dataset's own validation split shares with others: 1 pairs, 1 "
        f"images of others (leaking: {leaking}): train/cat/2 and validation/cat/0",
    ]
