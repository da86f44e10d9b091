"""The page of the data: its tables, histograms and pictures."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classifier.overview import page
from classifier.overview.page import class_table, histogram, size_text, write_overview

PAIRS = pd.DataFrame(
    {
        "first": ["cat/0", "cat/2", "cat/4"],
        "first_split": ["train", "train", "dropped"],
        "second": ["cat/1", "cat/3", "dog/9"],
        "second_split": ["train", "test", "train"],
        "distance": [4, 2, 0],
    }
)
NEAR = {"distance": 4, "flat": 1, "undecodable": 2, "pairs": 3, "of_two_classes": 1}


def images(count: int = 30) -> pd.DataFrame:
    numbers = np.arange(count)
    return pd.DataFrame(
        {
            "id": [f"{('cat', 'dog')[n % 2]}/{n}" for n in numbers],
            "class": [("cat", "dog")[n % 2] for n in numbers],
            "split": [("train", "train", "test")[n % 3] for n in numbers],
            "width": 100 + 10 * (numbers % 5),
            "height": 100,
            "brightness": 100.0 + numbers,
            "sharpness": 10.0 ** (numbers % 4),
        }
    )


def read(name: str) -> np.ndarray:
    return np.full((16, 16, 3), int(name.partition("/")[2]), np.uint8)


def write(folder: Path, table: pd.DataFrame, **options: Any) -> str:
    folder.mkdir()
    defaults: dict[str, Any] = {
        "splits": table[["class", "split"]],
        "pairs": PAIRS,
        "near": NEAR,
        "read": read,
    }
    write_overview(folder, title="tiny: the data", images=table, **defaults | options)
    return (folder / "data.html").read_text("utf-8")


@pytest.mark.difference("the page of the data", "the same bytes twice")
def test_the_page_is_the_same_bytes_twice(tmp_path: Path) -> None:
    table = images()
    table["id"] = [f"cat/{n}" for n in range(len(table))]
    for name in ("one", "two"):
        write(tmp_path / name, table)
    files = sorted((tmp_path / "one").iterdir())
    assert [file.name for file in files] == [
        "brightest.png",
        "class-0.png",
        "class-1.png",
        "darkest.png",
        "data.html",
        "images.csv",
        "largest.png",
        "least-sharp.png",
        "near-duplicates.png",
        "section.html",
        "sharpest.png",
        "smallest.png",
        "tallest.png",
        "widest.png",
    ]
    for file in files:
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_what_the_page_says(tmp_path: Path) -> None:
    table = images()
    table["id"] = [f"cat/{n}" for n in range(len(table))]
    text = write(tmp_path / "tiny", table)
    assert (tmp_path / "tiny" / "section.html").read_text("utf-8") in text
    assert "http" not in text.replace("http-equiv", "")
    assert "<tr><td>cat</td><td>10</td><td>0</td><td>5</td><td>15</td></tr>" in text
    assert "5 sizes, from 100 x 100 to 140 x 100 pixels, median 120 x 100" in text
    assert "3 pairs of different files" in text
    assert "1 of them in two splits; 1 have two classes. Passed over: 1 flat images, 2 that" in text
    # The pair with a dropped image is not shown: two by two, the one of two splits first.
    with Image.open(tmp_path / "tiny" / "near-duplicates.png") as picture:
        tiles = [picture.getpixel((50 + 100 * number, 50)) for number in range(4)]
    assert tiles == [(number,) * 3 for number in (2, 3, 0, 1)]
    assert "<code>cat/29</code> (test, 129.0)" in text


def test_images_that_are_all_alike(tmp_path: Path) -> None:
    table = images().assign(width=28, height=28, brightness=5.0, sharpness=1.0)
    text = write(tmp_path / "tiny", table, pairs=PAIRS[:0], near={"distance": None})
    assert "All 30 images are 28 x 28 pixels." in text
    assert "None: all images are alike in size, brightness and sharpness." in text
    assert "Not looked for: split.near_duplicates.distance is null." in text
    assert "<svg" not in text


def test_what_half_of_the_images_are_is_not_unusual(tmp_path: Path) -> None:
    table = images().assign(width=[50, *[100] * 29], brightness=5.0, sharpness=[2e4, *[1.0] * 29])
    text = write(tmp_path / "tiny", table, pairs=PAIRS[:0], near={"distance": None})
    shown = {file.stem for file in (tmp_path / "tiny").glob("*.png")}
    assert shown == {"class-0", "class-1", "smallest", "tallest", "sharpest"}
    assert text.count("<code>cat/0</code>") == text.count("<code>") == 3
    assert "<span>1</span><span>20,000</span>" in text


def test_many_classes_are_shown_in_part(tmp_path: Path) -> None:
    table = images(300)
    table["class"] = [f"<kind {n % 150}>" for n in range(300)]
    table["id"] = [f"cat/{n % 256}-{n}" for n in range(300)]
    text = write(
        tmp_path / "tiny",
        table,
        pairs=PAIRS[:0],
        near={"distance": None},
        read=lambda name: np.zeros((16, 16, 1), np.uint8),
    )
    assert "The 100 smallest of 150 classes." in text
    assert "The first 20 of 150 classes." in text
    assert "<kind" not in text and "&lt;kind 0&gt;: 2" in text
    assert len(list((tmp_path / "tiny").glob("class-*.png"))) == page.CLASSES


def test_classes_keep_their_order_and_dropped_images_count() -> None:
    splits = pd.DataFrame(
        {"class": ["owl", "cat", "cat"], "split": ["train", "dropped", "validation"]}
    )
    counts = class_table(splits)
    assert counts.index.tolist() == ["owl", "cat"]
    assert counts.loc["cat"].to_dict() == {
        "train": 0,
        "validation": 1,
        "test": 0,
        "dropped": 1,
        "all": 2,
    }


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[0.0, 1.0, 1e4], [5.0, 5.0], [0.1, 0.2], [3.0, 255.0, 254.9]])
def test_a_histogram_counts_every_image(values: list[float], log: bool) -> None:
    bars = histogram(pd.Series(values), log=log)
    assert sum(bar.images for bar in bars) == len(values)
    assert all(one.high == other.low for one, other in pairwise(bars))


def test_sizes_in_one_line() -> None:
    table = images(4).assign(width=[10, 30, 20, 20], pixels=[1000, 3000, 2000, 2000])
    assert size_text(table) == (
        "3 sizes, from 10 x 100 to 30 x 100 pixels, median 20 x 100; most often 20 x 100 "
        "(2 images)."
    )
