"""Near-duplicates of a dataset that has no pipeline yet."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifier.formats.contents import Entry
from classifier.inspection import near_duplicates as module
from classifier.inspection.findings import what_looks_wrong
from classifier.inspection.near_duplicates import near_duplicate_arrays, near_duplicates
from classifier.inspection.overview import overview
from classifier.inspection.pictures import measure


def picture(seed: int) -> Image.Image:
    """A picture of large shapes, unlike that of another seed."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(small).resize((160, 160), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Path, list[Entry]]:
    """12 pictures to train; in test 4 others, a smaller copy, and equal bytes."""
    folder = tmp_path / "photos"
    files = {f"train/a/{number}.png": picture(number) for number in range(12)}
    files |= {f"test/a/{number}.png": picture(100 + number) for number in range(4)}
    files |= {"test/a/copy.webp": picture(3).resize((120, 120)), "test/a/same.png": picture(5)}
    for name, image in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
    return folder, [Entry(name, name, "a", name.partition("/")[0]) for name in files]


@pytest.mark.parametrize("packed", [False, True])
def test_near_duplicates_across_splits(photos: tuple[Path, list[Entry]], packed: bool) -> None:
    path, entries = photos
    if packed:
        with tarfile.open(path.parent / "photos.tar", "w") as tar:
            tar.add(path, "")
        path = path.parent / "photos.tar"
    near = near_duplicates(path, entries)
    assert (near.looked_at, near.of) == (18, 18)
    assert near.names() == ["test/a/copy.webp and train/a/3.png"]
    assert near.crossing == near.pairs
    pictures = measure(path, entries)
    assert (
        "duplicates   near-duplicates: 1 pairs among 18 images, 1 of them across the dataset's own "
        "splits (test/a/copy.webp and train/a/3.png)" in overview(entries, pictures, near)
    )
    (line,) = [text for text in what_looks_wrong(entries, pictures, near) if "near-dup" in text]
    assert line.startswith("near-duplicates across the dataset's own splits: 1 pairs (test/a/copy")


def test_of_many_images_a_choice_is_looked_at(
    photos: tuple[Path, list[Entry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, entries = photos
    monkeypatch.setattr(module, "MOST", 5)
    near = near_duplicates(path, entries)
    assert (near.looked_at, near.of) == (5, 18)
    (line,) = [text for text in overview(entries, measure(path, entries), near) if "near" in text]
    assert line == "duplicates   near-duplicates: 0 pairs among 5 of 18 images"


def test_the_time_is_bounded(photos: tuple[Path, list[Entry]]) -> None:
    path, entries = photos
    near = near_duplicates(path, entries, seconds=0)
    assert (near.looked_at, near.of, near.pairs) == (1, 18, [])


def test_damaged_images_are_passed_over(photos: tuple[Path, list[Entry]]) -> None:
    path, entries = photos
    (path / "train/a/3.png").write_bytes(b"\x89PNG")
    assert near_duplicates(path, entries).pairs == []


def test_arrays() -> None:
    arrays = [np.stack([np.asarray(picture(seed)) for seed in range(n, n + 5)]) for n in (0, 50)]
    content = io.BytesIO()
    picture(52).save(content, "JPEG", quality=90)
    arrays[0][1] = np.asarray(Image.open(content))
    entries = [Entry(f"{n}", f"{n}", "a", split) for split in ("train", "test") for n in range(5)]
    near = near_duplicate_arrays(arrays, entries)
    assert [(one.split, one.id, other.split, other.id) for one, other in near.pairs] == [
        ("train", "1", "test", "2")
    ]
