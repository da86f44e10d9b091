"""Few photos: what a pretrained network is worth, from 5 to 100 flowers of each class.

$ python bench/few_photos.py --chart docs/few-photos.png        # 75 minutes

Each draw takes that many training photos of each class, and as many validation photos, which choose
the epoch (by the loss). Three contenders train on them: the head alone on the features of the
frozen network, the recipe `standard`, and the recipe `scratch`. Each has as many epochs as its
steps take. The whole test split is read once per training, at its end. Prints a table: the
mean test accuracy of the draws, and their standard deviation. The pixel statistics of `scratch` are
those of all training photos. With ``--log FILE``, a stopped run goes on.
"""

import argparse
import os
import sys
from functools import partial
from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from checkout import checkout, predict_test_split, run, use_recipe
from log import Log
from stages.configuration import configured
from stages.layout import needed
from stages.schemas import Train

CONTENDERS = {  # by recipe: names, and the steps of each phase, of 4 to 32 images
    "standard": {
        "head alone": {"epochs": 200, "fine_tune_epochs": 0},
        "recipe `standard`": {"epochs": 200, "fine_tune_epochs": 40},
    },
    "scratch": {"recipe `scratch`": {"epochs": 400, "fine_tune_epochs": 0}},
}


def drawn(labels: np.ndarray, per_class: int, draw: int) -> np.ndarray:
    """The rows of ``per_class`` images of each class, in ascending order."""
    generator = np.random.default_rng(draw)
    every = [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    return np.sort(np.concatenate([rows[:per_class] for rows in every]))


def accuracy(folder: Path, per_class: int, draw: int, phases: dict[str, int]) -> dict[str, float]:
    """Trains in ``folder`` on one draw; the accuracy of the whole test split in %."""
    accuracies = []

    def train(config: Train) -> None:
        from classifier.training.training_set import read_training_set

        name = config.pipeline
        data = read_training_set(needed("normalize", name), needed("augment", name))
        parts = [(data.images, data.labels), data.validation]
        rows = [drawn(labels, per_class, draw) for _, labels in parts]
        (images, labels), validation = (
            (images[chosen], labels[chosen])
            for (images, labels), chosen in zip(parts, rows, strict=True)
        )
        data = data._replace(images=images, labels=labels, validation=validation)
        # At least four steps an epoch: each epoch is validated, and may be saved.
        config.batch_size = min(config.batch_size, max(4, len(images) // 4))
        steps = -(-len(images) // config.batch_size)
        for phase, count in phases.items():
            setattr(config, phase, -(-count // steps))
        labels, predicted = predict_test_split(config, data)
        accuracies.append(float((predicted == labels).mean()))

    os.chdir(folder)
    words = ["pipeline=flowers", f"seed={draw}", "monitor=val_loss"]
    sys.argv = ["stages.train", *words]
    configured(train)()
    return {"accuracy": round(100 * accuracies[0], 2)}


def measure(sizes: list[int], draws: list[int], log: Log) -> pd.DataFrame:
    """A row per training: photos, contender, draw, accuracy in %; of the log, or a new one."""
    rows = []
    with checkout() as folder:
        for recipe, contenders in CONTENDERS.items():
            use_recipe(folder, recipe, "flowers")
            run(folder, "dvc", "repro", "--quiet", "augment@flowers", "backbone@flowers")
            for per_class, contender, draw in product(sizes, contenders, draws):
                key = {"photos": per_class, "contender": contender, "draw": draw}
                measure_one = partial(accuracy, folder, per_class, draw, contenders[contender])
                row = key | log.once(key, measure_one)
                print(row, file=sys.stderr, flush=True)
                rows.append(row)
        os.chdir("/")
    return pd.DataFrame(rows)


def draw_chart(table: pd.DataFrame, path: Path) -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for contender, of_contender in table.groupby("contender", sort=False):
        by_size = of_contender.groupby("photos")["accuracy"]
        label = str(contender).replace("`", "")
        axes.errorbar(
            by_size.mean().index, by_size.mean(), by_size.std(), marker="o", capsize=3, label=label
        )
    axes.set(xscale="log", xlabel="training photos of each class", ylabel="test accuracy in %")
    axes.set_xticks(sorted(table["photos"].unique()), sorted(table["photos"].unique()))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", nargs="+", type=int, default=[5, 10, 20, 50, 100])
    parser.add_argument("--draws", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--chart", type=Path, help="a PNG to write")
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    chart = arguments.chart.absolute() if arguments.chart else None
    table = measure(arguments.photos, arguments.draws, Log(arguments.log))
    names = table["contender"].unique()
    print("| photos of each class |" + "|".join(f" {name} " for name in names) + "|")
    print("|---" * (len(names) + 1) + "|")
    for per_class, of_size in table.groupby("photos"):
        values = [of_size[of_size["contender"] == name]["accuracy"] for name in names]
        cells = [f"{value.mean():.1f} % ± {value.std():.1f}" for value in values]
        print(f"| {per_class} | " + " | ".join(cells) + " |")
    if chart:
        draw_chart(table, chart)


if __name__ == "__main__":
    main()
