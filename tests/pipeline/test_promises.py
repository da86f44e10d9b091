"""docs/promises.md agrees with the marks of the tests."""

import subprocess
import sys

import pytest

from conftest import ROOT


@pytest.mark.slow
def test_the_promises_are_those_of_the_tests() -> None:
    words = [sys.executable, "tests/promises.py"]
    expected = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    written = (ROOT / "docs" / "promises.md").read_text("utf-8")
    assert expected == written, "python tests/promises.py > docs/promises.md"
    assert written.count("\n| ") >= 40
