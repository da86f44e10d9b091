"""IDX files, as MNIST's own: read whole, or refused in one line."""

import gzip
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.formats.idx import TYPES, idx_files, read_idx, read_idx_files
from classifier.formats.npz import ArrayName, ArraysError


def idx(values: np.ndarray) -> bytes:
    (kind,) = [kind for kind, dtype in TYPES.items() if np.dtype(dtype) == values.dtype]
    head = bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


def images(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (number, 4, 4), np.uint8)


FILES: dict[ArrayName, str] = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
ARRAYS = {
    "x_train": images(6),
    "y_train": np.arange(6, dtype=np.uint8),
    "x_test": images(3),
    "y_test": np.arange(3, dtype=np.uint8),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("packed", ["folder", "tar", "zip"])
def test_the_files_of_a_folder_or_an_archive(tmp_path: Path, packed: str, suffix: str) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "README.txt").write_text("of another kind")
    names: dict[ArrayName, str] = {}
    for name, file in FILES.items():
        content = idx(ARRAYS[name])
        (folder / f"{file}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
        names[name] = f"{file}{suffix}" if packed == "folder" else f"raw/{file}{suffix}"
    path = folder if packed == "folder" else tmp_path / "archive"
    if packed == "tar":
        with tarfile.open(path, "w:gz") as tar:
            tar.add(folder, "raw")
    elif packed == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for inside in folder.iterdir():
                archive.write(inside, f"raw/{inside.name}")
    limits = {"max_bytes": 10_000, "max_files": 9}
    assert sorted(idx_files(path, **limits)) == sorted(names.values())
    read = read_idx_files(path, names, **limits)
    assert {name: array.tolist() for name, array in read.items()} == {
        name: array.tolist() for name, array in ARRAYS.items()
    }


@pytest.mark.parametrize("dtype", TYPES.values())
def test_each_type_becomes_one_of_this_machine(dtype: str) -> None:
    values = np.arange(-3, 3).astype(dtype).reshape(1, 2, 3)
    read = read_idx("any", idx(values), max_bytes=100)
    assert read.dtype.isnative
    assert read.tolist() == values.tolist()


WHOLE = idx(images(2))


@pytest.mark.fault("a damaged IDX file", "one line")
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "a: is not an IDX file"),
        (b"\x89PNG\r\n\x1a\n", "a: is not an IDX file: it begins with 89 50 4e 47"),
        (WHOLE[:9], "a: ends within its first 16 bytes"),
        (WHOLE[:-1], "a: has 31 bytes of values, but 32 are stated"),
        (WHOLE + b"!", "a: has 33 bytes of values, but 32 are stated"),
        (gzip.compress(WHOLE)[:-9], "a: cannot be unpacked"),
        (idx(images(99)), "a: unpacks to more than max_bytes 1,000"),
        (gzip.compress(idx(images(9999))), "a: unpacks to more than max_bytes 1,000"),
    ],
    ids=["empty", "a PNG", "a head", "cut off", "too long", "gzip cut off", "large", "a gzip bomb"],
)
def test_a_damaged_file(content: bytes, expected: str) -> None:
    with pytest.raises(ArraysError, match=f"^{expected}"):
        read_idx("a", content, max_bytes=1000)


@pytest.mark.fault("any bytes for an IDX file (fuzzed)", "an array or one line")
@given(content=st.binary(max_size=60) | st.binary(max_size=60).map(lambda end: WHOLE[:8] + end))
def test_any_bytes(content: bytes) -> None:
    for whole in (content, gzip.compress(content)):
        try:
            read_idx("a", whole, max_bytes=1000)
        except ArraysError as error:
            assert "\n" not in str(error)


@pytest.mark.fault("IDX files of different lengths", "one line")
def test_images_and_labels_of_different_lengths(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(idx(images(2)))
    (tmp_path / "y").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(ArraysError, match="x_train has 2 images, y_train 3 labels"):
        read_idx_files(tmp_path, {"x_train": "x", "y_train": "y"}, max_bytes=999, max_files=9)
