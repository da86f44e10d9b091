"""A rare class: what weights, sampling and the focal loss do for it.

$ python bench/imbalance.py
$ python bench/imbalance.py --rare roses --share 0.02 --draws 1 2 3

Each draw keeps a share of the training photos of one class; the validation and test splits stay as
they are. Each contender trains the recipe `quick`, a new head on the features of a frozen network,
on the same photos. Prints a table: the recall of the rare class, the accuracy and the balanced
accuracy of the whole test split, the mean of the draws and their standard deviation. The pixel
statistics are those of all training photos.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from checkout import checkout, predict_test_split, run, use_recipe
from stages.configuration import configured
from stages.layout import needed
from stages.schemas import Train

CONTENDERS: dict[str, list[str]] = {  # by name, what differs from the recipe
    "natural": [],
    "weights": ["class_weight=balanced"],
    "sampling": ["sampling=balanced"],
    "focal": ["loss=focal"],
}
FIGURES = ["recall", "accuracy", "balanced accuracy"]


def thinned(labels: np.ndarray, rare: int, share: float, draw: int) -> np.ndarray:
    """The rows of all images but those of ``rare``, of which a share is drawn, at least one."""
    of_rare = np.flatnonzero(labels == rare)
    count = max(1, round(share * len(of_rare)))
    kept = np.random.default_rng(draw).choice(of_rare, count, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(labels != rare), kept]))


def figures(
    folder: Path, pipeline: str, rare: str, share: float, draw: int, words: list[str]
) -> dict[str, float]:
    """Trains in ``folder`` on one draw; the figures of the whole test split, 0..1."""
    results: list[dict[str, float]] = []

    def train(config: Train) -> None:
        from classifier.training.training_set import read_training_set

        name = config.pipeline
        data = read_training_set(needed("normalize", name), needed("augment", name))
        label = list(data.class_names).index(rare)
        rows = thinned(data.labels, label, share, draw)
        data = data._replace(images=data.images[rows], labels=data.labels[rows])
        labels, predicted = predict_test_split(config, data)
        values = (
            (predicted[labels == label] == label).mean(),
            accuracy_score(labels, predicted),
            balanced_accuracy_score(labels, predicted),
        )
        results.append(dict(zip(FIGURES, map(float, values), strict=True)))

    os.chdir(folder)
    sys.argv = ["stages.train", f"pipeline={pipeline}", f"seed={draw}", *words]
    configured(train)()
    return results[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rare", default="roses", help="the class that is made rare")
    parser.add_argument("--share", type=float, default=0.05, help="of its photos, which are kept")
    parser.add_argument("--draws", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with checkout() as folder:
        use_recipe(folder, "quick", "flowers")
        run(folder, "dvc", "repro", "--quiet", "augment@flowers", "backbone@flowers")
        for name, words in CONTENDERS.items():
            for draw in arguments.draws:
                values = figures(folder, "flowers", arguments.rare, arguments.share, draw, words)
                rows.append({"contender": name, "draw": draw} | values)
                print(rows[-1], file=sys.stderr, flush=True)
        os.chdir("/")
    print(f"| contender | recall of {arguments.rare} | accuracy | balanced accuracy |")
    print("|---|---|---|---|")
    for contender, of_name in pd.DataFrame(rows).groupby("contender", sort=False):
        cells = [
            f"{values.mean():.1f} %" + (f" ± {values.std():.1f}" if len(values) > 1 else "")
            for values in (100 * of_name[figure] for figure in FIGURES)
        ]
        print(f"| {contender} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
