"""Is this file the one that was meant? Size and SHA-256."""

import hashlib
from pathlib import Path


class ChecksumError(Exception):
    """A file is not the one that was meant."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, sha256: str | None, size: int | None) -> None:
    """Compares a file with its expected SHA-256 and size in bytes, where given.

    Raises:
        ChecksumError: one of them differs; the message names the file.
    """
    actual = path.stat().st_size
    if size is not None and actual != size:
        raise ChecksumError(f"{path.name} has {actual:,} bytes, expected {size:,}")
    if sha256 is not None and (found := sha256_of(path)) != sha256:
        raise ChecksumError(f"checksum of {path.name} is {found}, expected {sha256}")
