"""Near-duplicates: every pair within the distance, and what is said of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classifier.catalog import near_duplicates
from classifier.catalog.near_duplicates import (
    find_near_duplicates,
    near_pairs,
    read_near_duplicates,
    summarize,
    write_near_duplicates,
)


def families(size: int, seed: int = 0) -> np.ndarray:
    """Hashes of which many differ in a few bits, and some are equal."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, size // 10, np.uint64, endpoint=False)[
        rng.integers(0, size // 10, size)
    ]
    for _ in range(4):
        turned = np.uint64(1) << rng.integers(0, 64, size).astype(np.uint64)
        hashes = np.where(rng.random(size) < 0.35, hashes ^ turned, hashes)
    return hashes


@pytest.mark.parametrize(
    ("distance", "chunk"), [(0, 50), (4, 50), *((distance, 2**21) for distance in range(11))]
)
def test_pairs_are_those_of_brute_force(
    distance: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "CHUNK", chunk)
    hashes = families(300)
    bits = np.bitwise_count(hashes[:, None] ^ hashes[None])
    rows, columns = np.nonzero(np.triu(bits <= distance, 1))
    first, second, found = near_pairs(hashes, distance)
    assert len(first) > 20
    assert first.tolist() == rows.tolist()
    assert second.tolist() == columns.tolist()
    assert found.tolist() == bits[rows, columns].tolist()


@pytest.mark.parametrize("size", [0, 1])
def test_no_pair_of_fewer_than_two(size: int) -> None:
    assert [len(part) for part in near_pairs(np.zeros(size, np.uint64), 4)] == [0, 0, 0]


def images(size: int, official: list[str] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "id": [f"cat/{number}" for number in range(size)],
            "class": "cat",
            "label": 0,
            "sha256": [f"{number:04x}" for number in range(size)],
            "group": None,
        }
    )
    return table.assign(official=official or None)


def listed(pairs: pd.DataFrame) -> list[list[int]]:
    return pairs[["first", "second", "distance"]].to_numpy().tolist()


def test_a_thousand_equal_frames_have_a_thousand_pairs() -> None:
    hashes = np.full(1000, 7, np.uint64)
    hashes[999] = 6
    pairs = find_near_duplicates(images(1000), hashes, np.ones(1000, bool), 4)
    assert listed(pairs) == [[0, n, 0] for n in range(1, 999)] + [[0, 999, 1]]


def test_each_official_split_has_pairs_of_its_own() -> None:
    table = images(4, ["train", "train", "test", "test"])
    pairs = find_near_duplicates(table, np.zeros(4, np.uint64), np.ones(4, bool), 0)
    assert listed(pairs) == [[0, 1, 0], [0, 2, 0], [2, 3, 0]]


def test_identical_images_and_those_without_a_hash_are_no_pairs() -> None:
    table = images(4)
    table.loc[1, "sha256"] = table["sha256"][0]
    known = np.array([True, True, False, False])
    assert listed(find_near_duplicates(table, np.zeros(4, np.uint64), known, 4)) == []


def test_what_was_found_is_said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level("INFO")
    table = images(40)
    table.loc[1, "class"] = "dog"
    hashes = np.arange(1, 41, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashes[:3] = [0, 1, 3]
    known = np.arange(40) < 37
    pairs = find_near_duplicates(table, hashes, known, 1)
    summary = summarize(table, pairs, distance=1, flat=2, undecodable=1)
    assert caplog.messages == [
        "near-duplicates within 1 of 64 bits: 2 pairs among 37 images, the largest group has 3; "
        "passed over: 2 flat, 1 that cannot be decoded",
        "near-duplicates of two classes: 2 pairs (cat/0, cat/1): check their labels",
        "3 of 40 images are one group of near-duplicates, in one split: if they are not alike, "
        "lower near_duplicates.distance, or set it to null",
    ]
    write_near_duplicates(tmp_path / "tiny", table.assign(split="train"), pairs, summary)
    written, read = read_near_duplicates(tmp_path / "tiny")
    assert read == summary
    assert written.to_dict("records")[0] == {
        "first": "cat/0",
        "first_split": "train",
        "second": "cat/1",
        "second_split": "train",
        "distance": 1,
    }


def test_not_looked_for_is_a_table_without_rows(tmp_path: Path) -> None:
    table = images(2).assign(split="train")
    write_near_duplicates(tmp_path / "tiny", table, None, {"distance": None})
    pairs, summary = read_near_duplicates(tmp_path / "tiny")
    assert (len(pairs), summary) == (0, {"distance": None})
    assert list(pairs) == ["first", "first_split", "second", "second_split", "distance"]
