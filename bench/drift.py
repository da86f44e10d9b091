"""Drift: how often it is found where there is none, and where the pictures are darker.

$ python bench/drift.py
$ python bench/drift.py --pipeline mnist --draws 100

The validation and test images of an exported pipeline are pooled. In each draw, as many of them as
the test split has are the reference, and so many others are the new pictures: as they are, which
are false alarms, or darker. Prints the share of the
draws in which the pictures drifted, with the defaults of stages.drift. The size of the originals is
left out: it is that of the network's images.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from classifier.drift.detection import compare, drifted
from classifier.drift.observations import observe_split
from classifier.serving.loading import SavedClassifier, load_classifier
from classifier.storage.splits import read_split
from stages.layout import needed

LIGHT = {"as they are": 1.0, "light x 0.9": 0.9, "light x 0.8": 0.8, "light x 0.3": 0.3}


def observed(classifier: SavedClassifier, normalized: Path, light: float) -> pd.DataFrame:
    """The validation and test images, with so much of their light."""
    splits = [np.asarray(read_split(normalized, name)[0]) for name in ("validation", "test")]
    images = (np.arange(256) * light).round().astype(np.uint8)[np.concatenate(splits)]
    height, width, _ = classifier.shape
    sizes = pd.DataFrame({"width": width, "height": height}, index=range(len(images)))
    return observe_split(classifier, images, sizes).drop(columns=["size", "aspect"])


def share_found(
    usual: pd.DataFrame, changed: pd.DataFrame, reference: int, new: int, draws: int
) -> float:
    """The share of the draws in which ``new`` of the changed pictures drifted."""
    found = 0
    for draw in range(draws):
        order = np.random.default_rng(draw).permutation(len(usual))
        before, now = usual.iloc[order[:reference]], changed.iloc[order[reference:][:new]]
        found += bool(drifted(compare(before, now, alpha=0.01, effect=0.1)))
    return found / draws


def main(pipeline: str, numbers: Sequence[int], draws: int) -> None:
    normalized = needed("normalize", pipeline)
    classifier = load_classifier(needed("export", pipeline))
    reference = len(read_split(normalized, "test")[1])
    usual = observed(classifier, normalized, 1.0)
    rows = []
    for name, light in LIGHT.items():
        changed = usual if light == 1 else observed(classifier, normalized, light)
        shares = {
            f"{new} pictures": share_found(usual, changed, reference, new, draws) for new in numbers
        }
        rows.append({"pictures": name, **shares})
    print(f"{pipeline}: {reference:,} for reference, {draws:,} draws")
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipeline", default="flowers")
    parser.add_argument("--numbers", type=int, nargs="+", default=[20, 50, 100, 500])
    parser.add_argument("--draws", type=int, default=500)
    arguments = parser.parse_args()
    main(arguments.pipeline, arguments.numbers, arguments.draws)
