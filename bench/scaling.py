"""Time and memory per stage of one, three and ten times the images.

$ python bench/scaling.py --chart docs/scaling.png        # some minutes, alone

Drawn flowers go through the stages of the flowers pipeline, with one epoch of training. Prints a
table: the wall-clock time and the peak memory of each stage's process.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from checkout import checkout, copy_pipeline, use_recipe
from classifier.sources.drawings import KINDS, write_drawings

STAGES = ("download", "split", "normalize", "augment", "train")
DATASET = """\
name: {name}
format: folders
file: drawings.tar
sources:
  - {{kind: folder, path: {path}}}
"""


def measure(folder: Path, *words: str) -> dict[str, float]:
    """Runs a program in ``folder``; its seconds, and its peak resident memory in MiB (Linux)."""
    begun = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.dup2(2, 1)
        os.execv(words[0], words)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"scaling: {' '.join(words)} failed")
    return {"seconds": time.perf_counter() - begun, "megabytes": usage.ru_maxrss / 1024}


def stages(folder: Path, per_class: int) -> list[dict[str, Any]]:
    """One row per stage, with ``per_class`` drawings of each kind."""
    name = f"drawings_{per_class}"
    archive = folder.parent / f"{name}.tar"
    write_drawings(archive, per_class=per_class)
    dataset = folder / "conf" / "dataset" / f"{name}.yaml"
    dataset.write_text(DATASET.format(name=name, path=archive))
    changes = {"download": {"groups": {"dataset": name}}, "train.epochs": 1}
    copy_pipeline(folder, "flowers", name, changes)
    count = per_class * len(KINDS)
    return [
        {
            "stage": stage,
            "images": count,
            **measure(folder, sys.executable, "-m", f"stages.{stage}", f"pipeline={name}"),
        }
        for stage in STAGES
    ]


def draw(table: pd.DataFrame, path: Path) -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for axes, column in zip(panels, ("seconds", "megabytes"), strict=True):
        for stage, rows in table.groupby("stage", sort=False):
            axes.plot(rows["images"], rows[column], marker="o", label=stage)
        axes.set(xlabel="images", ylabel=column, xlim=(0, None), ylim=(0, None))
        axes.grid(alpha=0.3)
    panels[0].legend(frameon=False)
    figure.suptitle("cost by size")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-class", nargs="+", type=int, default=[120, 360, 1200])
    parser.add_argument("--chart", type=Path, help="a PNG to write")
    arguments = parser.parse_args()
    with checkout() as folder:
        use_recipe(folder, "scratch", "flowers")
        rows = [row for count in arguments.per_class for row in stages(folder, count)]
    table = pd.DataFrame(rows)
    wide = table.pivot_table(index="stage", columns="images", sort=False).round(1)
    names = [*zip(*map(wide.columns.get_level_values, (0, 1)), strict=True)]
    titles = [f" {column}, {count:,} images " for column, count in names]
    print("| stage |" + "|".join(titles) + "|")
    print("|---" * (len(wide.columns) + 1) + "|")
    for stage, values in wide.iterrows():
        print(f"| {stage} | " + " | ".join(f"{value:,.1f}" for value in values) + " |")
    if arguments.chart:
        draw(table, arguments.chart)


if __name__ == "__main__":
    main()
