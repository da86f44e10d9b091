"""The near-duplicates of a pipeline: how many, and the test accuracy without those that leaked.

$ python bench/near_duplicates.py
$ python bench/near_duplicates.py --pipeline flowers --picture docs/near-duplicates.png

It reads what `dvc repro evaluate@flowers` wrote, and trains nothing. Prints a row for each distance
of the perceptual hashes: the pairs, those in two splits, those in train and test, and the accuracy
on the test images that neither the training nor the validation split has a near-duplicate of. The
picture shows the pairs in two splits.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from classifier.catalog.manifest import SPLITS, read_manifest
from classifier.catalog.near_duplicates import find_near_duplicates
from classifier.catalog.raw import read_raw
from classifier.images.grids import write_grid
from classifier.images.perceptual_hash import hash_images
from classifier.images.pixels import to_pixels
from classifier.reporting.report import leaked_images
from stages.layout import needed

DISTANCES = (2, 4, 6, 8)
SHOWN = 4  # bits
COLUMNS, TILE = 8, 96  # images, pixels


def pairs_of(pipeline: str) -> pd.DataFrame:
    """The pairs of all distances: first, first_split, second, second_split, distance."""
    source = json.loads(needed("download", pipeline, "source.json").read_text("utf-8"))
    file = needed("download", pipeline, source["file"])
    table = read_manifest(needed("split", pipeline)).assign(official=None)
    hashes = hash_images(read_raw(file, source["format"], source["classes"]), workers=2)
    found = find_near_duplicates(table, hashes.values, hashes.known, max(DISTANCES))
    pairs = pd.DataFrame({"distance": found["distance"]})
    for side in ("first", "second"):
        rows = table.iloc[found[side]]
        pairs[side], pairs[f"{side}_split"] = rows["id"].to_numpy(), rows["split"].to_numpy()
    return pairs[pairs["first_split"].isin(SPLITS) & pairs["second_split"].isin(SPLITS)]


def row(pairs: pd.DataFrame, predictions: pd.DataFrame) -> list[str]:
    """The figures of the pairs within one distance."""
    splits = pairs[["first_split", "second_split"]]
    of_two = splits["first_split"] != splits["second_split"]
    tested = of_two & splits.isin(["train", "test"]).all(axis=1)
    leaked = leaked_images(predictions, pairs)
    accuracy = f"{100 * leaked['accuracy_without']:.2f} % of {leaked['without']:.0f}"
    return [f"{len(pairs)}", f"{of_two.sum()}", f"{tested.sum()}", accuracy]


def draw(path: Path, pipeline: str, pairs: pd.DataFrame) -> None:
    """Writes the pairs in two splits, two by two, the least alike first."""
    shown = pairs[pairs["first_split"] != pairs["second_split"]]
    shown = shown.sort_values(["distance", "first"], ascending=[False, True])
    names = shown[["first", "second"]].to_numpy().ravel()
    splits = shown[["first_split", "second_split"]].to_numpy().ravel()
    source = json.loads(needed("download", pipeline, "source.json").read_text("utf-8"))
    file = needed("download", pipeline, source["file"])
    wanted = set(names)
    pixels = {
        image.id: to_pixels(image.content, size=TILE, channels=3, fit="crop")
        for image in read_raw(file, source["format"], source["classes"])
        if image.id in wanted
    }
    captions = [
        f"{distance} bits, {split}"
        for distance, split in zip(np.repeat(shown["distance"], 2), splits, strict=True)
    ]
    images = np.stack([pixels[name] for name in names])
    write_grid(path, images, columns=COLUMNS, captions=captions, tile=TILE)
    with Image.open(path) as grid:
        grid.quantize().save(path, optimize=True)  # a third of the bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipeline", default="flowers")
    parser.add_argument("--picture", type=Path, help="a PNG file to write")
    arguments = parser.parse_args()
    pairs = pairs_of(arguments.pipeline)
    file = needed("evaluate", arguments.pipeline, "predictions.csv")
    predictions = pd.read_csv(file, dtype={"id": str}, keep_default_na=False)
    print("| distance | pairs | in two splits | in train and test | test accuracy without |")
    print("|---|---|---|---|---|")
    for distance in DISTANCES:
        figures = row(pairs[pairs["distance"] <= distance], predictions)
        print(f"| {distance} | {' | '.join(figures)} |")
    accuracy = 100 * predictions["correct"].mean()
    print(f"\nAll {len(predictions):,} test images: {accuracy:.2f} %")
    if arguments.picture:
        draw(arguments.picture, arguments.pipeline, pairs[pairs["distance"] <= SHOWN])


if __name__ == "__main__":
    main()
