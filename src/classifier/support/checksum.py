"""Compares a file's size and SHA-256 with the expected ones."""

import hashlib
from pathlib import Path


class ChecksumError(Exception):
    """A file does not have the expected size or SHA-256. The message is one line."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. The file is read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, sha256: str | None, size: int | None) -> None:
    """Compares a file with its expected SHA-256 and its expected size in bytes, if given.

    Raises:
        ChecksumError: one of them differs. The message names the file.
    """
    actual_size = path.stat().st_size
    if size is not None and actual_size != size:
        raise ChecksumError(f"{path.name} has {actual_size:,} bytes, expected {size:,}")
    if sha256 is not None and (actual := sha256_of(path)) != sha256:
        raise ChecksumError(f"checksum of {path.name} is {actual}, expected {sha256}")
