"""The accuracy on parts of the test images: the small, the dark, the blurred, those of a source."""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, hypergeom

from classifier.saved.rounding import significant
from classifier.storage.splits import Images, batches

PARTS = 4  # of the images, by a measure
FEWEST = 10  # images of a slice
LEVEL = 0.05  # of the false discoveries
MEASURES = {
    "size": "shorter side of the original, pixels",
    "brightness": "mean grey level, 0 to 255",
    "sharpness": "variance of the Laplacian",
    "colourfulness": "0 is grey, 100 very colourful",
}
NAMES = {"source": "part of the dataset", "group": "images that belong together"}
COLUMNS = ["feature", "slice", "images", "accuracy", "accuracy_of_others", "p", "worse"]
AT_ONCE = 64  # images that are measured at a time


def features(
    images: Images,
    ids: pd.Series,
    measured: pd.DataFrame,
    groups: dict[str, str],
    *,
    merged: bool,
) -> pd.DataFrame:
    """What the test images are sliced by, a row per image.

    Args:
        images: uint8 (N, H, W, 1 or 3), the test split.
        ids: of the images.
        measured: id, width, height, brightness and sharpness of these images and others.
        groups: of the images that have one, by id.
        merged: whether the dataset has parts, which ids begin with.

    Returns:
        The columns of MEASURES and NAMES; those that say nothing of any image are left out.
    """
    rows = measured.set_index("id").loc[ids]
    table = pd.DataFrame(
        {
            "size": rows[["width", "height"]].min(axis=1).to_numpy(),
            "brightness": rows["brightness"].to_numpy(),
            "sharpness": rows["sharpness"].to_numpy(),
        }
    )
    if images.shape[-1] == 3:
        table["colourfulness"] = np.concatenate(
            [colourfulness(pixels) for pixels in batches(images, AT_ONCE)]
        ).round(1)
    names = ids.reset_index(drop=True)
    if merged:
        table["source"] = names.str.partition("/")[0]
    if groups:
        table["group"] = names.map(groups)
    return table


def colourfulness(pixels: np.ndarray) -> np.ndarray:
    """How colourful images are, float64 (N,): 0 is grey, above 100 is extremely colourful.

    Hasler and Süsstrunk, Measuring colourfulness in natural images, 2003
    (https://doi.org/10.1117/12.477378). Sums of integers, so the same on every machine.

    Args:
        pixels: uint8 (N, H, W, 3).
    """
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    count = red[0].size
    spread, mean = 0.0, 0.0
    # Twice the second, an integer: (red + green) / 2 - blue.
    for opponent, scale in ((red - green, 1), (red + green - 2 * blue, 2)):
        total = opponent.sum(axis=(1, 2), dtype=np.int64) / (scale * count)
        squares = (opponent * opponent).sum(axis=(1, 2), dtype=np.int64) / (scale**2 * count)
        spread += squares - total**2
        mean += total**2
    return np.sqrt(spread) + 0.3 * np.sqrt(mean)


def slice_table(correct: np.ndarray, table: pd.DataFrame) -> pd.DataFrame:
    """The accuracy by slice, and which slices are worse than chance would explain.

    A measure is cut into four slices of about as many images each, fewer where many images have
    the same value. A source or a group is a slice; those with fewer than FEWEST images are left
    out. Each slice is compared with all other images by Fisher's exact test, one-sided (The design
    of experiments, 1935), and the values of p are adjusted for the number of slices (Benjamini and
    Hochberg, Controlling the false discovery rate, 1995).

    Args:
        correct: whether the images are predicted right, bool (N,).
        table: of :func:`features`.

    Returns:
        A row per slice, in the order of the features, a measure's from low to high, groups from
        the smallest p: feature, slice (a text), images, accuracy, accuracy_of_others, p (adjusted,
        0..1), worse (whether p is below 0.05). The accuracies are numbers of images divided by
        their number; p has six significant digits.
    """
    slices = []
    for feature in table:
        values = table[feature]
        if feature in MEASURES:
            quarters = pd.qcut(values, PARTS, duplicates="drop")
            parts = {
                f"{rows.min():g} to {rows.max():g}": rows.index
                for _, rows in values.groupby(quarters, observed=True)
            }
        else:
            parts = {str(name): rows.index for name, rows in values.groupby(values)}
        if len(parts) > 1:
            slices += [
                _compare(str(feature), name, correct, rows)
                for name, rows in parts.items()
                if len(rows) >= FEWEST
            ]
    found = pd.DataFrame(slices, columns=COLUMNS[:-1])
    if len(found):
        found["p"] = false_discovery_control(found["p"])
    found["p"] = found["p"].astype(float).map(significant)
    found["worse"] = found["p"] < LEVEL
    named = found["feature"].isin(NAMES)
    order = found[named].sort_values(["feature", "p", "slice"], ascending=[False, True, True])
    return pd.concat([found[~named], order], ignore_index=True)


def too_small(table: pd.DataFrame) -> int:
    """The number of sources and groups in a table of :func:`features` with too few images."""
    counts = [table[name].value_counts() for name in NAMES if name in table]
    return sum(int((count < FEWEST).sum()) for count in counts)


def _compare(feature: str, name: str, correct: np.ndarray, rows: pd.Index) -> tuple[object, ...]:
    """A row of the table: the p is that of as many mistakes or more in the slice, by chance."""
    inside = correct[rows]
    right, images, wrong = int(correct.sum()), len(inside), int((~inside).sum())
    others = len(correct) - images
    of_others = (right - (images - wrong)) / others if others else np.nan
    p = float(hypergeom.sf(wrong - 1, len(correct), len(correct) - right, images))
    return feature, name, images, (images - wrong) / images, of_others, min(1.0, p)
