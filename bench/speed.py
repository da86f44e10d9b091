"""Compares this project with what its users would write instead, in turn, as ratios.

$ python bench/speed.py                          # after `dvc repro`: some minutes, alone
$ python bench/speed.py --only answering --rounds 9

Prints a table: the medians of the rounds, their ratio with the smallest and the largest, and the
target of this project. bench/accuracy.py measures how fast a recipe reaches an accuracy.
"""

import argparse
import subprocess
import sys
from importlib import import_module

from checkout import ROOT
from contest import HEADER, run_contest
from stages.programs import environment

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
    status = subprocess.run(["dvc", "status", "--quiet"], cwd=ROOT, env=environment())
    if status.returncode:
        sys.exit("speed: outputs are missing or of another version: run 'dvc repro' first")
    print(HEADER, flush=True)
    for name in arguments.only:
        for contest in import_module(f"contests.{name}").contests():
            print(run_contest(contest, arguments.rounds), flush=True)


if __name__ == "__main__":
    main()
