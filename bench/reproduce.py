"""Runs the pipelines in two clones at different paths, and compares the bytes.

$ python bench/reproduce.py                   # with params.yaml as it is: half an hour
$ python bench/reproduce.py --recipe smoke    # some minutes

Clones the last commit twice. Each clone has its own DVC cache and MLflow store, and runs every
stage. Both dvc.lock must be the same; if not, the script names each file that differs and exits
with status 1.
"""

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

from checkout import ROOT, run
from stages.origin import outputs


def clone(folder: Path, recipe: str | None) -> Path:
    """Clones the last commit to the folder and runs its pipelines there."""
    run(ROOT, "git", "clone", "--quiet", str(ROOT), str(folder))
    if recipe:
        run(folder, sys.executable, "-m", "stages.recipe", recipe)
    run(folder, "dvc", "repro", "--no-run-cache")
    return folder


def different_files(first: Path, second: Path) -> list[str]:
    """Relative paths of the files that differ; the empty path if the arguments are files."""
    names = {
        str(path.relative_to(root)) if path != root else ""
        for root in (first, second)
        for path in [root, *root.rglob("*")]
        if path.is_file()
    }
    return sorted(name for name in names if content(first / name) != content(second / name))


def content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def compare(first: Path, second: Path) -> list[str]:
    """Prints a line for each output of the two checkouts; returns the files that differ."""
    hashes, others = (
        outputs(YAML(typ="safe").load(folder / "dvc.lock")["stages"]) for folder in (first, second)
    )
    different: list[str] = []
    for path in sorted(hashes | others):
        same = hashes.get(path) == others.get(path)
        print(f"{'same' if same else 'DIFFERENT':<10} {hashes.get(path, '-'):<36} {path}")
        if not same:
            names = different_files(first / path, second / path)
            different += [f"{path}/{name}".rstrip("/") for name in names]
    return different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", help="a file of conf/recipe instead of params.yaml as it is")
    recipe = parser.parse_args().recipe
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        sys.exit("reproduce: this checkout is no git repository: clone it with git")
    with TemporaryDirectory() as temporary:
        # Paths of different length: an output that contains its own path differs.
        first = clone(Path(temporary, "first"), recipe)
        second = clone(Path(temporary, "another", "folder", "second"), recipe)
        different = compare(first, second)
        locks = [content(folder / "dvc.lock") for folder in (first, second)]
    if different or locks[0] != locks[1]:
        sys.exit("not reproduced: " + (", ".join(different) or "dvc.lock"))
    print("reproduced: both dvc.lock are the same bytes")


if __name__ == "__main__":
    main()
