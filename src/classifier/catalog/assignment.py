"""The split of each image: official splits, groups, near-duplicates and rare classes count."""

import logging
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from classifier.catalog.division import (
    by_hash,
    check_fold,
    counts_of,
    in_fold,
    log_shares,
    shares_of,
    stratify,
    stratify_groups,
)
from classifier.catalog.manifest import (
    DROPPED,
    LEFT_OUT,
    SPLITS,
    find_conflicts,
    find_duplicates,
)
from classifier.catalog.options import RareClasses, SplitOptions
from classifier.catalog.several_labels import stratify_labels
from classifier.support.errors import InputError

log = logging.getLogger(__name__)

SHOWN = 5  # rare classes that a line names


def assign_splits(
    table: pd.DataFrame,
    options: SplitOptions,
    *,
    near: pd.DataFrame | None = None,
    leaking: Literal["keep", "drop"] = "keep",
    has: np.ndarray | None = None,
) -> pd.DataFrame:
    """Fills the split column; identical images, and images of a group, are in the same split.

    An official test or validation split stays as it is; the other splits are made of the other
    images. Images that are identical to one of an official split are dropped from the others.

    Corrected images are divided as if they had their given classes, so that no other image moves
    because of a correction; all else goes by the corrected ones.

    Args:
        table: of :func:`list_images`, or of :func:`classifier.catalog.corrections.correct`.
        near: of :func:`classifier.catalog.near_duplicates.find_near_duplicates`: pairs of rows
            that are in the same split too.
        leaking: ``keep`` or ``drop`` near-duplicates of an official split in others.
        has: whether each row has each label, 0 or 1, (N, classes), where an image may have several.
            None where it has one. Rare labels are those of the caller to look after.

    Returns:
        The manifest, in the order of ``table``.

    Raises:
        InputError: there is no official test split, a split has no image of a class and
            ``rare_classes`` is ``fail``, fewer than two classes are left, there is nothing to train
            of a class, the splits need more images than there are, ``method`` is ``hash`` and a
            size is no fraction, there is no such fold, or a class has fewer images than there are
            folds.
    """
    corrected = "correction" in table
    removed = table["correction"] == DROPPED if corrected else pd.Series(False, table.index)
    table = table.assign(split="", bound=_bound(table, near), removed=removed)
    if options.conflicting_labels == "drop":
        table.loc[find_conflicts(table[~removed]).index, "split"] = DROPPED
    test = options.test
    if options.folds is None:
        own = _official(table, test, options.official)
    else:
        check_fold(options.fold, options.folds, options.method)
        own, test = pd.Series("", index=table.index, dtype=object), 0
    if options.duplicates == "drop":
        # Official images come first, so that the official splits keep all their images.
        places = own.map({"test": 0, "validation": 1}).fillna(2) + 3 * removed
        order = places.sort_values(kind="stable").index
        table.loc[find_duplicates(table.loc[order]).index, "split"] = DROPPED
    sizes = {
        "test": 0 if test is None else test,
        "validation": options.validation,
        "train": options.train,
    }
    kept = [name for name in ("test", "validation") if (own == name).any()]
    for name in kept:
        sizes[name] = 0
        table.loc[(own == name) & (table["split"] == ""), "split"] = name
        inside = table["sha256"].isin(table["sha256"][own == name])
        identical = (table["split"] == "") & (own != name) & inside
        table.loc[identical, "split"] = DROPPED
        if identical.any():
            log.warning("images identical to one of %s, dropped: %s", name, f"{identical.sum():,}")
        groups = set(table["group"][own == name].dropna()) & set(table["group"][own != name])
        if groups:
            log.warning(
                "groups that the dataset's own %s split shares with others: %s (%s)",
                name,
                f"{len(groups):,}",
                min(groups),
            )
        if near is not None:
            _leaks(table, own, near, name, leaking)
    if options.folds is not None:
        free = _as_given(table[table["split"] == ""])
        rows = in_fold(free, options.fold, options.folds, options.seed)
        table.loc[rows, "split"] = "test"
        log.info(
            "fold %d of %d is the test split: %s images",
            options.fold,
            options.folds,
            f"{len(rows):,}",
        )
    apart: dict[str, str] = {}
    while True:
        free = table[table["split"] == ""]
        grouped = free["bound"].nunique() < free["sha256"].nunique()
        if options.method == "hash":
            shares = shares_of(sizes)
            split = by_hash(free, shares, options.seed)
        else:
            counts = counts_of(sizes, len(free))
            rng = np.random.default_rng(options.seed)
            if has is not None:
                split = stratify_labels(free, has[table.index.get_indexer(free.index)], counts, rng)
            else:
                divide = stratify_groups if grouped else stratify
                split = divide(_as_given(free), counts, rng)
            shares = {name: count / len(free) for name, count in counts.items()}
        filled = table.assign(split=split.reindex(table.index).fillna(table["split"]))
        filled.loc[removed, "split"] = DROPPED
        rare = {} if has is not None else _rare(filled, [*apart])
        if not rare:
            break
        if options.rare_classes == "fail":
            raise InputError(_too_rare(filled, *next(iter(rare.items())), options.method, kept))
        apart |= {name: ", ".join(splits) for name, splits in rare.items()}
        table = _set_apart(table, [*rare], options.rare_classes)
    if apart:
        _log_apart(table, apart, options.rare_classes)
    if options.method == "hash" or grouped:
        log_shares(split, shares, options.method)
    internal = ["official", "group", "bound", "removed", *(["stratum"] if corrected else [])]
    return _renumbered(filled.drop(columns=internal))


def _as_given(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the labels before their correction."""
    return table.assign(label=table["stratum"]) if "stratum" in table else table


def _official(table: pd.DataFrame, test: float | None, official: str) -> pd.Series:
    """The official split of each row that keeps it: test, validation, or empty."""
    if test is None and official == "ignore":
        raise InputError("test is null, but official is ignore: set test")
    if test is None and not (table["official"] == "test").any():
        raise InputError("test is null, but the dataset has no official test split: set test")
    respected = ("test", "validation") if official == "respect" else ()
    own = table["official"].where(table["official"].isin(respected), "").astype(object)
    counts = table["official"].value_counts()
    for name in respected:
        if counts.get(name, 0) and not (name == "test" and test is None):
            log.info(
                "%s is the dataset's own split, %s images, whatever split.%s says "
                "(official: respect)",
                name,
                f"{counts[name]:,}",
                name,
            )
    if official == "ignore" and len(counts):
        log.warning("the dataset's own splits are ignored: all images are split anew")
    return own


def _leaks(
    table: pd.DataFrame, own: pd.Series, near: pd.DataFrame, name: str, leaking: str
) -> None:
    """Logs which near-duplicates the official split ``name`` shares with others, or drops them."""
    inside = (own == name).to_numpy()
    crossing = near[inside[near["first"]] != inside[near["second"]]]
    # The one in the official split first.
    swapped = inside[crossing["second"]]
    official = np.where(swapped, crossing["second"], crossing["first"])
    other = np.where(swapped, crossing["first"], crossing["second"])
    used = (table["split"].iloc[official] == name) & (table["split"].iloc[other] == "").to_numpy()
    official, other = official[used], other[used]
    if not len(other):
        return
    rows = np.unique(other)
    examples = ", ".join(
        f"{table['id'].iloc[row]} and {table['id'].iloc[of]}"
        for row, of in zip(other[:3], official, strict=False)
    )
    log.warning(
        "near-duplicates that the dataset's own %s split shares with others: %s pairs, %s images "
        "of others (leaking: %s): %s",
        name,
        f"{len(other):,}",
        f"{len(rows):,}",
        leaking,
        examples,
    )
    if leaking == "drop":
        table.loc[table.index[rows], "split"] = DROPPED


def _bound(table: pd.DataFrame, near: pd.DataFrame | None) -> pd.Series:
    """What binds a row to others in one split: its group, or else its content.

    Identical images and near-duplicates of two groups make one group of them. Near-duplicates
    without a group have the smallest of their hashes.
    """
    grouped = table["group"].notna()
    if not grouped.any() and (near is None or near.empty):
        return table["sha256"]
    contents, _ = pd.factorize(table["sha256"])
    groups, names = pd.factorize(table["group"].where(grouped))
    count = contents.max() + 1
    ends = [(contents[grouped], count + groups[grouped])]
    if near is not None:
        ends.append((contents[near["first"]], contents[near["second"]]))
    edges = tuple(np.concatenate(side) for side in zip(*ends, strict=True))
    nodes = count + len(names)
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(nodes, nodes))
    component = pd.Series(connected_components(graph, directed=False)[1][contents], table.index)
    first = table["group"].groupby(component).transform("min")
    content = table["sha256"].groupby(component).transform("min")
    return ("group " + first).where(first.notna(), content)


def _rare(table: pd.DataFrame, apart: list[str]) -> dict[str, list[str]]:
    """The splits that have no image of a class, by class, but for the classes ``apart``."""
    counts = pd.crosstab(table["class"], table["split"]).reindex(columns=SPLITS, fill_value=0)
    empty = counts[~counts.index.isin(apart)] == 0
    lacking = empty[empty.any(axis=1)].sort_values([*SPLITS], ascending=False, kind="stable")
    return {
        str(name): [split for split in SPLITS if row[split]] for name, row in lacking.iterrows()
    }


def _too_rare(
    table: pd.DataFrame, name: str, splits: list[str], method: str, official: list[str]
) -> str:
    counts = table["split"][table["class"] == name].value_counts()
    images, split = len(table[table["class"] == name]), splits[0]
    others = "set rare_classes: drop or train_only"
    if split in official or (official and images == counts.reindex(official).sum()):
        return (
            f"class '{name}' has no image in {split}, by the dataset's own splits: add images, "
            f"leave it out with split.classes, set official: ignore, or {others}"
        )
    if method == "hash":
        return (
            f"class '{name}' has {images} images, and by hash none of them is in {split}: "
            f"add images, enlarge the split, set method: stratified, or {others}"
        )
    return (
        f"class '{name}' has too few images to split: {images}, and none of them is in {split}; "
        f"add images, change the sizes of the splits, or {others}"
    )


def _set_apart(table: pd.DataFrame, rare: list[str], rare_classes: RareClasses) -> pd.DataFrame:
    """The table with the images of rare classes in no split or in train; the others as before."""
    of_rare = table["class"].isin(rare)
    if rare_classes == "drop":
        table = table.assign(
            split=table["split"].mask(of_rare, DROPPED),
            label=table["label"].mask(of_rare, LEFT_OUT),
        )
        left = table["class"][table["label"] != LEFT_OUT].unique()
        if len(left) < 2:
            names = f"one class is left, '{left[0]}'" if len(left) else "no class is left"
            raise InputError(
                f"rare_classes is drop: {names}: add images, or change the sizes of the splits"
            )
        return table
    free = table["split"] == ""
    bound = table["bound"].isin(table["bound"][of_rare & free])
    table = table.assign(split=table["split"].mask(bound & free, "train"))
    trained = (table["split"] == "train") & ~table["removed"]
    for name in sorted(set(rare) - set(table["class"][trained])):
        raise InputError(
            f"rare_classes is train_only, but class '{name}' has no image to train on: add images, "
            "leave it out with split.classes, or set rare_classes: drop"
        )
    return table


def _log_apart(table: pd.DataFrame, apart: dict[str, str], rare_classes: RareClasses) -> None:
    counts = table["class"].value_counts()
    named = [f"{name} ({counts[name]}, none in {splits})" for name, splits in apart.items()]
    rest = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    done = "left out" if rare_classes == "drop" else "to train only"
    log.warning(
        "rare classes, %s: %d, with %s images: %s%s",
        done,
        len(apart),
        f"{counts[list(apart)].sum():,}",
        ", ".join(named[:SHOWN]),
        rest,
    )


def _renumbered(table: pd.DataFrame) -> pd.DataFrame:
    """The table with labels 0, 1, 2, … for the classes that are not left out."""
    old = sorted(set(table["label"]) - {LEFT_OUT})
    numbers = {label: number for number, label in enumerate(old)} | {LEFT_OUT: LEFT_OUT}
    return table.assign(label=table["label"].map(numbers))
