"""Git, where it is installed and the checkout is a repository of it."""

import subprocess
from pathlib import Path

from classifier.support.errors import InputError

LIMIT = 200_000  # bytes of a diff
# DVC writes it while the stages run: it records what they did, and decides nothing.
RECORD = ":(exclude)dvc.lock"


def git(*words: str, folder: Path | None = None) -> str:
    """What git prints for these words, in the folder, by default the working directory.

    Raises:
        InputError: git is not installed, or refuses.
    """
    try:
        result = subprocess.run(["git", *words], cwd=folder, capture_output=True)
    except OSError:  # also a PATH that is empty
        raise InputError("git cannot be run: is it installed?") from None
    if result.returncode:
        lines = result.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise InputError(f"git {words[0]}: {lines[-1]}")
    return result.stdout.decode(errors="replace")


def head() -> str | None:
    """The commit of the working directory; None without git, or for files that git does not
    track, such as a source archive inside another repository.
    """
    try:
        return git("rev-parse", "HEAD").strip() if git("ls-files", "dvc.yaml") else None
    except InputError:
        return None


def is_tracked(path: str) -> bool:
    """Whether git tracks a file of the working directory, or one that is in a folder of it."""
    try:
        return bool(git("ls-files", "--", path))
    except InputError:  # there is no git, or the path is outside the repository
        return False


def not_tracked(*paths: str) -> list[str]:
    """The files below these paths that git neither tracks nor ignores; none without git."""
    options = ("--others", "--exclude-standard")
    try:
        return [name for name in git("ls-files", "-z", *options, "--", *paths).split("\0") if name]
    except InputError:
        return []


def uncommitted() -> str:
    """How the working directory differs from its commit; empty if it does not.

    The diff of the tracked files, after the names of the files that git neither tracks nor ignores.
    It leaves out ``dvc.lock``, and the content of files that are tracked though ``.gitignore``
    names them: they may have secrets. It has at most LIMIT bytes, and says if it was cut.
    """
    new = _names("--others", "--exclude-standard")
    hidden = _names("--cached", "--ignored", "--exclude-standard")
    here = (".", RECORD)
    left_out = [name for name in hidden if git("diff", "--name-only", "HEAD", "--", name)]
    lines = [f"not tracked: {name}\n" for name in new]
    lines += [f"changed, but ignored by git, and left out: {name}\n" for name in left_out]
    without = [f":(exclude,literal){name}" for name in left_out]
    options = ("--no-ext-diff", "--no-textconv", "--no-color")
    text = "".join(lines) + git("diff", *options, "HEAD", "--", *here, *without)
    content = text.encode()
    if len(content) <= LIMIT:
        return text
    kept = content[:LIMIT].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\ncut: these are the first {LIMIT:,} of {len(content):,} bytes\n"


def _names(*options: str) -> list[str]:
    return [name for name in git("ls-files", "-z", *options, "--", ".", RECORD).split("\0") if name]
