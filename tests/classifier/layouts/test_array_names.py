"""Arrays and IDX files by their names: the usual ones, or those of ``keys``."""

import re

import pytest

from classifier.layouts.arrays import find_arrays, usual_name
from classifier.layouts.error import LayoutError


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("x_train", "x_train"),
        ("X_train", "x_train"),
        ("trainX", "x_train"),
        ("train_images", "x_train"),
        ("val_labels", "y_validation"),
        ("X_valid", "x_validation"),
        ("test-targets", "y_test"),
        ("images", "x"),
        ("data", "x"),
        ("target", "y"),
        ("train-images-idx3-ubyte.gz", "x_train"),
        ("raw/t10k-labels.idx1-ubyte", "y_test"),
        ("t10k-images-idx3-ubyte", "x_test"),
        ("ids", None),
        ("train", None),
        ("emnist-letters-train-images-idx3-ubyte", None),
    ],
)
def test_usual_names(name: str, meant: str | None) -> None:
    assert usual_name(name) == meant


def test_splits_of_an_npz(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    names = ["train_images", "train_labels", "val_images", "val_labels", "test_images", "ids"]
    assert find_arrays(names, None, "any.npz") == {
        "x_train": "train_images",
        "y_train": "train_labels",
        "x_validation": "val_images",
        "y_validation": "val_labels",
    }
    assert caplog.messages == [
        "any.npz: test_images has no labels, and is passed over (test)",
        "any.npz: passed over 'ids', 'test_images'",
    ]


def test_a_compressed_copy_is_passed_over() -> None:
    plain = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]
    names = sorted([*plain, *(f"{name}.gz" for name in plain)])
    assert list(find_arrays(names, None, "raw").values()) == plain


def test_names_that_are_given() -> None:
    keys = {"x": "faces", "y": "persons"}
    assert find_arrays(["faces", "persons", "x", "y"], keys, "a.npz") == keys  # type: ignore[arg-type]


@pytest.mark.fault("arrays with unknown or ambiguous names", "one line that asks for keys")
@pytest.mark.parametrize(
    ("names", "keys", "expected"),
    [
        (
            ["x_train", "train_images", "y_train"],
            None,
            "a.npz: both x_train and train_images may be x_train: name what is meant, keys: {x_tr",
        ),
        (
            ["faces", "persons"],
            None,
            "a.npz: there are no images with labels to train on, by usual names .*: 'faces', "
            "'persons'; name them, keys: {x_train",
        ),
        (["x_train", "x_test", "y_test"], None, "a.npz: there are no images with labels to train"),
        ([], None, "a.npz: there are no images with labels .*: there are no arrays; name them"),
        (["x", "y", "x_test", "y_test"], None, "a.npz: x has images without a split, beside 'x', "),
        (["faces"], {"x": "face", "y": "persons"}, "keys: there is no 'face': did you mean 'faces"),
    ],
    ids=["two", "unknown", "no labels", "none", "whole and split", "a wrong key"],
)
def test_names_that_say_too_little(names: list[str], keys: dict | None, expected: str) -> None:
    with pytest.raises(LayoutError, match=expected.replace("{", re.escape("{"))) as raised:
        find_arrays(names, keys, "a.npz")
    assert "\n" not in str(raised.value)
