"""Where a stage spends its time: by package, and by function.

$ python bench/hotspots.py normalize pipeline=flowers
$ python bench/hotspots.py train pipeline=mnist train.epochs=1 --file train.prof    # for snakeviz

Runs the stage as its own command does, under Python's profiler; the stage writes its outputs. Time
in the C code of TensorFlow and Pillow counts for the Python function that called it. The profiler
does not measure other threads.
"""

import argparse
import cProfile
import pstats
import runpy
import sys
import sysconfig
from collections import Counter
from pathlib import Path

from stages.layout import FOLDERS

PACKAGES = Path(sysconfig.get_paths()["purelib"])
STANDARD = Path(sysconfig.get_paths()["stdlib"])


def profiled(stage: str, overrides: list[str]) -> cProfile.Profile:
    sys.argv = [f"stages.{stage}", *overrides]
    profile = cProfile.Profile()
    try:
        profile.runcall(runpy.run_module, f"stages.{stage}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    profile.create_stats()
    return profile


def package(file: str) -> str:
    """The package that a profiled function's file belongs to."""
    path = Path(file)
    if path.is_relative_to(PACKAGES):
        return path.relative_to(PACKAGES).parts[0]
    if path.is_absolute() and not path.is_relative_to(STANDARD):
        return "this project"
    return "Python"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=list(FOLDERS))
    parser.add_argument("overrides", nargs="+", metavar="key=value")
    parser.add_argument("--file", type=Path, help="where to keep the profile")
    arguments = parser.parse_args()
    profile = profiled(arguments.stage, arguments.overrides)
    own: Counter[str] = Counter()
    for (file, _, _), (_, _, seconds, _, _) in profile.stats.items():
        own[package(file)] += seconds
    print(f"\n{own.total():.1f} s, of these in functions of")
    for name, seconds in own.most_common(10):
        print(f"{seconds:8.2f} s  {name}")
    pstats.Stats(profile).sort_stats("tottime").print_stats(15)
    if arguments.file:
        profile.dump_stats(arguments.file)


if __name__ == "__main__":
    main()
