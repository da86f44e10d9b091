"""Notices files that change while they are read: a copy of them would be of neither state."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from classifier.support.errors import InputError

State = tuple[int, int, int] | None  # bytes, time of the last change, number; None: no such file


@contextmanager
def unchanged(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """Compares the files before and after the block, by their sizes and times.

    Args:
        names: relative to the folder.

    Raises:
        InputError: one of them has changed, or is gone. An error that the block raises because of
            that is replaced.
    """
    before = {name: _state(folder / name) for name in names}
    try:
        yield
    except (OSError, InputError) as error:
        if message := _changes(folder, before):
            raise InputError(message) from error
        raise
    if message := _changes(folder, before):
        raise InputError(message)


def _state(path: Path) -> State:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _changes(folder: Path, before: dict[str, State]) -> str | None:
    changed = [name for name, state in before.items() if _state(folder / name) != state]
    if not changed:
        return None
    first = " ".join(changed[0].split())
    return (
        f"{folder}: {len(changed):,} files have changed while they were read ({first}): run it "
        "again when nothing writes there"
    )
