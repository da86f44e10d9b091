"""This project beside what its users would write instead, in turn, by ratios.

$ python bench/speed.py                          # after `dvc repro`: some minutes, alone
$ python bench/speed.py --only answering --rounds 9

Prints a table: medians of the rounds, the ratio with its smallest and largest, and the target that
the project has set itself. How fast a recipe gets to an accuracy, bench/accuracy.py says.
"""

import argparse
import subprocess
import sys
from importlib import import_module

from checkout import ROOT
from contest import HEADER, hold

CONTESTS = (
    "starting",
    "decoding",
    "storing",
    "feeding",
    "training",
    "answering",
)  # files of bench/contests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=CONTESTS, choices=CONTESTS)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    status = subprocess.run(["dvc", "status", "--quiet"], cwd=ROOT)
    if status.returncode:
        sys.exit("speed: outputs are missing or of another version: run 'dvc repro' first")
    print(HEADER, flush=True)
    for name in arguments.only:
        for contest in import_module(f"contests.{name}").contests():
            print(hold(contest, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
