"""Turns: what two processes must not write at once, one of them writes after the other."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from stages.layout import main_checkout

log = logging.getLogger(__name__)


@contextmanager
def turn(*paths: Path) -> Iterator[None]:
    """A block that one process at a time runs for each of these paths; others wait for it."""
    with ExitStack() as held:
        for path in paths:
            held.enter_context(_alone(path))
        yield


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    # Not beside the path: DVC would find it there, or what deletes the path's folder.
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    file = main_checkout() / ".dvc" / "tmp" / "locks" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        log.warning("waiting for another process that writes %s (it holds %s)", path, file)
        lock.acquire()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # held still: who waits for it takes a new one
        lock.release()
