"""The page of a comparison: one HTML file with its pictures inside, for a wide or narrow screen."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from classifier.drift.detection import DRIFTED, class_counts, drifted
from classifier.drift.observations import MEASURES
from classifier.images.pillow import to_pillow
from classifier.storage.splits import Images, batches
from classifier.support.atomic import atomic_path
from classifier.support.templates import templates

BINS = 30
CLASSES = 20  # with bars
COARSE = 16  # rows and columns of pixels, by which pictures are alike
AT_ONCE = 256  # images that are made coarse at a time
# What to do where one of the measures drifted.
ADVICE = {
    ("accepted", "score"): (
        "More or fewer pictures than before are unlike the training data. Look at the most unlike "
        "ones below. If they show your classes, label some of them, add them to the dataset and "
        "train again. If they show something else, it is right not to accept them: find out where "
        "they come from."
    ),
    ("class",): (
        "The classes are in other shares. If that is true of the world, a season for example, the "
        "model is as good for each class as before, but right more or less often in all. If not, "
        "it confuses classes: look at pictures of the class that grew."
    ),
    ("probability",): "The model is more or less sure than on the test split.",
    ("brightness", "contrast", "sharpness", "colourfulness"): (
        "The pictures look otherwise: another camera, light, season, or another program that "
        "wrote the files. The report of the model says what such changes cost, under 'How it "
        "fails'. An augmentation policy with the same change makes the next model used to it."
    ),
    ("size", "aspect"): (
        "The originals have another size or shape. The model gets all pictures in one size: look "
        "whether the sharpness changed with it, and whether cropping cuts off what matters."
    ),
}


class Unlike(NamedTuple):
    """One of the most unlike new pictures.

    Attributes:
        file, answer: its name, and what the model says of it.
        picture, usual: its pixels, and those of the test image that looks most like it, uint8
            (H, W, 1 or 3); None without the picture.
        usual_answer: what the model says of that one.
    """

    file: str
    answer: str
    picture: np.ndarray | None = None
    usual: np.ndarray | None = None
    usual_answer: str = ""


def most_unlike(new: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows with the highest score; without a score, with the lowest probability."""
    by = new["score"] if "score" in new and new["score"].notna().any() else -new["probability"]
    return new.loc[by.sort_values(ascending=False, kind="stable").index[:count]]


def nearest_usual(
    pictures: Sequence[np.ndarray], classes: Sequence[str], images: Images, answers: pd.DataFrame
) -> list[int]:
    """For each picture, the row of the image that looks most like it.

    Among the more usual half, by the score, of the images of the same predicted class; by the mean
    squares of the differences of pixels, after both were made as coarse as COARSE, and as bright
    and rich in contrast as each other.

    Args:
        pictures: uint8 (H, W, C).
        classes: predicted, of the pictures.
        images: uint8 (N, H, W, C).
        answers: class, probability, and ``score`` if there is one, of the N images.
    """
    rough = np.concatenate([_coarse(pixels) for pixels in batches(images, AT_ONCE)])
    usual = most_unlike(answers, len(answers)).index[::-1]
    found = []
    for pixels, name in zip(pictures, classes, strict=True):
        of_class = usual[(answers["class"][usual] == name).to_numpy()]
        rows = np.array(of_class[: -(-len(of_class) // 2)] if len(of_class) else usual)
        distances = np.square(rough[rows] - _coarse(pixels[None])).mean(axis=(1, 2, 3))
        found.append(int(rows[distances.argmin()]))
    return found


def _coarse(images: np.ndarray) -> np.ndarray:
    """Means of blocks of pixels, float32 (N, about COARSE, about COARSE, C), of mean 0 and
    standard deviation 1 in each image."""
    _, height, width, channels = images.shape
    down, across = max(1, height // COARSE), max(1, width // COARSE)
    cut = images[:, : height // down * down, : width // across * across]
    blocks = cut.reshape(len(images), height // down, down, width // across, across, channels)
    means = blocks.mean(axis=(2, 4), dtype=np.float32)
    means -= means.mean(axis=(1, 2, 3), keepdims=True)
    return means / np.maximum(means.std(axis=(1, 2, 3), keepdims=True), 1)


def described(row: Mapping[Any, Any]) -> str:
    """What the model says of a picture, in a line."""
    text = f"{row['class']} {100 * row['probability']:.0f} %"
    score = row.get("score")
    if score is None or np.isnan(score):
        return text
    refused = "" if row["accepted"] else ", not accepted"
    return f"{text}, score {score:.3g}{refused}"


class Histogram(NamedTuple):
    """Shares of two sets of pictures by value.

    Attributes:
        low, high: the ends of the axis. A bin at an end has the values beyond it, too.
        reference, new: shares, 0..1, of the bins.
    """

    low: float
    high: float
    reference: list[float]
    new: list[float]

    @property
    def top(self) -> float:
        return max(*self.reference, *self.new)

    def outline(self, height: float) -> str:
        """The new shares as the points of an SVG line, a bin 10 wide."""
        levels = [height * (1 - share / self.top) for share in self.new]
        return " ".join(
            f"{10 * at},{level:.1f} {10 * at + 10},{level:.1f}" for at, level in enumerate(levels)
        )


def histogram(reference: pd.Series, new: pd.Series) -> Histogram:
    """The axis begins at the lowest 0.5 % and ends at the highest; it has equal ratios where the
    values are positive and far apart."""
    sides = [column.dropna().to_numpy(float) for column in (reference, new)]
    low = min(float(np.quantile(values, 0.005)) for values in sides)
    high = max(float(np.quantile(values, 0.995)) for values in sides)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    ends = np.geomspace(low, high, BINS + 1) if 0 < 20 * low < high else None
    if ends is None:
        ends = np.linspace(low, high, BINS + 1)
    counts = [np.histogram(np.clip(values, ends[0], ends[-1]), ends)[0] for values in sides]
    shares = [(each / each.sum()).tolist() for each in counts]
    return Histogram(low, high, *shares)


def class_bars(reference: pd.Series, new: pd.Series) -> pd.DataFrame:
    """Columns name, reference and new, in percent; those that change most first, CLASSES rows."""
    counts = class_counts(reference, new)
    shares = 100 * counts.div(counts.sum(axis=1), axis=0).T
    order = (shares["new"] - shares["reference"]).abs().sort_values(ascending=False, kind="stable")
    return shares.loc[order.index[:CLASSES]].rename_axis("name").reset_index()


def write_page(
    file: Path,
    *,
    title: str,
    verdict: str,
    told: Sequence[str],
    table: pd.DataFrame,
    reference: pd.DataFrame,
    new: pd.DataFrame,
    unlike: Sequence[Unlike],
    alpha: float,
    effect: float,
) -> None:
    """Writes the page, atomically.

    Args:
        verdict: a line.
        told: lines about what was compared, and what was not.
        table: of :func:`classifier.drift.detection.compare`, of ``reference`` and ``new``.
    """
    pages = templates("classifier.drift")
    pages.filters["value"] = lambda value: f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    pages.filters["picture"] = _encoded
    found = drifted(table)
    order = table.assign(last=table["verdict"] != DRIFTED).sort_values(
        ["last", "effect"], ascending=[True, False], kind="stable"
    )
    content = pages.get_template("drift.html.jinja").render(
        title=title,
        verdict=verdict,
        told=told,
        found=found,
        rows=table.to_dict("records"),
        meanings=MEASURES,
        histograms={
            name: histogram(reference[name], new[name])
            for name in order["measure"]
            if name not in ("class", "accepted")
            and pd.concat([reference[name], new[name]]).nunique() > 1
        },
        classes=class_bars(reference["class"], new["class"]).to_dict("records"),
        class_count=pd.concat([reference["class"], new["class"]]).nunique(),
        advice=[text for names, text in ADVICE.items() if set(names) & set(found)],
        unlike=unlike,
        by_score="score" in new and new["score"].notna().any(),
        numbers=(len(reference), len(new)),
        alpha=alpha,
        effect=effect,
        drifted_word=DRIFTED,
    )
    with atomic_path(file) as temporary:
        temporary.write_text(content, "utf-8")


def _encoded(pixels: np.ndarray) -> str:
    """A JPEG in base64."""
    content = io.BytesIO()
    to_pillow(pixels).save(content, "JPEG", quality=88)
    return base64.b64encode(content.getvalue()).decode("ascii")
