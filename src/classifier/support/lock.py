"""A lock file: what two processes must not do at the same time, they do one after the other."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


@contextmanager
def locked_by(file: Path, activity: str) -> Iterator[None]:
    """A block that only one process at a time runs. The others wait, and say so in one line.

    Args:
        file: exists while a process holds the lock; its folder is created.
        activity: what the holder does, for the line: "writes data/raw/mnist".
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        log.warning("waiting for another process that %s (it holds %s)", activity, file)
        lock.acquire()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is locked: a waiting process creates a new one
        lock.release()
