"""Atomic writes: to a temporary file or folder, which is then renamed."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path, in the same folder, for a file or folder to be written.

    When the block ends, the temporary file or folder replaces ``path`` in one rename. If the block
    raises an error, the temporary one is deleted and ``path`` does not change. The next call
    deletes what a killed process left.
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
    """Like :func:`atomic_path`, but creates the temporary folder."""
    with atomic_path(path) as temporary:
        temporary.mkdir()
        yield temporary


@contextmanager
def restored_on_error(*paths: Path) -> Iterator[None]:
    """A block that changes these files all or not at all: an error gives back what they had."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                with atomic_path(path) as temporary:
                    temporary.write_bytes(content)
        raise


def write_json(path: Path, content: Any) -> None:
    """Writes ``content`` as indented JSON that ends with a line feed, atomically.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not have.
    """
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
