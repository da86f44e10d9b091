"""Reads the tensors of a PyTorch file without PyTorch, and without running what the file says.

It reads the format that ``torch.save`` wrote before PyTorch 1.6: pickles of a magic number, of the
protocol's version, of the system, of the tensors and of the storages' keys; then, for each key, the
number of the storage's elements (8 bytes) and the elements
(https://github.com/pytorch/pytorch/blob/v1.5.0/torch/serialization.py, ``_legacy_save``). A tensor
is a view of a storage: an offset, a shape and strides.
"""

import collections
import io
import math
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from classifier.support.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
ZIP = b"PK\x03\x04"
DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}  # in the module torch
# What pickle, pickletools, struct and NumPy raise for damaged files. MemoryError is not among them:
# the file may be whole.
DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


class WeightsError(InputError):
    """The weights cannot be read, or are those of another network. The message is one line."""


class _Storage(NamedTuple):
    key: str
    dtype: str
    length: int  # elements


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int  # elements, as are the strides
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(file: Path | BinaryIO) -> dict[str, np.ndarray]:
    """Reads a dictionary of tensors, as ``torch.save(module.state_dict(), file)`` wrote it.

    Args:
        file: a path, or a file that is open for reading bytes; it is read to its end.

    Returns:
        Names and arrays, float32 or int64, in the file's order. The arrays are contiguous copies.

    Raises:
        WeightsError: the file is of another format, is damaged or cut off, or has other objects
            than float32 and int64 tensors. The message names the file.
        OSError: the file cannot be read.
    """
    if isinstance(file, Path):
        name, content = file.name, file.read_bytes()
    else:
        name, content = Path(str(getattr(file, "name", "weights"))).name, file.read()
    try:
        return _read(content)
    except WeightsError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{name}: {reason}") from None
    except DAMAGED as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{name}: damaged ({reason}): download it again") from None


def _read(content: bytes) -> dict[str, np.ndarray]:
    if content.startswith(ZIP):
        raise WeightsError(
            "a zip file, which torch.save writes since PyTorch 1.6: save it again with "
            "_use_new_zipfile_serialization=False"
        )
    file = io.BytesIO(content)
    try:
        magic = _load(file)
    except DAMAGED:
        magic = None
    if magic != MAGIC:
        raise WeightsError("does not begin with PyTorch's magic number: give a file of torch.save")
    if (version := _load(file)) != PROTOCOL:
        raise WeightsError(f"version {version} of PyTorch's format: only {PROTOCOL} can be read")
    if not _load(file)["little_endian"]:
        raise WeightsError("written on a big-endian machine: save it again on another one")
    tensors = _load(file)
    keys = _load(file)
    if not isinstance(tensors, dict):
        raise WeightsError("not a dictionary of tensors: save the state_dict() of the module")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise WeightsError(f"{name!r} is not a tensor: save the state_dict() of the module")
    declared = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages = {key: _elements(file, declared[key]) for key in keys}
    return {name: _array(name, tensor, storages) for name, tensor in tensors.items()}


def _load(file: io.BytesIO) -> Any:
    start, size = file.tell(), len(file.getbuffer())
    for opcode, argument, position in pickletools.genops(file):
        # Python's unpickler allocates so many pointers or bytes, and fails with a MemoryError.
        limit = {"PUT": position, "LONG_BINPUT": position, "FRAME": size}.get(opcode.name)
        if limit is not None and argument is not None and argument > limit:
            raise ValueError(f"{opcode.name} {argument} in a pickle")
    file.seek(start)
    return _Unpickler(file).load()


class _Unpickler(pickle.Unpickler):
    """Makes tensors, and dictionaries, lists, tuples, numbers and texts; refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _new_rebuild()
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise WeightsError(
            f"refused {module}.{name}: only dictionaries of float32 and int64 tensors can be read"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, length, *view = pid
        if kind != "storage" or dtype not in DTYPES.values() or view not in ([], [None]):
            raise ValueError(f"unknown storage {pid!r}")
        return _Storage(key, dtype, length)


def _new_rebuild() -> Callable[..., _Tensor]:
    # A new function each time: a pickle can set attributes of what it is given.
    def rebuild(
        storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
    ) -> _Tensor:
        return _Tensor(storage, offset, shape, strides)

    return rebuild


def _elements(file: io.BytesIO, storage: _Storage) -> np.ndarray:
    (length,) = struct.unpack("<q", file.read(8))
    if length != storage.length or length < 0:
        raise ValueError(f"storage {storage.key} has {length} elements, not {storage.length}")
    size = np.dtype(storage.dtype).itemsize * length
    data = file.read(size)
    if len(data) != size:
        raise WeightsError(
            f"cut off: {len(data):,} of {size:,} bytes of storage {storage.key} are there: "
            "download it again"
        )
    return np.frombuffer(data, storage.dtype)


def _array(name: str, tensor: _Tensor, storages: dict[str, np.ndarray]) -> np.ndarray:
    storage, offset, shape, strides = tensor
    if storage.key not in storages:
        raise ValueError(f"storage {storage.key} of {name} is not there")
    elements = storages[storage.key]
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or any(type(n) is not int or n < 0 for n in numbers):
        raise ValueError(f"{name} has shape {shape}, strides {strides}, offset {offset}")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    # A stride of 0 would repeat elements without end.
    if 0 not in shape and (last >= len(elements) or math.prod(shape) > len(elements)):
        raise ValueError(f"{name} reaches beyond its storage of {len(elements)} elements")
    view = np.lib.stride_tricks.as_strided(
        elements[offset:],
        shape,
        [stride * elements.itemsize for stride in strides],
        writeable=False,
    )
    return np.array(view, order="C")
