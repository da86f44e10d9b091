"""Writes that happen whole or not at all: a temporary sibling, then a rename."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a sibling of ``path`` to write a file or to create a folder at.

    When the block ends, the sibling takes the place of ``path`` in one rename; when it raises,
    the sibling is deleted and ``path`` stays as it was. What a killed process left behind is
    deleted by the next one.
    """
    temporary = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        _remove(temporary)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like :func:`atomic_path`, with the temporary folder already made."""
    with atomic_path(path) as temporary:
        temporary.mkdir()
        yield temporary


def write_json(path: Path, content: Any) -> None:
    """Writes ``content`` as indented JSON with a final line feed, atomically.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot say.
    """
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
