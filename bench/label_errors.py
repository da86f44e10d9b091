"""Wrong labels: how many of those that were planted confident learning finds.

$ python bench/label_errors.py
$ python bench/label_errors.py --shares 0.02 0.05 0.1 --draws 1 2 3

Each draw gives a share of the flowers' training photos another class. The head of the recipe
`quick` is cross-validated on them in 5 folds, on the features of the frozen network, which are
computed once. Prints a table: how many labels are suspected, which share of these was planted
(precision), and which share of the planted ones is suspected (recall); the same for the classes
that are predicted otherwise than labelled. The photos have wrong labels of their own, which count
as mistakes here; the first row has none planted.
"""

import argparse
import os
import sys
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from checkout import checkout, run, use_recipe
from classifier.reporting.label_errors import label_errors
from stages.configuration import build, configured
from stages.layout import needed
from stages.schemas import Train


def planted(labels: np.ndarray, classes: int, share: float, draw: int) -> np.ndarray:
    """The labels, of which this share has another class, each other class as often."""
    generator = np.random.default_rng(draw)
    rows = generator.choice(len(labels), round(share * len(labels)), replace=False)
    changed = labels.copy()
    changed[rows] = (labels[rows] + generator.integers(1, classes, len(rows))) % classes
    return changed


def out_of_fold(
    config: Train, head: Any, features: np.ndarray, labels: np.ndarray, seed: int
) -> np.ndarray:
    """Probabilities, (N, classes), by heads that were not trained on the image's fold."""
    import keras

    classes = head.output_shape[-1]
    probabilities = np.zeros((len(labels), classes))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed).split(features, labels)
    for trained, left_out in folds:
        keras.utils.set_random_seed(seed)
        model = keras.models.clone_model(head)  # with new random weights
        steps = config.epochs * -(-len(trained) // config.batch_size)
        rate = build("schedule", config.schedule, config.optimizer["learning_rate"], steps)
        model.compile(
            build("optimizer", config.optimizer, learning_rate=rate.value),
            build("loss", config.loss, label_smoothing=config.label_smoothing),
        )
        targets = np.eye(classes)[labels[trained]]
        model.fit(
            features[trained],
            targets,
            batch_size=config.batch_size,
            epochs=config.epochs,
            verbose=0,
        )
        probabilities[left_out] = model.predict(features[left_out], verbose=0)
    return probabilities


def rows(shares: list[float], draws: list[int]) -> list[dict[str, Any]]:
    """Trains in the working directory; a row for each share, draw and rule."""
    results: list[dict[str, Any]] = []

    def train(config: Train) -> None:
        from classifier.training import session
        from classifier.training.features import split_at_head
        from classifier.training.training_set import read_training_set
        from stages.train import assemble

        session.begin(config)
        name = config.pipeline
        data = read_training_set(needed("normalize", name), needed("augment", name))
        model, _, _ = assemble(config, build("strategy", config.strategy), data)
        base, head = split_at_head(model)
        features = base.predict(data.images, batch_size=64, verbose=0)
        names = np.array(data.class_names)
        for share, draw in [(0.0, 1), *((share, draw) for share in shares for draw in draws)]:
            labels = planted(data.labels, len(names), share, draw)
            wrong = labels != data.labels
            values = out_of_fold(config, head, features, labels, draw)
            table = pd.DataFrame(values, columns=[f"p({name})" for name in names])
            table.insert(0, "class", names[labels])
            table.insert(0, "id", [f"{number:05d}" for number in range(len(table))])
            rules = {
                "confident learning": label_errors(table).index,
                "predicted otherwise": table.index[values.argmax(axis=1) != labels],
            }
            for rule, found in rules.items():
                hits = wrong[found].sum()
                row = {"planted": 100 * share, "rule": rule, "draw": draw, "suspected": len(found)}
                row["precision"] = 100 * hits / max(1, len(found))
                row["recall"] = 100 * hits / max(1, wrong.sum())
                results.append(row)
                print(row, file=sys.stderr, flush=True)

    sys.argv = ["stages.train", "pipeline=flowers"]
    configured(train)()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shares", nargs="+", type=float, default=[0.05, 0.1])
    parser.add_argument("--draws", nargs="+", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    with checkout() as folder:
        use_recipe(folder, "quick", "flowers")
        run(folder, "dvc", "repro", "--quiet", "augment@flowers", "backbone@flowers")
        os.chdir(folder)
        results = pd.DataFrame(rows(arguments.shares, arguments.draws))
        os.chdir("/")
    print("| planted | rule | suspected | precision | recall |")
    print("|---|---|---|---|---|")
    for (share, rule), of_rule in results.groupby(["planted", "rule"], sort=False):
        cells = [f"{of_rule['suspected'].mean():.0f}"]
        for figure in ("precision", "recall"):
            spread = f" ± {of_rule[figure].std():.0f}" if len(of_rule) > 1 else ""
            cells.append(f"{of_rule[figure].mean():.0f} %{spread}" if share else "–")
        print(f"| {share:g} % | {rule} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
