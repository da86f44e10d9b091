"""docs/promises.md says what the tests do."""

import subprocess
import sys

from conftest import ROOT


def test_the_promises_are_those_of_the_tests() -> None:
    words = [sys.executable, "tests/promises.py"]
    made = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    written = (ROOT / "docs" / "promises.md").read_text("utf-8")
    assert made == written, "python tests/promises.py > docs/promises.md"
    assert written.count("\n| ") >= 40
