"""Images that lie in no layout: one line says what there is, and which layout was meant."""

from typing import Any

import pytest

from classifier.layouts.error import LayoutError
from classifier.layouts.find import find_layout
from classifier.layouts.survey import Survey
from classifier.layouts.wanted import Wanted

LABELS = b"this,that\n1,2\n"
NUMBERED = [f"all/{kind}.{number}.jpg" for kind in ("cat", "dog") for number in range(3)]

BAD: dict[str, tuple[list[str], dict[str, bytes], dict[str, Any], str]] = {
    "one class": (
        ["cats/1.jpg", "cats/2.jpg"],
        {},
        {},
        "photos: all 2 images that are taken have one class, 'cats' .layout: classes, as in "
        "cats/1.jpg.; put the images of each class in a folder of its own, or add a table",
    ),
    "no class folder": (["1.jpg"], {}, {}, "photos: no image has a class .layout: classes"),
    "names that tell the class": (
        NUMBERED,
        {},
        {},
        "one class, 'all' .*; probably meant is layout: pattern .* which finds cat, dog in the",
    ),
    "a table beside": (
        ["images/1.jpg", "images/2.jpg"],
        {"labels.csv": LABELS},
        {},
        "'images' .*; probably meant is layout: table, but labels.csv: no column has the usual",
    ),
    "splits alone": (
        ["train/1.jpg", "test/2.jpg"],
        {},
        {},
        "photos: 'test', 'train' have no class folders for the labels: add a folder a class below",
    ),
    "a split beside classes": (
        ["test/1.jpg", "cats/2.jpg", "dogs/3.jpg"],
        {},
        {},
        "photos: 'test' is named like a split, and lies beside 2 other folders .'cats'.: set layou",
    ),
    "names below splits": (
        [f"train/{kind}.{n}.jpg" for kind in ("cat", "dog") for n in range(3)] + ["test1/1.jpg"],
        {},
        {},
        "photos: 'train': no class folders are below; probably meant is layout: pattern",
    ),
    "nothing to train on": (
        ["val/a/1.jpg", "test/b/1.jpg"],
        {},
        {},
        "photos: all images are in the split test or validation, and none is left to train",
    ),
    "a pattern without a class": (NUMBERED, {}, {"pattern": r"\d"}, "has no group named class"),
    "no pattern": (NUMBERED, {}, {"pattern": "(?P<class>"}, r"'\(\?P<class>' is no regular expres"),
    "a pattern that matches nothing": (
        NUMBERED,
        {},
        {"pattern": "(?P<class>owl)"},
        "matches none of 6 images of photos, for example 'cat.0.jpg': change the pattern",
    ),
    "layout pattern alone": (NUMBERED, {}, {"layout": "pattern"}, "needs a pattern: add pattern"),
    "layout table alone": (NUMBERED, {}, {"layout": "table"}, "there is none .*: add one beside"),
    "a pattern for another layout": (
        NUMBERED,
        {},
        {"layout": "classes", "pattern": "x"},
        "pattern is for layout: pattern, not classes: remove one",
    ),
    "columns for another layout": (
        NUMBERED,
        {},
        {"layout": "splits", "columns": {"path": "x"}},
        "table and columns are for layout: table, not splits: remove one",
    ),
}


@pytest.mark.fault("photos in no layout", "one line: what there is, and what was meant")
@pytest.mark.parametrize("name", BAD)
def test_images_in_no_layout(name: str) -> None:
    names, tables, wanted, expected = BAD[name]
    with pytest.raises(LayoutError, match=expected) as raised:
        find_layout(Survey("photos", names, tables, []), Wanted(**wanted))
    assert "\n" not in str(raised.value)


def test_the_pattern_that_is_suggested_works() -> None:
    with pytest.raises(LayoutError) as raised:
        find_layout(Survey("photos", NUMBERED, {}, []), Wanted())
    pattern = str(raised.value).split("pattern: '")[1].split("', which")[0]
    found = find_layout(Survey("photos", NUMBERED, {}, []), Wanted(pattern=pattern))
    assert {entry.class_name for entry in found.entries} == {"cat", "dog"}
