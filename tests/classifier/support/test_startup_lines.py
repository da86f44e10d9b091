"""Which lines of TensorFlow's start reach the user."""

import subprocess
import sys

import pytest

HELD = """
import os
from classifier.support.startup_lines import without_startup_lines
with without_startup_lines():
    os.write(2, b"I0000 00:00:17 1 port.cc:153] oneDNN custom operations are on.\\n")
    os.write(2, b"E0000 00:00:17 1 some.cc:1] out of memory\\n")
    {end}
os.write(2, b"after\\n")
"""


def ended(end: str) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-c", HELD.format(end=end)], stderr=subprocess.PIPE, text=True
    )
    return result.returncode, result.stderr


def test_start_up_lines_are_dropped_and_others_pass() -> None:
    assert ended("pass") == (0, "E0000 00:00:17 1 some.cc:1] out of memory\nafter\n")


@pytest.mark.fault(
    "TensorFlow's import fails, or the process dies in it", "nothing it said is lost"
)
def test_the_last_words_of_a_process_that_dies_pass() -> None:
    status, lines = ended("os.write(2, b'no AVX here\\n'); os.abort()")
    assert status < 0
    assert lines.endswith("out of memory\nno AVX here\n")
    status, lines = ended("raise ImportError('no such library')")
    assert status == 1
    assert lines.startswith("E0000") and lines.endswith("ImportError: no such library\n")
