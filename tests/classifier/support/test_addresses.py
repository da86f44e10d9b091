"""URLs are printed without user names, passwords and tokens."""

import pytest

from classifier.support.addresses import without_credentials


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://anna:secret@example.com/a@b", "https://example.com/a@b"),
        (
            "at http://token@host:5000 and s3://key:word@bucket",
            "at http://host:5000 and s3://bucket",
        ),
        ("https://u:p@ss@example.com", "https://example.com"),
        ("'https://example.com/file?token=secret' failed", "'https://example.com/file' failed"),
        ("is it a URL? a@b", "is it a URL? a@b"),
    ],
)
def test_credentials_are_left_out(text: str, expected: str) -> None:
    assert without_credentials(text) == expected
