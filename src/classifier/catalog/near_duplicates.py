"""Finds near-duplicates: images whose perceptual hashes differ in a few of their 64 bits."""

import json
import logging
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from classifier.support.atomic import atomic_folder, write_json

log = logging.getLogger(__name__)

PAIRS, SUMMARY = "pairs.csv", "summary.json"
MANY = 0.05  # of the images in one group: the hash does not tell them apart

BANDS, WIDTH = 4, 16  # bits of a hash: numbers that a table can count
CHUNK = 2**21  # candidates that are compared at once, which bounds the memory


def find_near_duplicates(
    table: pd.DataFrame, hashes: np.ndarray, known: np.ndarray, distance: int
) -> pd.DataFrame:
    """The pairs of images, not identical, whose hashes differ in at most ``distance`` bits.

    Of images with one hash, in one official split, only the first has pairs with other hashes:
    the others have one with it. So N frames of a film have some N pairs, not N * N / 2.

    Args:
        table: of :func:`classifier.catalog.manifest.list_images`.
        hashes: uint64, of each row.
        known: bool, whether a row has a hash.
        distance: bits, see :func:`near_pairs`.

    Returns:
        first and second, rows of the table, first < second, and distance; sorted.
    """
    rows = np.flatnonzero(known)
    images = pd.DataFrame(
        {"row": rows, "hash": hashes[rows], "official": table["official"].fillna("").iloc[rows]}
    )
    images["first"] = images.groupby(["hash", "official"])["row"].transform("min")
    of_hash = images[images["row"] == images["first"]]
    others = images[images["row"] != images["first"]]
    first, second, bits = near_pairs(of_hash["hash"].to_numpy(), distance)
    numbers = of_hash["row"].to_numpy()
    pairs = pd.DataFrame(
        {
            "first": np.concatenate([numbers[first], others["first"]]),
            "second": np.concatenate([numbers[second], others["row"]]),
            "distance": np.concatenate([bits, np.zeros(len(others), np.uint8)]),
        }
    )
    contents = table["sha256"].to_numpy()
    pairs = pairs[contents[pairs["first"]] != contents[pairs["second"]]]
    return pairs.sort_values(["first", "second"], ignore_index=True)


def summarize(
    table: pd.DataFrame, pairs: pd.DataFrame, *, distance: int, flat: int, undecodable: int
) -> dict[str, Any]:
    """What was found, in numbers, which are logged too.

    Args:
        pairs: of :func:`find_near_duplicates`.
        flat, undecodable: images without a hash.

    Returns:
        distance (bits); numbers of images (looked at), flat, undecodable, pairs, and pairs of
        two classes; largest, the images of the largest group that the pairs join.
    """
    classes = table["class"].to_numpy()
    differ = pairs[classes[pairs["first"]] != classes[pairs["second"]]]
    graph = coo_array(
        (np.ones(len(pairs)), (pairs["first"], pairs["second"])), shape=(len(table), len(table))
    )
    sizes = np.bincount(connected_components(graph, directed=False)[1])
    summary = {
        "distance": distance,
        "images": len(table) - flat - undecodable,
        "flat": flat,
        "undecodable": undecodable,
        "pairs": len(pairs),
        "of_two_classes": len(differ),
        "largest": int(sizes.max()) if len(pairs) else 0,
    }
    log.info(
        "near-duplicates within %d of 64 bits: %s pairs among %s images, the largest group has "
        "%s; passed over: %s flat, %s that cannot be decoded",
        distance,
        *(f"{summary[key]:,}" for key in ("pairs", "images", "largest", "flat", "undecodable")),
    )
    if len(differ):
        first, second = table["id"].iloc[differ.iloc[0][["first", "second"]].astype(int)]
        log.warning(
            "near-duplicates of two classes: %s pairs (%s, %s): check their labels",
            f"{len(differ):,}",
            first,
            second,
        )
    if summary["largest"] > max(MANY * len(table), 2):
        log.warning(
            "%s of %s images are one group of near-duplicates, in one split: if they are not "
            "alike, lower near_duplicates.distance, or set it to null",
            f"{summary['largest']:,}",
            f"{len(table):,}",
        )
    return summary


def write_near_duplicates(
    folder: Path, table: pd.DataFrame, pairs: pd.DataFrame | None, summary: dict[str, Any]
) -> None:
    """Writes pairs.csv and summary.json to a folder, atomically.

    Args:
        table: the manifest.
        pairs: of :func:`find_near_duplicates`; None writes the header alone.
    """
    columns: dict[str, np.ndarray] = {}
    for side in ("first", "second"):
        rows = table.iloc[[] if pairs is None else pairs[side]]
        columns |= {side: rows["id"].to_numpy(), f"{side}_split": rows["split"].to_numpy()}
    written = pd.DataFrame(columns | {"distance": [] if pairs is None else pairs["distance"]})
    with atomic_folder(folder) as temporary:
        written.to_csv(temporary / PAIRS, index=False, lineterminator="\n")
        write_json(temporary / SUMMARY, summary)


def read_near_duplicates(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The pairs and the summary that :func:`write_near_duplicates` wrote.

    The pairs have the columns first, first_split, second, second_split and distance.
    """
    text = dict.fromkeys(("first", "first_split", "second", "second_split"), str)
    pairs = pd.read_csv(folder / PAIRS, dtype=text | {"distance": int}, keep_default_na=False)
    return pairs, json.loads((folder / SUMMARY).read_text("utf-8"))


def near_pairs(hashes: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of hashes that differ in at most ``distance`` bits: none is missed.

    Of 4 bands of 16 bits, one differs in at most ``distance // 4`` bits, or the hashes differ in
    more than ``distance``. So only hashes with such a band are compared (multi-index hashing:
    M. Norouzi, A. Punjani, D. Fleet: Fast exact search in Hamming space with multi-index hashing,
    2014, https://arxiv.org/abs/1307.2982).

    Args:
        hashes: uint64 (N,).
        distance: bits, 0 or more. The time grows steeply with each 4 of them.

    Returns:
        The rows of the first and of the second hash, int64 (P,), first < second, sorted; and the
        bits in which they differ, uint8 (P,).
    """
    none = np.empty(0, np.int64)
    found = [(none, none, np.empty(0, np.uint8))]
    for band in range(BANDS):
        words = (hashes >> np.uint64(WIDTH * band)).astype(np.uint16).astype(np.int64)
        order = np.argsort(words, kind="stable")
        ends = np.cumsum(np.bincount(words, minlength=2**WIDTH))
        starts = np.concatenate([[0], ends[:-1]])
        for mask in _masks(distance // BANDS):
            # A pair whose words differ by the mask is met from both of its sides.
            wanted = words ^ mask
            for first, second in _joined(order, starts[wanted], ends[wanted]):
                first, second = first[first < second], second[first < second]
                bits = np.bitwise_count(hashes[first] ^ hashes[second])
                near = bits <= distance
                found.append((first[near], second[near], bits[near]))
    first, second, bits = (np.concatenate(part) for part in zip(*found, strict=True))
    # Hashes that are alike in several bands are found in each.
    _, rows = np.unique(first * len(hashes) + second, return_index=True)
    return first[rows], second[rows], bits[rows]


def _masks(most: int) -> list[int]:
    """The words of a band with at most so many bits."""
    return [
        sum(1 << bit for bit in bits)
        for count in range(most + 1)
        for bits in combinations(range(WIDTH), count)
    ]


def _joined(
    order: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each row with the rows ``order[starts[row]:ends[row]]``, some CHUNK of pairs at a time."""
    total = np.concatenate([[0], np.cumsum(ends - starts)])
    row = 0
    while row < len(starts):
        last = max(row + 1, int(np.searchsorted(total, total[row] + CHUNK, side="right")) - 1)
        lengths = ends[row:last] - starts[row:last]
        first = np.repeat(np.arange(row, last), lengths)
        inside = np.arange(lengths.sum()) - np.repeat(total[row:last] - total[row], lengths)
        yield first, order[np.repeat(starts[row:last], lengths) + inside]
        row = last
