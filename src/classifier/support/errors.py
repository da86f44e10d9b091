"""Errors that a user can fix: one line that says what is wrong, where, and what to do."""

import difflib
import errno
import os
import re
from collections.abc import Iterable


class InputError(Exception):
    """Wrong input: configuration, data or a missing file. The message is one line for the user."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """The end of a message about an unknown word: the most similar valid word, or all of them."""
    valid = sorted(map(str, valid))
    similar = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    if similar:
        return f"did you mean '{similar[0]}'?"
    return f"valid: {', '.join(valid)}" if valid else "there are no valid ones"


def is_of_the_system(error: BaseException) -> bool:
    """Whether an error is the operating system's, for example of a disk, not of a damaged file."""
    # EINVAL: a damaged file makes its reader seek to a negative place.
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def refused_by_the_machine(error: BaseException) -> str | None:
    """One line about a full disk, missing permissions, too little memory or a damaged shard.

    Libraries wrap errors of the operating system in errors of their own. TensorFlow and HDF5
    have the error number only in their messages.

    Returns:
        None for all other errors.
    """
    kind, message = type(error).__name__, str(error)
    if (
        isinstance(error, MemoryError)
        or "failed to allocate memory" in message
        or (kind == "ResourceExhaustedError" and "OOM" in message)  # of TensorFlow
    ):
        return "not enough memory: a smaller batch_size needs less"
    number = getattr(error, "errno", None) if isinstance(error, OSError) else None
    if number is None:
        match = re.search(r"errno = (\d+)", message)
        number = int(match[1]) if match else None
    if number is None and "No space left on device" in message:
        number = errno.ENOSPC
    if kind == "DataLossError":  # of TensorFlow, for a wrong checksum
        match = re.search(r"(corrupted|truncated) record at \d+", message)
        detail = f" ({match[0]})" if match else ""
        return f"a shard of the images is damaged{detail}: 'dvc repro' makes it again"
    place = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}the disk is full: free some space and run it again"
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{place}cannot be written or read: check its permissions"
    if number in (errno.EIO, errno.EMFILE, errno.ENFILE):
        return f"{place}{os.strerror(number)}"
    return None
