"""The manifest: a table with one row per image, and the split of each image.

Columns: id (str, unique), class (str), label (int, the index of the class), sha256 (str, of the
image's content), split (train, validation, test or dropped).
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
    duplicates: str = "keep",
    conflicting_labels: str = "drop",
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
        duplicates: ``keep`` repeated images of a class, or ``drop`` all but the first.
        conflicting_labels: ``keep`` or ``drop`` images that have two or more classes.
        near: of :func:`classifier.catalog.near_duplicates.find_near_duplicates`: pairs of rows
            that are in the same split too.
        leaking: ``keep`` or ``drop`` near-duplicates of an official split in others.

    Returns:
        The manifest, in the order of ``table``.

    Raises:
        InputError: there is no official test split, a split has no image of a class, the splits
            need more images than there are, or ``method`` is ``hash`` and a size is no fraction.
    """
    table = table.assign(split="", bound=_bound(table, near))
    if conflicting_labels == "drop":
        table.loc[find_conflicts(table).index, "split"] = DROPPED
    own = _official(table, test, official)
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
    if method == "hash" or grouped:
        _log_shares(split, shares, method)
    table.loc[free.index, "split"] = split
    _check_every_class(table, method, kept)
    return table.drop(columns=["official", "group", "bound"])


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


def _check_every_class(table: pd.DataFrame, method: str, official: list[str]) -> None:
    counts = pd.crosstab(table["class"], table["split"])
    for split, of_split in counts.reindex(columns=SPLITS, fill_value=0).items():
        for name in of_split.index[of_split == 0]:
            images = int(counts.loc[name].sum())
            if split in official or (official and images == counts.loc[name, official].sum()):
                raise InputError(
                    f"class '{name}' has no image in {split}, by the dataset's own splits: add "
                    "images, leave it out with split.classes, or set official: ignore"
                )
            if method == "hash":
                raise InputError(
                    f"class '{name}' has {images} images, and by hash none of them is in {split}: "
                    "add images, enlarge the split, or set method: stratified"
                )
            raise InputError(
                f"class '{name}' has too few images to split: {images}, "
                f"and none of them is in {split}; add images or change the sizes of the splits"
            )


def class_names(table: pd.DataFrame) -> list[str]:
    """The class names of a manifest, in the order of the labels."""
    return table.drop_duplicates("label").sort_values("label")["class"].tolist()


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
