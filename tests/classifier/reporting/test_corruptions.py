"""The accuracy on changed images: the sample, the changes, and the table."""

import numpy as np
import pandas as pd
import pytest

from classifier.reporting.corruptions import (
    COLUMNS,
    CORRUPTIONS,
    STRENGTHS,
    corrupt,
    corrupted_examples,
    corruption_table,
    stratified_sample,
)


def photo(channels: int = 3, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture with large and small structure, uint8."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(60, 200, (height // 16, width // 16, channels))
    coarse = coarse.repeat(16, 0).repeat(16, 1)
    return (coarse + rng.integers(-20, 20, coarse.shape)).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_change_keeps_shape_and_dtype_and_grows_with_its_strength(
    name: str, channels: int
) -> None:
    pixels = photo(channels)
    before = pixels.copy()
    changed = [corrupt(pixels, name, strength, seed=[7, 1]) for strength in range(3)]
    assert {(image.shape, image.dtype) for image in changed} == {(pixels.shape, pixels.dtype)}
    assert (pixels == before).all()
    distances = [np.abs(image.astype(int) - pixels).mean() for image in changed]
    assert 0 < distances[0] < distances[1] < distances[2]
    again = corrupt(pixels, name, 2, seed=[7, 1])
    assert (again == changed[2]).all()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_smallest_images_can_be_changed(name: str) -> None:
    for shape in ((1, 1, 3), (2, 5, 1)):
        pixels = np.full(shape, 90, np.uint8)
        assert corrupt(pixels, name, 2, seed=[7]).shape == shape


def test_noise_and_places_differ_between_images_and_are_the_same_at_each_strength() -> None:
    flat = np.full((32, 32, 1), 128, np.uint8)
    mild, strong = (corrupt(flat, "noise", at, seed=[7, 0]).astype(int) - 128 for at in (0, 2))
    other = corrupt(flat, "noise", 0, seed=[7, 1]).astype(int) - 128
    assert np.corrcoef(mild.ravel(), strong.ravel())[0, 1] > 0.9
    assert abs(np.corrcoef(mild.ravel(), other.ravel())[0, 1]) < 0.2
    places = {corrupt(flat * 0, "occlusion", 0, seed=[7, at]).tobytes() for at in range(8)}
    assert len(places) > 3


def test_a_sample_has_the_classes_and_the_mistakes_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    correct = np.ones(1000, bool)
    correct[::20] = False
    rows = stratified_sample(labels, correct, 100, seed=7)
    assert len(set(rows.tolist())) == 100
    assert (np.diff(rows) > 0).all()
    assert np.abs(np.bincount(labels[rows]) - [60, 30, 10]).max() <= 1
    assert correct[rows].sum() == 95
    assert (rows == stratified_sample(labels, correct, 100, seed=7)).all()
    assert (rows != stratified_sample(labels, correct, 100, seed=8)).any()


def test_a_sample_is_at_most_all_images_and_may_be_smaller_than_the_classes() -> None:
    labels, correct = np.arange(5), np.ones(5, bool)
    assert stratified_sample(labels, correct, 100, seed=7).tolist() == [0, 1, 2, 3, 4]
    assert len(stratified_sample(labels, correct, 2, seed=7)) == 2
    assert len(stratified_sample(labels, correct, 0, seed=7)) == 0


def predict(images: np.ndarray) -> np.ndarray:
    """Class 1 for a bright image: what darkens it makes mistakes of class 1."""
    bright = images.mean(axis=(1, 2, 3)) > 100
    return np.stack([~bright, bright], axis=1).astype(np.float32)


def bright_and_dark() -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(20) % 2
    images = np.where(labels == 1, 180, 60)[:, None, None, None] * np.ones((1, 16, 16, 3))
    return images.astype(np.uint8), labels


def table(count: int = 20, batch_size: int = 64, seed: int = 7) -> pd.DataFrame:
    images, labels = bright_and_dark()
    correct = predict(images).argmax(axis=1) == labels
    return corruption_table(
        images, labels, correct, predict, count=count, batch_size=batch_size, seed=seed
    )


def test_the_table_says_which_change_makes_mistakes() -> None:
    found = table()
    assert found.columns.tolist() == COLUMNS
    assert len(found) == 1 + len(CORRUPTIONS) * len(STRENGTHS)
    first = found.to_dict("records")[0]
    assert (first["corruption"], first["accuracy"], first["images"]) == ("none", 1.0, 20)
    accuracy = {str(name): rows["accuracy"].tolist() for name, rows in found.groupby("corruption")}
    assert accuracy["darkness"] == accuracy["brightness"] == [1.0, 0.5, 0.5]
    assert accuracy["blur"] == [1.0, 1.0, 1.0]
    assert (found["low"] <= found["accuracy"]).all()
    assert (found["accuracy"] <= found["high"]).all()
    assert found["amount"][found["corruption"] == "rotation"].tolist() == [
        "10 degrees",
        "25 degrees",
        "45 degrees",
    ]


def test_the_table_is_the_same_for_batches_of_any_size() -> None:
    pd.testing.assert_frame_equal(table(batch_size=7), table(batch_size=1000))


def test_no_images_give_an_empty_table() -> None:
    found = table(count=0)
    assert found.columns.tolist() == COLUMNS
    assert not len(found)


def test_examples_have_a_caption_each() -> None:
    images, captions = corrupted_examples(photo(), [7, 0])
    assert images.shape == (27, 48, 64, 3)
    assert captions[0] == "blur\nmild"
    assert captions[-1] == "low resolution\nstrong"
