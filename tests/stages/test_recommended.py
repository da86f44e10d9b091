"""The sections that `stages.new` writes."""

from collections import Counter
from collections.abc import Sequence

import pytest

from classifier.formats.contents import Entry
from classifier.inspection.near_duplicates import NearDuplicates
from classifier.inspection.pictures import Pictures
from conftest import ROOT
from stages.recommended import Recommended, recommend

PICTURES = Pictures(Counter(JPEG=60), [(300, 200)] * 60, 60, 0, 0, [])


def recommended(
    entries: Sequence[Entry], pairs: Sequence[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> Recommended:
    monkeypatch.chdir(ROOT)
    near = [(entries[first], entries[second]) for first, second in pairs]
    near.sort(key=lambda pair: pair[0].split == pair[1].split)
    return recommend(entries, PICTURES, NearDuplicates(len(entries), len(entries), near))


def entries(split: str = "") -> list[Entry]:
    names = [f"{number % 3}/{number:02d}.jpg" for number in range(60)]
    return [Entry(name, name, name[0], split) for name in names]


def test_near_duplicates_stay_in_one_split(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = recommended(entries(), [(0, 3), (1, 4)], monkeypatch)
    assert chosen.sections["split"] == {
        "validation": 0.15,
        "test": 0.15,
        "seed": 7,
        "near_duplicates": {"distance": 4},
    }
    why = dict(chosen.reasons)["split.near_duplicates.distance 4"]
    assert why == "2 pairs were found: each stays in one split"
    assert chosen.problems == []


def test_near_duplicates_of_official_splits_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    official = [*entries("train")[:45], *entries("test")[45:]]
    chosen = recommended(official, [(0, 3), (0, 48)], monkeypatch)
    assert chosen.sections["split"]["test"] is None
    why = dict(chosen.reasons)["split.near_duplicates.distance 4"]
    assert why.endswith("each stays in one split, but for those of the dataset's own splits")


def test_without_near_duplicates_there_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = recommended(entries(), [], monkeypatch)
    assert "near_duplicates" not in chosen.sections["split"]


def test_a_class_of_one_scene_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = [(number, number + 3) for number in range(0, 57, 3)]
    chosen = recommended(entries(), chain, monkeypatch)
    assert "near_duplicates" not in chosen.sections["split"]
    (problem,) = chosen.problems
    assert problem.startswith("near-duplicates may be in two splits: if each pair is in one, class")
