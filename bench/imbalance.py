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
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from checkout import checkout, run, use_recipe
from stages import train as train_stage
from stages.configuration import build, configured
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
        from classifier.layers.views import averaged
        from classifier.saved.saving import load_model
        from classifier.storage.splits import read_split
        from classifier.training import session
        from classifier.training.fit import fit
        from classifier.training.training_set import read_training_set

        name = config.pipeline
        workers = build("strategy", config.strategy)
        data = read_training_set(needed("normalize", name), needed("augment", name))
        label = list(data.class_names).index(rare)
        rows = thinned(data.labels, label, share, draw)
        data = data._replace(images=data.images[rows], labels=data.labels[rows])
        session.begin(config)
        model, feed, phases = train_stage.assemble(config, workers, data)
        with tempfile.TemporaryDirectory() as temporary:
            batches = data.validation_batches()
            fit(model, phases, feed, batches, config, Path(temporary), lambda *_: None)
            best = load_model(Path(temporary, "best.keras"))
        views = build("views", config.views, data.shape)
        whole = averaged(best, views) if views else best
        images, labels = read_split(needed("normalize", name), "test")
        predicted = whole.predict(images, batch_size=64, verbose=0).argmax(axis=1)
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
