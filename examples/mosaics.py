"""Makes photos with several labels: mosaics of four flower photos, and the table of what they show.

$ python examples/mosaics.py photos/mosaics

It takes the photos and their splits from the pipeline flowers (``dvc repro split@flowers``). Each
photo is used once at most, in a mosaic of its own split, so that no two splits share one. A few
mosaics show parts of a palace, a photo of scikit-learn's, and have no label.
"""

import argparse
import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from classifier.catalog.manifest import SPLITS, read_manifest
from classifier.catalog.raw import read_raw

TILE = 160  # pixels
MOST = 3  # kinds of flowers in a mosaic
WITHOUT = 0.05  # share of mosaics without a flower


def tile(photo: Image.Image) -> Image.Image:
    return ImageOps.fit(photo.convert("RGB"), (TILE, TILE))


def palace(rng: np.random.Generator) -> Image.Image:
    photo = Image.fromarray(load_sample_image("china.jpg"))
    left, top = (int(rng.integers(0, side - TILE)) for side in photo.size)
    return photo.crop((left, top, left + TILE, top + TILE))


def chosen(photos: pd.DataFrame, rng: np.random.Generator) -> list[pd.DataFrame]:
    """The photos of each mosaic of a split: four, of one to MOST kinds."""
    left = {
        str(name): rows.iloc[rng.permutation(len(rows))] for name, rows in photos.groupby("class")
    }
    mosaics = []
    while sum(map(len, left.values())) >= 4:
        there = [name for name in left if len(left[name])]
        count = min(len(there), int(rng.integers(1, MOST + 1)))
        kinds = rng.choice(np.array(there), count, replace=False).tolist()
        rows: list[pd.DataFrame] = []
        while len(rows) < 4:
            able = [name for name in kinds if len(left[name])]
            able = able or [name for name in left if len(left[name])]
            name = able[int(rng.integers(len(able)))]
            rows.append(left[name].iloc[:1])
            left[name] = left[name].iloc[1:]
        mosaics.append(pd.concat(rows))
    return mosaics


def write(folder: Path, pipeline: str, seed: int) -> None:
    raw = Path("data", "raw", pipeline)
    source = json.loads((raw / "source.json").read_text("utf-8"))
    table = read_manifest(Path("data", "split", f"{pipeline}.csv"))
    images = read_raw(raw / source["file"], source["format"], source["classes"])
    tiles = {}
    for image in images:
        assert isinstance(image.content, bytes)
        tiles[image.id] = tile(Image.open(io.BytesIO(image.content)))
    folder.mkdir(parents=True)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "labels", "split"])
        for split in SPLITS:
            rng = np.random.default_rng([seed, SPLITS.index(split)])
            mosaics = chosen(table[table["split"] == split].sort_values("id"), rng)
            empty = max(1, round(WITHOUT * len(mosaics)))
            for number, photos in enumerate(
                [*mosaics, *[photos[:0] for photos in mosaics[:empty]]]
            ):
                shown = [tiles[name] for name in photos["id"]] or [palace(rng) for _ in range(4)]
                mosaic = Image.new("RGB", (2 * TILE, 2 * TILE))
                for place, one in enumerate(shown):
                    mosaic.paste(one, (place % 2 * TILE, place // 2 * TILE))
                name = f"{split}-{number:04d}.jpg"
                mosaic.save(folder / name, quality=92)
                rows.writerow([name, ";".join(sorted(set(photos["class"]))), split])
            print(f"{split}: {len(mosaics):,} mosaics, and {empty:,} without a flower")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--pipeline", default="flowers", help="whose photos are used")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} exists: name a new folder")
    write(arguments.folder, arguments.pipeline, arguments.seed)


if __name__ == "__main__":
    main()
