"""Errors that a user can mend: one line that says what is wrong, where, and what to do."""

import difflib
import errno
import os
import re
from collections.abc import Iterable


class InputError(Exception):
    """Bad input: configuration, data or a missing file. Its text is one line for the user."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """Ends a message about an unknown word: the nearest valid one, or all of them."""
    valid = sorted(map(str, valid))
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"valid: {', '.join(valid)}" if valid else "there is nothing to choose from"


def refused_by_the_machine(error: BaseException) -> str | None:
    """One line for a disk, a folder or a memory that would not do, or a file that was damaged;
    None for any other error.

    Libraries wrap what the operating system says in errors of their own: TensorFlow and HDF5 say
    it in words alone.
    """
    said_by_tensorflow = type(error).__name__ == "ResourceExhaustedError" and "OOM" in str(error)
    if (
        said_by_tensorflow
        or isinstance(error, MemoryError)
        or "failed to allocate memory" in str(error)
    ):
        return "the memory is not enough: a smaller batch_size needs less"
    number = getattr(error, "errno", None) if isinstance(error, OSError) else None
    if number is None:
        said = re.search(r"errno = (\d+)", str(error))
        number = int(said[1]) if said else None
    if number is None and "No space left on device" in str(error):
        number = errno.ENOSPC
    if type(error).__name__ == "DataLossError":  # TensorFlow's, of a checksum
        said = re.search(r"(corrupted|truncated) record at \d+", str(error))
        detail = f" ({said[0]})" if said else ""
        return f"a shard of the images is damaged{detail}: 'dvc repro' makes it again"
    place = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}the disk is full: make room and run it again"
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{place}cannot be written or read: see to its permissions"
    if number in (errno.EIO, errno.EMFILE, errno.ENFILE):
        return f"{place}{os.strerror(number)}"
    return None
