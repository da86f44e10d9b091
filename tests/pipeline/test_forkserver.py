"""The commands of forkserver.py end with the status of their own program."""

import subprocess
from pathlib import Path

from conftest import COMMANDS, command

WAITS = "import time; memory = bytearray(400_000_000); print('ready', flush=True); time.sleep(100)"


def test_a_killed_command_does_not_end_the_next_one(tmp_path: Path) -> None:
    command("python", "-c", "pass", cwd=tmp_path)
    for _ in range(3):
        words = [str(COMMANDS / "python"), "-c", WAITS]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as first:
            assert first.stdout is not None
            assert first.stdout.readline() == b"ready\n"
            first.kill()
            assert command("python", "-c", "pass", cwd=tmp_path).returncode == 0
