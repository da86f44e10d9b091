"""Datasets of arrays with an official test split: x_train, y_train, x_test, y_test.

The archive ``mnist.npz`` that Keras downloads is one
(https://keras.io/api/datasets/mnist/), and Fashion-MNIST's and others' are alike.
"""

import gzip
import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

NAMES = ("x_train", "y_train", "x_test", "y_test")
Arrays = dict[str, np.ndarray]


class ArraysError(Exception):
    """The file does not hold the arrays that it should; its text is one line."""


def read_npz(path: Path, *, max_bytes: int) -> Arrays:
    """The four arrays of an .npz archive: x_* uint8 (N, H, W[, C]), y_* uint8 (N,).

    Args:
        max_bytes: of all its arrays, unpacked.

    Raises:
        ArraysError: it is no .npz archive, lacks one of the arrays, or unpacks to more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(sum(member.file_size for member in archive.infolist()), max_bytes)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in NAMES}
    except Exception as error:  # numpy and zipfile raise what they stumble on
        reason = " ".join(str(error).split())
        raise ArraysError(f"{path.name}: not an .npz of {', '.join(NAMES)} ({reason})") from None


def read_pickle(path: Path, *, max_bytes: int) -> Arrays:
    """The four arrays from a gzipped pickle of (train, validation, test).

    Each of the three is a pair of float32 images (N, H*W), value = pixel / 256, and labels (N,);
    training and validation images, in that order, are the official training split
    (http://deeplearning.net/tutorial/gettingstarted.html). Only numpy's arrays are unpickled.

    Args:
        max_bytes: of the pickle, unpacked.

    Raises:
        ArraysError: it holds something else, or more.
    """
    try:
        with gzip.open(path) as file:
            content = file.read(max_bytes + 1)
        _check_size(len(content), max_bytes)
        train, validation, test = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
        x_train = np.concatenate([train[0], validation[0]])
        y_train = np.concatenate([train[1], validation[1]])
        side = round(x_train.shape[1] ** 0.5)
        return {
            "x_train": np.rint(x_train * 256).astype(np.uint8).reshape(-1, side, side),
            "y_train": y_train.astype(np.uint8),
            "x_test": np.rint(test[0] * 256).astype(np.uint8).reshape(-1, side, side),
            "y_test": test[1].astype(np.uint8),
        }
    except Exception as error:  # of what is damaged or hostile
        raise ArraysError(f"{path.name}: not a pickle of three pairs of arrays ({error})") from None


def verify_arrays(arrays: Arrays, expected: dict[str, str]) -> None:
    """Compares the SHA-256 of each array's bytes with the expected one, where there is one.

    Raises:
        ArraysError: one differs.
    """
    for name, sha256 in expected.items():
        found = hashlib.sha256(np.ascontiguousarray(arrays[name]).tobytes()).hexdigest()
        if found != sha256:
            raise ArraysError(f"checksum of the array {name} is {found}, expected {sha256}")


def write_npz(path: Path, arrays: Arrays) -> None:
    """Writes the four arrays in one order: same arrays, same bytes.

    They are not compressed, as another build of Python may compress otherwise.
    """
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: arrays[name] for name in NAMES})


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ArraysError(f"unpacks to more than max_bytes {max_bytes:,}")


class _ArrayUnpickler(pickle.Unpickler):
    ALLOWED: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"): ("numpy", "ndarray"),
        ("numpy", "dtype"): ("numpy", "dtype"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"refused {module}.{name}")
        return super().find_class(*self.ALLOWED[module, name])
