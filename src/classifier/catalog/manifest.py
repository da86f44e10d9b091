"""The manifest: a table with one row per image, and the split of each image.

Columns: id (str, unique), class (str), label (int, the index of the class; -1 for a class that is
left out), sha256 (str, of the image's content), split (train, validation, test or dropped).
"""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from classifier.support.atomic import atomic_path
from classifier.support.errors import InputError, nearest

if TYPE_CHECKING:
    from classifier.catalog.raw import RawImage

log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
DROPPED = "dropped"
LEFT_OUT = -1  # the label of a class that is left out
SHOWN = 5  # rare classes that a line names
RareClasses = Literal["fail", "drop", "train_only"]


def chosen_classes(classes: list[str], chosen: list[str] | None) -> list[str]:
    """The chosen classes in the chosen order, or all ``classes`` if ``chosen`` is None.

    Raises:
        InputError: the dataset does not have a chosen class, or there are fewer than two.
    """
    if chosen is None:
        return classes
    for name in chosen:
        if name not in classes:
            raise InputError(
                f"classes: the dataset has no class '{name}': {nearest(name, classes)}"
            )
    if len(set(chosen)) < max(2, len(chosen)):
        raise InputError(f"classes is {chosen}: must be two or more different classes")
    return chosen


def list_images(images: "Iterable[RawImage]", classes: list[str]) -> pd.DataFrame:
    """Makes the manifest, without ``split``, and with two columns more, which may be None.

    They are ``official`` (train, validation or test) and ``group`` (of what belongs in one split).

    Args:
        images: those of other classes than ``classes`` are left out.
        classes: class names in the order of the labels.

    Raises:
        InputError: two images have the same id.
    """
    labels = {name: label for label, name in enumerate(classes)}
    table = pd.DataFrame(
        (
            (
                image.id,
                image.class_name,
                labels[image.class_name],
                _sha256(image),
                image.official,
                image.group,
            )
            for image in images
            if image.class_name in labels
        ),
        columns=["id", "class", "label", "sha256", "official", "group"],
    )
    repeated = table["id"][table["id"].duplicated()]
    if len(repeated):
        raise InputError(
            f"two images have the id '{repeated.iloc[0]}': names must be unique within a class"
        )
    return table


def _sha256(image: "RawImage") -> str:
    content = image.content
    return hashlib.sha256(content if isinstance(content, bytes) else content.tobytes()).hexdigest()


def find_conflicts(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of images that have two or more classes, sorted so that identical images adjoin."""
    classes = table.groupby("sha256")["label"].transform("nunique")
    return table[classes > 1].sort_values(["sha256", "id"])


def find_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that repeat the image and the class of an earlier row."""
    return table[table.duplicated(["sha256", "label"])]


def assign_splits(
    table: pd.DataFrame,
    *,
    validation: float,
    test: float | None,
    train: float | None = None,
    seed: int,
    method: Literal["stratified", "hash"] = "stratified",
    official: Literal["respect", "ignore"] = "respect",
    folds: int | None = None,
    fold: int = 1,
    duplicates: str = "keep",
    conflicting_labels: str = "drop",
    rare_classes: RareClasses = "fail",
    near: pd.DataFrame | None = None,
    leaking: Literal["keep", "drop"] = "keep",
) -> pd.DataFrame:
    """Fills the split column; identical images, and images of a group, are in the same split.

    An official test or validation split stays as it is; the other splits are made of the other
    images. Images that are identical to one of an official split are dropped from the others.

    Args:
        table: of :func:`list_images`.
        validation, test, train: a fraction of the images if below 1, otherwise their number.
            ``test=None`` wants the dataset's official test split. ``train=None`` takes all
            images that the other two leave. An official split has its own size.
        seed: of the random assignment.
        method: ``stratified`` gives each split its exact number of images, and the same share of
            each class. ``hash`` takes the split from the seed and the image's content alone, so
            that no image changes its split when others are added, renamed or removed. It needs
            fractions, meets them on average only, and logs the shares that it gave. With groups
            or near-duplicates, ``stratified`` meets the sizes, and the shares of the classes,
            as nearly as these allow, and logs them too.
        official: ``ignore`` splits all images anew.
        folds: divides all images into this many folds for cross-validation, whatever ``test`` and
            ``official`` say; ``validation`` and ``train`` divide what is not in the fold.
        fold: the number of the fold that is the test split, from 1 on.
        duplicates: ``keep`` repeated images of a class, or ``drop`` all but the first.
        conflicting_labels: ``keep`` or ``drop`` images that have two or more classes.
        rare_classes: what happens to a class of which a split would have no image. ``drop`` leaves
            it out, with the label -1. ``train_only`` trains on all its images, and what is bound to
            them, but for those of an official split. The others are split as if it were not there.
        near: of :func:`classifier.catalog.near_duplicates.find_near_duplicates`: pairs of rows
            that are in the same split too.
        leaking: ``keep`` or ``drop`` near-duplicates of an official split in others.

    Returns:
        The manifest, in the order of ``table``.

    Raises:
        InputError: there is no official test split, a split has no image of a class and
            ``rare_classes`` is ``fail``, fewer than two classes are left, there is nothing to train
            of a class, the splits need more images than there are, ``method`` is ``hash`` and a
            size is no fraction, there is no such fold, or a class has fewer images than there are
            folds.
    """
    table = table.assign(split="", bound=_bound(table, near))
    if conflicting_labels == "drop":
        table.loc[find_conflicts(table).index, "split"] = DROPPED
    if folds is None:
        own = _official(table, test, official)
    else:
        _check_fold(fold, folds, method)
        own, test = pd.Series("", index=table.index, dtype=object), 0
    if duplicates == "drop":
        # Official images come first, so that the official splits keep all their images.
        order = own.map({"test": 0, "validation": 1}).fillna(2).sort_values(kind="stable").index
        table.loc[find_duplicates(table.loc[order]).index, "split"] = DROPPED
    sizes = {"test": 0 if test is None else test, "validation": validation, "train": train}
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
    if folds is not None:
        rows = _in_fold(table[table["split"] == ""], fold, folds, seed)
        table.loc[rows, "split"] = "test"
        log.info("fold %d of %d is the test split: %s images", fold, folds, f"{len(rows):,}")
    apart: dict[str, str] = {}
    while True:
        free = table[table["split"] == ""]
        grouped = free["bound"].nunique() < free["sha256"].nunique()
        if method == "hash":
            shares = _shares(sizes)
            split = _by_hash(free, shares, seed)
        else:
            counts = _counts(sizes, len(free))
            stratify = _stratify_groups if grouped else _stratify
            split = stratify(free, counts, np.random.default_rng(seed))
            shares = {name: count / len(free) for name, count in counts.items()}
        filled = table.assign(split=split.reindex(table.index).fillna(table["split"]))
        rare = _rare(filled, [*apart])
        if not rare:
            break
        if rare_classes == "fail":
            raise InputError(_too_rare(filled, *next(iter(rare.items())), method, kept))
        apart |= {name: ", ".join(splits) for name, splits in rare.items()}
        table = _set_apart(table, [*rare], rare_classes)
    if apart:
        _log_apart(table, apart, rare_classes)
    if method == "hash" or grouped:
        _log_shares(split, shares, method)
    return _renumbered(filled.drop(columns=["official", "group", "bound"]))


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


def _check_fold(fold: int, folds: int, method: str) -> None:
    if fold > folds:
        raise InputError(f"fold is {fold}: must be at most {folds}, the number of folds")
    if method == "hash":
        raise InputError("method is hash, which makes no folds: set method: stratified")


def _in_fold(free: pd.DataFrame, fold: int, folds: int, seed: int) -> pd.Index:
    """The rows of one fold. Each row is in one fold; what is bound together is in the same one."""
    from sklearn.model_selection import StratifiedGroupKFold

    for name, images in free.groupby("class")["bound"].nunique().items():
        if images < folds:
            raise InputError(
                f"class '{name}' has {images} different images, too few for {folds} folds: add "
                "images or take fewer folds"
            )
    free = free.sort_values("bound", kind="stable")  # the order of the files does not count
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    parts = splitter.split(free, free["label"], groups=free["bound"])
    rows = [test for _, test in parts][fold - 1]
    return free.index[rows]


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


def _counts(sizes: dict[str, float | None], total: int) -> dict[str, int]:
    """The number of images of each split. A ``train`` of None takes what the others leave."""
    counts = {name: _count(name, size, total) for name, size in sizes.items() if size is not None}
    rest = total - counts["test"] - counts["validation"]
    train = counts.setdefault("train", rest)
    if rest <= 0 or train > rest:
        raise InputError(
            f"{total} images are too few for {train if sizes['train'] else 'some'} to train, "
            f"{counts['validation']} to validate and {counts['test']} to test"
        )
    return counts


def _count(name: str, size: float, total: int) -> int:
    if size >= 1 and size != int(size):
        raise InputError(
            f"{name} is {size}: must be a fraction below 1 or a whole number of images"
        )
    return round(size * total) if size < 1 else int(size)


def _shares(sizes: dict[str, float | None]) -> dict[str, float]:
    """The fraction of each split. A ``train`` of None takes what the others leave."""
    for name, size in sizes.items():
        if size is not None and size >= 1:
            raise InputError(
                f"{name} is {size:g}: method hash needs a fraction below 1, as a number of images "
                "moves images when others come; set a fraction, or method: stratified"
            )
    shares = {name: size for name, size in sizes.items() if size is not None}
    total = sum(shares.values())
    # Decimal fractions that add up to 1 may be a rounding error above it as binary ones.
    if total > 1 + 1e-9 or (sizes["train"] is None and total > 1 - 1e-9):
        parts = ", ".join(f"{name} {shares[name]:g}" for name in SPLITS if shares.get(name))
        limit = "below 1, to leave images to train" if sizes["train"] is None else "at most 1"
        raise InputError(f"the fractions {parts} add up to {total:g}: must be {limit}")
    return {"train": 1 - total} | shares


def _by_hash(free: pd.DataFrame, shares: dict[str, float], seed: int) -> pd.Series:
    """The split of each row, by a number in [0, 1) from the seed and the image's content alone."""
    numbers = np.array(
        [
            # 52 bits: a float has them all.
            int(hashlib.sha256(f"{seed} {content}".encode()).hexdigest()[:13], 16) / 2**52
            for content in free["bound"]
        ]
    )
    # In this order another ``train`` changes neither of the splits that compare models.
    names = ("test", "validation", "train")
    ends = np.cumsum([shares[name] for name in names])
    split = np.array([*names, DROPPED])[np.searchsorted(ends, numbers, side="right")]
    return pd.Series(split, index=free.index, dtype=object)


def _log_shares(split: pd.Series, shares: dict[str, float], method: str) -> None:
    met = split.value_counts(normalize=True)
    parts = (
        f"{name} {100 * met.get(name, 0):.2f} % (wanted {100 * shares[name]:.2f} %)"
        for name in SPLITS
        if shares[name]
    )
    by = "by hash" if method == "hash" else "by group"
    log.info("split %s, %s images: %s", by, f"{len(split):,}", ", ".join(parts))


def _stratify(free: pd.DataFrame, counts: dict[str, int], rng: np.random.Generator) -> pd.Series:
    """The split of each row: a random split per class, and one split for identical images.

    scikit-learn's splitters are stratified or grouped, or do not give exact counts.
    """
    split = pd.Series(DROPPED, index=free.index)
    # Identical images of two classes are assigned with the class of the first.
    first = free.drop_duplicates("bound")
    per_class = {name: _apportion(first, count, len(free)) for name, count in counts.items()}
    split_of: dict[str, str] = {}
    for label in sorted(first["label"].unique()):
        groups = first["bound"][first["label"] == label].to_numpy(dtype=str)
        groups = rng.permutation(np.sort(groups))
        start = 0
        for name in ("test", "validation", "train"):
            end = start + per_class[name][label]
            split_of.update(dict.fromkeys(groups[start:end], name))
            start = end
        # Rounding may leave images over. They are for training if all images are to be used.
        if sum(counts.values()) == len(free):
            split_of.update(dict.fromkeys(groups[start:], "train"))
    split.update(free["bound"].map(split_of))
    return split


def _stratify_groups(
    free: pd.DataFrame, counts: dict[str, int], rng: np.random.Generator
) -> pd.Series:
    """The split of each row: one per group, and of each class about the share that is wanted.

    From the largest group to the smallest, and of equal ones in random order, each goes to the
    split that lacks most of its classes. scikit-learn's StratifiedGroupKFold does the like, for
    parts of one size.
    """
    names = ("test", "validation", "train", DROPPED)
    shares = np.array([counts[name] / len(free) for name in names[:3]])
    shares = np.append(shares, max(0.0, 1 - shares.sum()))
    groups, number = pd.factorize(free["bound"], sort=True)
    labels, _ = pd.factorize(free["label"], sort=True)
    sizes = np.bincount(labels)
    lacking = np.outer(shares, sizes)  # images, by split and class
    order = rng.permutation(len(number))
    order = order[np.argsort(-np.bincount(groups)[order], kind="stable")]
    by_group = np.argsort(groups, kind="stable")
    ends = np.cumsum(np.bincount(groups))
    chosen = np.empty(len(number), int)
    for group in order:
        rows = by_group[ends[group - 1] if group else 0 : ends[group]]
        classes, images = np.unique(labels[rows], return_counts=True)
        # What adds least to the sum of squares of what is lacking, as shares of the classes.
        wanted = lacking[:, classes] @ (images / sizes[classes] ** 2)
        chosen[group] = np.where(shares > 0, wanted, -np.inf).argmax()
        lacking[chosen[group], classes] -= images
    return pd.Series(np.array(names, dtype=object)[chosen[groups]], index=free.index)


def _apportion(first: pd.DataFrame, count: int, total: int) -> dict[int, int]:
    """Divides ``count`` images among the classes in proportion to their sizes.

    The classes with the largest remainders are rounded up (the method of Hamilton).
    """
    labels, sizes = np.unique(first["label"].to_numpy(dtype=int), return_counts=True)
    exact = dict(zip(labels.tolist(), (sizes * count / total).tolist(), strict=True))
    rounded = {label: int(share) for label, share in exact.items()}
    missing = max(0, round(count * len(first) / total) - sum(rounded.values()))
    for label in sorted(rounded, key=lambda label: rounded[label] - exact[label])[:missing]:
        rounded[label] += 1
    return rounded


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
    for name in sorted(set(rare) - set(table["class"][table["split"] == "train"])):
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


def class_names(table: pd.DataFrame) -> list[str]:
    """The class names of a manifest, in the order of the labels, without those left out."""
    kept = table[table["label"] != LEFT_OUT]
    return kept.drop_duplicates("label").sort_values("label")["class"].tolist()


def left_out(table: pd.DataFrame) -> dict[str, int]:
    """The numbers of images of the classes that are left out."""
    counts = table["class"][table["label"] == LEFT_OUT].value_counts(sort=False)
    return {str(name): int(count) for name, count in counts.items()}


def write_manifest(path: Path, table: pd.DataFrame) -> None:
    """Writes the table as CSV, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_manifest(path: Path) -> pd.DataFrame:
    """Reads a manifest. Ids and classes are text, even if they look like numbers."""
    return pd.read_csv(
        path, dtype={"id": str, "class": str, "sha256": str, "split": str}, keep_default_na=False
    )


def split_digest(table: pd.DataFrame, split: str) -> str:
    """The SHA-256, in hexadecimal, of the images and classes of a split."""
    rows = table[table["split"] == split].sort_values("id")
    return hashlib.sha256(rows[["sha256", "class"]].to_csv(index=False).encode()).hexdigest()
