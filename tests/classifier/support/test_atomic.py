"""Atomic writes: the whole file or folder, or no change."""

from pathlib import Path

import pytest

from classifier.support.atomic import atomic_folder, atomic_path, write_json


def test_an_error_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_folder_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for name in ("old", "new"):
        with atomic_folder(path) as folder:
            (folder / name).touch()
    assert [file.name for file in path.iterdir()] == ["new"]


def test_the_rest_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".a.partial"
    left.mkdir()
    (left / "half").touch()
    with atomic_folder(tmp_path / "a") as folder:
        assert list(folder.iterdir()) == []


def test_json_cannot_have_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
