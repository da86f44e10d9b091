"""Locks of outputs: what two processes must not write at the same time."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from classifier.support.lock import locked_by
from stages.layout import main_checkout


@contextmanager
def locked(*paths: Path) -> Iterator[None]:
    """A block that only one process at a time runs for each of these paths; others wait for it."""
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(locked_by(_file(path), f"writes {path}"))
        yield


def _file(path: Path) -> Path:
    # Not next to the path: DVC would find the file there, or the path's folder is deleted.
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return main_checkout() / ".dvc" / "tmp" / "locks" / name
