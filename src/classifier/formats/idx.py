"""Reads IDX files, the format of MNIST's own files (http://yann.lecun.com/exdb/mnist/).

A file has one array: two zero bytes, the type, the number of dimensions, the length of each as
four bytes, and the values, all with the most significant byte first.
"""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from classifier.formats.archive import read_files
from classifier.formats.image_files import is_hidden
from classifier.formats.npz import ArrayName, Arrays, ArraysError, checked

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"


def idx_files(path: Path, *, max_bytes: int, max_files: int) -> list[str]:
    """The names of the files of an archive or a folder that may be IDX files, also compressed.

    Raises:
        ArchiveError: it is damaged, unsafe or too large.
    """
    return [
        file.name
        for file in read_files(path, max_bytes=max_bytes, max_files=max_files)
        if not is_hidden(PurePosixPath(file.name)) and file.read(_may_be_idx) is not None
    ]


def read_idx_files(
    path: Path, files: Mapping[ArrayName, str], *, max_bytes: int, max_files: int
) -> Arrays:
    """Reads the arrays of the IDX files of an archive or a folder.

    Args:
        files: the name of the file of each array.
        max_bytes: the largest size of all arrays together, uncompressed.

    Returns:
        The arrays as of :func:`classifier.formats.npz.read_npz`.

    Raises:
        ArraysError: a file is damaged or too large, or has an array of another form.
        ArchiveError: the archive is damaged, unsafe or too large.
    """
    name_of = {file: name for name, file in files.items()}
    arrays: Arrays = {}
    left = max_bytes
    for file in read_files(path, max_bytes=max_bytes, max_files=max_files):
        if file.name in name_of:
            array = read_idx(file.name, file.read() or b"", max_bytes=left)
            left -= array.nbytes
            arrays[name_of[file.name]] = array
    return checked(arrays, path.name)


def read_idx(name: str, content: bytes, *, max_bytes: int) -> np.ndarray:
    """The array of an IDX file, which may be compressed with gzip.

    Raises:
        ArraysError: it is damaged, or larger than ``max_bytes``.
    """
    if content.startswith(GZIP):
        try:
            content = _unpacked(content, max_bytes + 1024)
        except (EOFError, OSError, zlib.error) as error:
            raise ArraysError(f"{name}: cannot be unpacked ({error})") from None
    if not _is_idx(content):
        raise ArraysError(f"{name}: is not an IDX file: it begins with {content[:4].hex(' ')}")
    dtype, dimensions = np.dtype(TYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ArraysError(f"{name}: ends within its first {start} bytes")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes:
        raise ArraysError(f"{name}: unpacks to more than max_bytes {max_bytes:,}")
    if len(content) != start + size:
        raise ArraysError(
            f"{name}: has {len(content) - start:,} bytes of values, but {size:,} are stated"
        )
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _unpacked(content: bytes, limit: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        return file.read(limit + 1)


def _may_be_idx(head: bytes) -> bool:
    return head.startswith(GZIP) or _is_idx(head)


def _is_idx(head: bytes) -> bool:
    return len(head) > 3 and head[:2] == b"\0\0" and head[2] in TYPES and 0 < head[3] < 5
