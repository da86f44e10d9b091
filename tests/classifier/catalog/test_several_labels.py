"""Several labels an image: how they are divided, and what each split has to have."""

import numpy as np
import pandas as pd
import pytest

from classifier.catalog.assignment import assign_splits
from classifier.catalog.raw import RawImage
from classifier.catalog.several_labels import (
    check_labels_by_split,
    classes_in,
    label_counts,
    list_labelled_images,
)
from classifier.formats.label_sets import multi_hot, names_of
from classifier.support.errors import InputError
from conftest import split_options

CLASSES = ["a", "b", "rare"]


def manifest(count: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    texts = [
        ";".join(
            name for name, share in zip(CLASSES, (0.5, 0.3, 0.05), strict=True) if draw < share
        )
        for draw in rng.random(count)
    ]
    images = (RawImage(f"{n}", text, None, f"{n}".encode()) for n, text in enumerate(texts))
    return list_labelled_images(images, CLASSES, ";")


def divided(table: pd.DataFrame, seed: int = 7) -> pd.DataFrame:
    options = split_options(validation=0.2, test=0.2, seed=seed)
    return assign_splits(table, options, has=multi_hot(table["class"].tolist(), CLASSES, ";"))


def test_labels_are_read_in_any_order_and_once() -> None:
    assert names_of(" b ;a;;a", ";") == ["a", "b"]
    assert names_of("", ";") == []
    assert multi_hot(["b;a", "", "rare;other"], CLASSES, ";").tolist() == [
        [1, 1, 0],
        [0, 0, 0],
        [0, 0, 1],
    ]


def test_labels_that_are_not_chosen_go_and_the_images_stay() -> None:
    images = [RawImage("1", "a;c", None, b"1"), RawImage("2", "c", None, b"2")]
    table = list_labelled_images(images, ["a", "b"], ";")
    assert table["class"].tolist() == ["a", ""]
    assert table["label"].tolist() == [1, 0]
    assert classes_in(table, ["b", "a"], ";") == ["a"]


def test_each_split_has_its_size_and_the_share_of_each_label() -> None:
    table = divided(manifest())
    assert table["split"].value_counts().to_dict() == {"train": 120, "validation": 40, "test": 40}
    for name, total in label_counts(table["class"], ";").items():
        for split, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
            there = label_counts(table["class"][table["split"] == split], ";")[name]
            assert abs(there - share * total) <= 1.5


def test_the_order_of_the_images_does_not_count_and_the_seed_does() -> None:
    table = manifest()
    split = divided(table).set_index("id")["split"]
    reversed_ = divided(table[::-1].reset_index(drop=True)).set_index("id")["split"]
    assert split.to_dict() == reversed_.to_dict()
    assert split.to_dict() != divided(table, seed=8).set_index("id")["split"].to_dict()


def test_images_of_a_group_are_in_one_split() -> None:
    table = manifest().assign(group=[f"g{n // 4}" for n in range(200)])
    table = divided(table).assign(group=[f"g{n // 4}" for n in range(200)])
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert 30 <= (table["split"] == "test").sum() <= 50


@pytest.mark.fault(
    "a label that no image of a split has, or that all have",
    "one line before the training that names the label, the split and what to do",
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b", "class 'a' is on none of the 2 images of validation (on 3 of all splits)"),
        ("a;b", "class 'b' is on all of the 2 images of validation (on 4 of all splits)"),
    ],
)
def test_a_label_that_says_nothing_in_a_split_is_refused(text: str, message: str) -> None:
    texts = ["a", "b", text, "b", "a", "a;b"]
    splits = ["train", "train", "validation", "validation", "test", "test"]
    table = pd.DataFrame({"class": texts, "split": splits})
    with pytest.raises(InputError) as error:
        check_labels_by_split(table, ["a", "b"], ";")
    assert message in str(error.value)
    assert "split.classes" in str(error.value)
