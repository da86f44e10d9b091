"""How images are divided into splits: stratified, by hash, or into folds."""

import hashlib
import logging

import numpy as np
import pandas as pd

from classifier.catalog.manifest import DROPPED, SPLITS
from classifier.support.errors import InputError

log = logging.getLogger(__name__)


def check_fold(fold: int, folds: int, method: str) -> None:
    if fold > folds:
        raise InputError(f"fold is {fold}: must be at most {folds}, the number of folds")
    if method == "hash":
        raise InputError("method is hash, which makes no folds: set method: stratified")


def in_fold(free: pd.DataFrame, fold: int, folds: int, seed: int) -> pd.Index:
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


def counts_of(sizes: dict[str, float | None], total: int) -> dict[str, int]:
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


def shares_of(sizes: dict[str, float | None]) -> dict[str, float]:
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


def by_hash(free: pd.DataFrame, shares: dict[str, float], seed: int) -> pd.Series:
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


def log_shares(split: pd.Series, shares: dict[str, float], method: str) -> None:
    met = split.value_counts(normalize=True)
    parts = (
        f"{name} {100 * met.get(name, 0):.2f} % (wanted {100 * shares[name]:.2f} %)"
        for name in SPLITS
        if shares[name]
    )
    by = "by hash" if method == "hash" else "by group"
    log.info("split %s, %s images: %s", by, f"{len(split):,}", ", ".join(parts))


def stratify(free: pd.DataFrame, counts: dict[str, int], rng: np.random.Generator) -> pd.Series:
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


def stratify_groups(
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
