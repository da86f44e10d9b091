"""Time and memory per stage of one, three and ten times the images.

$ python bench/scaling.py --chart docs/scaling.png             # some minutes, alone
$ python bench/scaling.py --files 20000 200000                 # in folders of classes
$ python bench/scaling.py --files 20000 200000 --layout table  # in one folder, with a table

Drawn flowers go through the stages of the flowers pipeline, with one epoch of training. With
``--files``, small PNG files go through download, split and normalize. Prints a table: the
wall-clock time and the peak memory of each stage's process.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from PIL import Image

from checkout import checkout, copy_pipeline, set_params, use_recipe
from classifier.sources.drawings import KINDS, write_drawings

Rows = Iterator[dict[str, Any]]
STAGES = ("download", "split", "normalize", "augment", "train")
STAGES_OF_FILES = ("download", "split", "normalize")
CLASSES, SIDE = 10, 16  # of the files: classes, and pixels of a side
DATASET = """\
name: {name}
format: folders
file: images.tar
layout: {layout}
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


def stages(folder: Path, source: Path, layout: str, images: int, names: Sequence[str]) -> Rows:
    """One row per stage of a pipeline whose images are at ``source``."""
    name = f"{layout}_{images}"
    dataset = folder / "conf" / "dataset" / f"{name}.yaml"
    dataset.write_text(DATASET.format(name=name, path=source, layout=layout))
    changes = {"download": {"groups": {"dataset": name}}, "train.epochs": 1}
    copy_pipeline(folder, "flowers", name, changes)
    for stage in names:
        words = (sys.executable, "-m", f"stages.{stage}", f"pipeline={name}")
        yield {"stage": stage, "images": images, **measure(folder, *words)}


def drawings(folder: Path, per_class: int) -> Rows:
    """One row per stage, with ``per_class`` drawings of each kind."""
    archive = folder.parent / f"drawings_{per_class}.tar"
    write_drawings(archive, per_class=per_class)
    return stages(folder, archive, "classes", per_class * len(KINDS), STAGES)


def files(folder: Path, count: int, layout: str) -> Rows:
    """One row per stage, with ``count`` files of noise."""
    source = folder.parent / f"{layout}_{count}"
    generator = np.random.default_rng(7)
    rows = ["path,label"]
    for number in range(count):
        label = f"class{number % CLASSES}"
        name = f"{label}/{number}.png" if layout == "classes" else f"images/{number}.png"
        path = source / name
        if number < CLASSES:
            path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(path, compress_level=0)
        rows.append(f"{name},{label}")
    if layout == "table":
        (source / "labels.csv").write_text("\n".join(rows) + "\n")
    yield from stages(folder, source, layout, count, STAGES_OF_FILES)
    shutil.rmtree(source)


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
    parser.add_argument("--files", nargs="+", type=int, help="numbers of small files, instead")
    parser.add_argument("--layout", choices=("classes", "table"), default="classes")
    parser.add_argument("--chart", type=Path, help="a PNG to write")
    arguments = parser.parse_args()
    with checkout() as folder:
        use_recipe(folder, "scratch", "flowers")
        set_params(folder, {"flowers.normalize.image_size": SIDE} if arguments.files else {})
        rows: list[dict[str, Any]] = []
        for count in arguments.files or []:
            rows += files(folder, count, arguments.layout)
        for count in [] if arguments.files else arguments.per_class:
            rows += drawings(folder, count)
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
