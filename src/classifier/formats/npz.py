"""Datasets of arrays: images and labels of each official split, or of all images together.

Keras downloads MNIST in this format, as ``mnist.npz`` with the arrays x_train, y_train, x_test and
y_test (https://keras.io/api/datasets/mnist/).
"""

import gzip
import hashlib
import io
import lzma
import math
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.lib import format as npy

from classifier.support.errors import InputError, is_of_the_system


class ArraysError(InputError):
    """The file does not have the expected arrays. The message is one line."""


ArrayName = Literal[
    "x_train", "y_train", "x_validation", "y_validation", "x_test", "y_test", "x", "y"
]
NAMES: tuple[ArrayName, ...] = get_args(ArrayName)  # in the order of a written file
# The images and the labels of each official split; the empty one is for images without splits.
SPLITS: dict[str, tuple[ArrayName, ArrayName]] = {
    "train": ("x_train", "y_train"),
    "validation": ("x_validation", "y_validation"),
    "test": ("x_test", "y_test"),
    "": ("x", "y"),
}
READ_HEADER = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What zipfile, gzip, NumPy and pickle raise for damaged files. MemoryError is not among them: the
# file may be whole.
DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    ArraysError,
)
Arrays = dict[str, np.ndarray]


def array_names(path: Path) -> list[str]:
    """The names of all arrays of an .npz archive.

    Raises:
        ArraysError: it is not an .npz archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGED as error:
        raise _not_arrays(path, error) from None
    return [name.removesuffix(".npy") for name in names if name.endswith(".npy")]


def read_npz(path: Path, *, max_bytes: int, keys: Mapping[ArrayName, str] | None = None) -> Arrays:
    """Reads the arrays of an .npz archive.

    ``x_*`` (N, H, W) or (N, H, W, C) are bool, integers or floats, of 1 to 4 channels. ``y_*`` are
    integers (N,). Labels (N, 1), as CIFAR-10 has them, become (N,). All splits have images: an
    empty test split is refused like an empty training split.

    Args:
        max_bytes: the largest size of all arrays together, uncompressed.
        keys: the name in the file of each array that is wanted; None for a file of
            :func:`write_npz`, which has them under their own names.

    Returns:
        The arrays by their names in NAMES.

    Raises:
        ArraysError: the file is not an .npz archive, lacks one of the arrays, or is too large. Or
            an array has another shape, dtype or length.
    """
    if keys is None:
        names = array_names(path)
        keys = {name: name for name in NAMES if name in names}
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = [f"{key}.npy" for key in keys.values()]
            _check_size(sum(archive.getinfo(name).file_size for name in wanted), max_bytes)
            for name in wanted:
                _check_header(archive, name)
        with np.load(path, allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[key] for name, key in keys.items()}
    except DAMAGED as error:
        raise _not_arrays(path, error) from None
    return checked(arrays, path.name)


def _not_arrays(path: Path, error: BaseException) -> BaseException:
    if is_of_the_system(error):
        return error
    reason = " ".join(str(error).split())
    return ArraysError(f"{path.name}: not an .npz of x_train, y_train, x_test, y_test ({reason})")


def read_pickle(path: Path, *, max_bytes: int) -> Arrays:
    """Reads the four arrays of a gzipped pickle of (train, validation, test).

    Each of the three is a pair: float32 images (N, H*W), value = pixel / 256, and labels (N,).
    The training and validation images, in this order, are the official training split
    (http://deeplearning.net/tutorial/gettingstarted.html). The unpickler accepts NumPy arrays
    and nothing else.

    Args:
        max_bytes: the largest size of the pickle, uncompressed.

    Returns:
        The arrays as of :func:`read_npz`.

    Raises:
        ArraysError: the file has other content, or is too large. Or a pixel or a label is outside
            0..255.
    """
    try:
        with gzip.open(path) as file:
            content = file.read(max_bytes + 1)
        _check_size(len(content), max_bytes)
        train, validation, test = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
        x_train = np.concatenate([train[0], validation[0]])
        y_train = np.concatenate([train[1], validation[1]])
        side = round(x_train.shape[1] ** 0.5)
        arrays = {
            "x_train": _to_uint8(np.rint(x_train * 256)).reshape(-1, side, side),
            "y_train": _to_uint8(y_train),
            "x_test": _to_uint8(np.rint(test[0] * 256)).reshape(-1, side, side),
            "y_test": _to_uint8(test[1]),
        }
    except (*DAMAGED, pickle.UnpicklingError) as error:
        if is_of_the_system(error):
            raise
        reason = " ".join(str(error).split())
        raise ArraysError(
            f"{path.name}: not a pickle of three pairs of arrays ({reason})"
        ) from None
    return checked(arrays, path.name)


def classes_of_labels(arrays: Arrays, classes: Sequence[str] | None) -> dict[int, str]:
    """The class name of each label of all splits, in increasing order of labels.

    Args:
        classes: ``classes[label]`` is the name of a label. Only if they are the labels themselves
            in increasing order, for example "1" to "10", each label is its own name. None gives
            each label its own name.

    Raises:
        ArraysError: a label is not in ``classes``, or a class has no images.
    """
    labels, counts = np.unique(
        np.concatenate([arrays[name] for _, name in SPLITS.values() if name in arrays]),
        return_counts=True,
    )
    names = {int(label): str(label) for label in labels}
    if classes is None or list(classes) == list(names.values()):
        return names
    for label, count in zip(names, counts.tolist(), strict=True):
        if not 0 <= label < len(classes):
            raise ArraysError(
                f"label {label} of {count:,} images is not in classes, which names the labels "
                f"0 to {len(classes) - 1}: add its name, or leave out classes"
            )
    for label, name in enumerate(classes):
        if label not in names:
            raise ArraysError(f"no images of class {name}, which is label {label}")
    return {label: classes[label] for label in names}


def verify_arrays(arrays: Arrays, expected: dict[str, str]) -> None:
    """Compares the SHA-256 of each array's bytes with the expected one, if given.

    Raises:
        ArraysError: one of them differs, or is not there.
    """
    for name, sha256 in expected.items():
        if name not in arrays:
            raise ArraysError(f"there is no array {name}, whose checksum is in arrays")
        actual = hashlib.sha256(arrays[name].tobytes()).hexdigest()
        if actual != sha256:
            raise ArraysError(f"checksum of the array {name} is {actual}, expected {sha256}")


def write_npz(path: Path, arrays: Arrays) -> None:
    """Writes the arrays, always in the same order: the same arrays give the same bytes.

    They are not compressed, because compressed bytes depend on the version of zlib.
    """
    with path.open("wb") as file:
        np.savez(
            file, allow_pickle=False, **{name: arrays[name] for name in NAMES if name in arrays}
        )


def checked(arrays: Arrays, file: str) -> Arrays:
    """The arrays, with labels (N, 1) as (N,), if their shapes, dtypes and lengths are right.

    Raises:
        ArraysError: they are not, or there are none to train on.
    """
    arrays = dict(arrays)
    if not {"x_train", "x"} & set(arrays):
        raise ArraysError(f"{file}: not an .npz of x_train, y_train, x_test, y_test")
    for images, labels in SPLITS.values():
        if images not in arrays:
            continue
        x, y = arrays[images], arrays[labels]
        if x.ndim not in (3, 4) or 0 in x.shape or (x.ndim == 4 and x.shape[3] > 4):
            raise ArraysError(
                f"{file}: {images} has the shape {x.shape}: must be images, (N, H, W) or "
                "(N, H, W, C) with 1 to 4 channels, and no length of 0"
            )
        if x.dtype.kind not in "buif":
            raise ArraysError(f"{file}: {images} is {x.dtype}: must be integers or floats")
        if y.ndim != 1 and (y.ndim != 2 or y.shape[1] != 1):
            raise ArraysError(
                f"{file}: {labels} has the shape {y.shape}: must be one label per image, (N,)"
            )
        if y.dtype.kind not in "ui":
            raise ArraysError(f"{file}: {labels} is {y.dtype}: must be integers")
        if len(x) != len(y):
            raise ArraysError(f"{file}: {images} has {len(x):,} images, {labels} {len(y):,} labels")
        arrays[labels] = y.reshape(-1)
    return arrays


def _to_uint8(values: np.ndarray) -> np.ndarray:
    # astype alone would wrap 256 to 0.
    if not ((values >= 0) & (values <= 255)).all():
        raise ValueError(f"values from {values.min()} to {values.max()}, must be within 0 to 255")
    return values.astype(np.uint8)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ArraysError(f"unpacks to more than max_bytes {max_bytes:,}")


def _check_header(archive: zipfile.ZipFile, name: str) -> None:
    """Compares the size that an array's header states with the size of its file.

    NumPy allocates what the header states before it reads: a damaged header would otherwise end
    in a MemoryError, as if the memory were too small.
    """
    with archive.open(name) as file:
        version = npy.read_magic(file)
        if version not in READ_HEADER:
            raise ValueError(f"{name} has version {version} of the .npy format")
        shape, _, dtype = READ_HEADER[version](file)
        if dtype.hasobject:
            raise ValueError(f"{name} has Python objects")
        size = file.tell() + math.prod(shape) * dtype.itemsize
    if size != archive.getinfo(name).file_size:
        raise ValueError(f"{name} does not have the size that its header states")


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
