"""Sections of params.yaml that fit a dataset, and why: a beginning, for the user to change.

The values are those of the recipe `standard` (conf/recipe/standard.yaml), by these rules:

1. Small pictures (the median of their shorter sides is below 64 pixels) are learned from scratch,
   as the digits are, at about their own size; in grey if none that was looked at has a colour. All
   others begin with the flowers' pretrained network, at the size that it was trained with.
2. The dataset's own test split is used if it has one. Else validation and test are fractions: the
   first of 0.15, 0.2, 0.25 and 0.33 that gives each of them an image of each class. If there are
   near-duplicates, the split stage shall keep each pair of them in one split.
3. The batch size is the recipe's, halved while an epoch has fewer than 10 batches, down to 16.
4. The epochs are the recipe's, or as many more as make 400 training steps from scratch, or 200
   with a pretrained network and 40 to tune it: what bench/few_photos.py gives few photos.
5. Pixels of more than 4 GB are stored as TFRecord shards, which memory need not hold.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from ruamel.yaml.comments import CommentedMap

from classifier.catalog.assignment import assign_splits
from classifier.catalog.options import SplitOptions
from classifier.catalog.several_labels import check_labels_by_split, label_counts
from classifier.formats.contents import Entry
from classifier.formats.label_sets import multi_hot
from classifier.inspection.near_duplicates import DISTANCE, NearDuplicates
from classifier.inspection.pictures import Pictures
from classifier.support.errors import InputError
from stages.params import round_trip

SPLIT = Path("conf", "split.yaml")
RECIPE = Path("conf", "recipe", "standard.yaml")
SMALL = 64  # pixels
SIZES = (16, 64)  # the smallest and the largest image size from scratch
STEP = 4  # pixels: the sizes from scratch are multiples of it
FRACTIONS = (0.15, 0.2, 0.25, 0.33)
BATCHES, SMALLEST_BATCH = 10, 16
STEPS, PRETRAINED_STEPS, TUNING_STEPS = 400, 200, 40
IN_MEMORY = 4_000_000_000  # bytes of pixels
SEED = 7


class Recommended(NamedTuple):
    """Sections of params.yaml by stage, without download's; and what is to be said of them."""

    sections: CommentedMap
    reasons: list[tuple[str, str]]  # a value, and why it is this one
    problems: list[str]  # why a stage would stop, as it is


def recommend(
    entries: Sequence[Entry],
    pictures: Pictures,
    near: NearDuplicates | None,
    separator: str | None = None,
) -> Recommended:
    """The sections for a dataset.

    Args:
        near: None where near-duplicates are not looked for.
        separator: between the labels of an image, which may have several; None where it has one.

    Raises:
        InputError: the recipe cannot be read, or has no such pipeline.
    """
    small = pictures.shorter_side < SMALL
    sections = _of_recipe("mnist" if small else "flowers")
    table = _table(entries)
    split, problems = _split(table, near, separator)
    reasons = [_start(small, sections), ("normalize.image_size", "")]
    normalize, train = sections["normalize"], sections["train"]
    if small:
        size = min(max(SIZES[0], STEP * round(pictures.shorter_side / STEP)), SIZES[1])
        normalize["image_size"] = size
        normalize["channels"] = 1 if pictures.all_grey else 3
        why = f"the median shorter side is {pictures.shorter_side} pixels"
        if not pictures.all_grey:
            sections["augment"]["groups"]["policy"] = "crops"
            train["groups"]["views"] = "mirror"
    else:
        why = "what the pretrained network was trained with"
    reasons[-1] = (f"normalize.image_size {normalize['image_size']}", why)
    colours = "no picture that was looked at has a colour" if pictures.all_grey else "colours"
    if pictures.all_grey and not small:
        colours += ", but the pretrained network takes three channels"
    reasons.append((f"normalize.channels {normalize['channels']}", colours))
    if sections["augment"]["groups"]["policy"] == "crops":
        unmirrored = "where left and right matter: policy: {crop: {flip: false}}, and views: none"
        reasons.append(("augment policy crops", f"it mirrors pictures; {unmirrored}"))
    sections["split"], of_split = split
    reasons += of_split
    images = max(1, _to_train(table, sections["split"]))
    reasons.append(_batch_size(train, images))
    reasons.append(_epochs(train, images))
    if separator:
        train["groups"]["loss"], train["monitor"] = "binary_crossentropy", "val_pr_auc"
        reasons.append(("train loss binary_crossentropy", "an image may have several labels"))
        why = "it counts each class the same, and needs no threshold"
        reasons.append(("train.monitor val_pr_auc", why))
    pixels = len(table) * normalize["image_size"] ** 2 * normalize["channels"]
    if pixels > IN_MEMORY:
        normalize["storage"] = "tfrecord"
        reasons.append(("normalize.storage tfrecord", f"{pixels / 1e9:.0f} GB of pixels"))
    sections["evaluate"] = flow({})
    sections["export"] = flow({})
    return Recommended(sections, reasons, problems)


def flow(values: dict[str, Any]) -> CommentedMap:
    """A section in one line of YAML: {key: value}."""
    section = CommentedMap(values)
    section.fa.set_flow_style()
    return section


def _of_recipe(pipeline: str) -> CommentedMap:
    found = round_trip().load(RECIPE) if RECIPE.is_file() else None
    if not isinstance(found, dict) or pipeline not in found:
        raise InputError(
            f"{RECIPE} has no pipeline '{pipeline}', whose values a new pipeline takes: "
            f"git restore {RECIPE}"
        )
    sections = copy.deepcopy(found[pipeline])
    order = ("split", "normalize", "augment", "backbone", "train")
    return CommentedMap((stage, sections[stage]) for stage in order)


def _start(small: bool, sections: CommentedMap) -> tuple[str, str]:
    groups = sections["train"]["groups"]
    if small:
        return (
            f"train model {groups['model']}, from scratch",
            f"small pictures, below {SMALL} pixels, show little of what a pretrained network knows",
        )
    backbone = sections["backbone"]["groups"]["backbone"]
    return (
        f"train model {groups['model']}, pretrained {backbone}",
        "photos: more accurate and faster than from scratch",
    )


def _table(entries: Sequence[Entry]) -> pd.DataFrame:
    """The table that the split stage would make, with each image unlike all others."""
    images = sorted(entry for entry in entries if not entry.passed_over)
    classes = sorted({entry.class_name for entry in images})
    labels = {name: label for label, name in enumerate(classes)}
    rows = [
        (e.id, e.class_name, labels[e.class_name], e.id, e.split or None, e.group or None)
        for e in images
    ]
    return pd.DataFrame(rows, columns=["id", "class", "label", "sha256", "official", "group"])


def _movable(table: pd.DataFrame, near: NearDuplicates) -> pd.DataFrame:
    """The rows of the near-duplicates that are not in two official splits."""
    row_of = dict(zip(table["id"], range(len(table)), strict=True))
    rows = [(row_of[one.id], row_of[other.id]) for one, other in near.pairs[len(near.crossing) :]]
    return pd.DataFrame(rows, columns=["first", "second"], dtype=int)


def _split(
    table: pd.DataFrame, near: NearDuplicates | None, separator: str | None
) -> tuple[tuple[CommentedMap, list[tuple[str, str]]], list[str]]:
    """The section with its reasons, and why the split stage would stop."""
    official = bool((table["official"] == "test").any())
    pairs = _movable(table, near) if near and near.pairs else None
    problem, defaults = "", _split_defaults()
    classes = [*label_counts(table["class"], separator)] if separator else []
    has = multi_hot(table["class"].tolist(), classes, separator) if separator else None
    for fraction in FRACTIONS:
        section = _sizes(fraction, official)
        why = "the dataset's own test split" if official else "no test split of its own"
        if (table["official"] == "validation").any():
            why += "; its own validation split stays, whatever the fraction"
        if fraction > FRACTIONS[0]:
            why += f"; with {FRACTIONS[0]} a class would lack images in a split"
        reasons = [(f"split.validation {fraction}, test {'null' if official else fraction}", why)]
        try:
            divided = assign_splits(table, SplitOptions(**defaults | section), near=pairs, has=has)
            if separator:
                check_labels_by_split(divided, classes, separator)
        except InputError as error:
            problem = problem or str(error)
            continue
        if near and near.pairs:
            section["near_duplicates"] = flow({"distance": DISTANCE})
            own = ", but for those of the dataset's own splits" if near.crossing else ""
            kept = f"{len(near.pairs):,} pairs were found: each stays in one split{own}"
            reasons.append((f"split.near_duplicates.distance {DISTANCE}", kept))
        return (section, reasons), []
    if pairs is not None:
        sections, problems = _split(table, None, separator)
        apart = f"near-duplicates may be in two splits: if each pair is in one, {problem}"
        return sections, problems or [apart]
    reason = (
        f"split.validation {FRACTIONS[0]}, test {'null' if official else FRACTIONS[0]}",
        "no size of the splits gives each of them an image of each class",
    )
    return (_sizes(FRACTIONS[0], official), [reason]), [f"the stage split will stop: {problem}"]


def _split_defaults() -> dict[str, Any]:
    """The defaults of conf/split.yaml."""
    config = round_trip().load(SPLIT)
    return {field.name: config[field.name] for field in fields(SplitOptions)}


def _sizes(fraction: float, official: bool) -> CommentedMap:
    test = None if official else fraction
    return flow({"validation": fraction, "test": test, "seed": SEED})


def _to_train(table: pd.DataFrame, split: CommentedMap) -> int:
    own = table["official"].isin(["test", "validation"]).sum()
    free = len(table) - own
    taken = 0.0
    for name in ("validation", "test"):
        if split[name] and not (table["official"] == name).any():
            taken += split[name]
    return round(free * (1 - taken))


def _batch_size(train: CommentedMap, images: int) -> tuple[str, str]:
    size = recipes = train["batch_size"]
    while size > SMALLEST_BATCH and images < BATCHES * size:
        size //= 2
    train["batch_size"] = size
    batches = math.ceil(images / size)
    why = "the recipe's" if size == recipes else f"not the recipe's {recipes}, for few images"
    return f"train.batch_size {size}", f"{why}: {images:,} to train make {batches:,} batches"


def _epochs(train: CommentedMap, images: int) -> tuple[str, str]:
    batches = math.ceil(images / train["batch_size"])
    least = {"epochs": STEPS}
    if "fine_tune_epochs" in train:
        least = {"epochs": PRETRAINED_STEPS, "fine_tune_epochs": TUNING_STEPS}
    recipes = {key: train[key] for key in least}
    for key, steps in least.items():
        train[key] = max(recipes[key], math.ceil(steps / batches))
    words = ", ".join(f"train.{key} {train[key]}" for key in least)
    more = any(train[key] > recipes[key] for key in least)
    return words, "more than the recipe's, for few images" if more else "the recipe's"
