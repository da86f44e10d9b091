"""Shards: standard TFRecords, the same bytes for the same images, and errors if damaged."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from classifier.storage.sharded_images import ShardedImages
from classifier.storage.shards import ShardWriter
from classifier.support.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 4, 3, 1), dtype=np.uint8)


def write(folder: Path) -> Path:
    """Writes IMAGES in shards of four. The label of each image is its row."""
    folder.mkdir()
    with ShardWriter(folder, "train", (4, 3, 1), shard_bytes=4 * 12 + 11) as writer:
        for label, pixels in enumerate(IMAGES):
            writer.append(pixels, label)
    return folder


def test_shards_are_examples_with_pixels_and_label(tmp_path: Path) -> None:
    files = sorted(write(tmp_path / "a").glob("*.tfrecord"))
    assert [file.name for file in files] == [f"train-0000{n}-of-00003.tfrecord" for n in range(3)]
    shards = [
        [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(file)]
        for file in files
    ]
    assert [len(shard) for shard in shards] == [4, 4, 2]
    for row, example in enumerate(example for shard in shards for example in shard):
        assert example.features.feature["image"].bytes_list.value[0] == IMAGES[row].tobytes()
        assert example.features.feature["label"].int64_list.value[0] == row


@pytest.mark.difference("the order of an example's features", "serialised in one order")
def test_the_same_images_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    names = sorted(file.name for file in first.iterdir())
    assert names == sorted(file.name for file in second.iterdir())
    assert len(names) == 3 + 2
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_row_of_another_shape_or_type_is_refused(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, "train", (2, 2, 1), shard_bytes=8) as writer:
        for row in (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 1))):
            with pytest.raises(ValueError, match="must be uint8"):
                writer.append(row, 0)


def test_an_error_while_writing_is_raised(tmp_path: Path) -> None:
    with (
        pytest.raises(tf.errors.NotFoundError),
        ShardWriter(tmp_path / "missing", "train", (4, 3, 1), shard_bytes=48) as writer,
    ):
        for pixels in IMAGES:
            writer.append(pixels, 0)


@pytest.mark.fault("a shard that is missing, cut off or flipped a bit", "one line that names it")
@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_a_damaged_shard_is_one_line(tmp_path: Path, damage: str) -> None:
    file = write(tmp_path / "a") / "train-00001-of-00003.tfrecord"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.unlink()
    if damage != "missing":
        file.write_bytes(content[:-1] if damage == "truncated" else content)
    with pytest.raises(InputError, match=rf"{file.name} (is|has) .*'dvc repro' makes it") as raised:
        ShardedImages(file.parent, "train")[:]
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "{}", '{"shape": 3, "images": [1], "bytes": [1]}'])
def test_a_damaged_index_is_one_line(tmp_path: Path, content: str) -> None:
    (write(tmp_path / "a") / "train_shards.json").write_text(content)
    with pytest.raises(InputError, match="the index of train's shards is damaged") as raised:
        ShardedImages(tmp_path / "a", "train")
    assert "\n" not in str(raised.value)
