"""A file inside a wheel that pip fetches by pinned name and hash."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from classifier.sources.wheel import WheelError, extract_from_wheel


@pytest.fixture
def sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The hash of the wheel tiny==1.0, which pip finds in a folder in place of an index."""
    wheel = tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny/data.bin", b"content")
        archive.writestr(
            "tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
        )
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_the_member_is_written(tmp_path: Path, sha256: str) -> None:
    extract_from_wheel("tiny==1.0", sha256, "tiny/data.bin", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("requirement", "wrong_hash", "member", "expected"),
    [
        ("tiny==1.0", True, "tiny/data.bin", "pip could not fetch tiny==1.0: "),
        ("tiny==2.0", False, "tiny/data.bin", "No matching distribution found for tiny==2.0"),
        ("tiny==1.0", False, "tiny/other.bin", "tiny==1.0 has no file tiny/other.bin"),
    ],
)
def test_a_failure_is_one_line_and_writes_nothing(
    tmp_path: Path, sha256: str, requirement: str, wrong_hash: bool, member: str, expected: str
) -> None:
    with pytest.raises(WheelError) as error:
        extract_from_wheel(
            requirement, "0" * 64 if wrong_hash else sha256, member, tmp_path / "data.bin"
        )
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data.bin").exists()
