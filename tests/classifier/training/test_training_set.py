"""The training set in the output folders of the earlier stages."""

from pathlib import Path

import pytest

from classifier.support.errors import InputError
from classifier.training.training_set import TrainingSet, read_training_set


@pytest.fixture
def data(finished: Path) -> TrainingSet:
    """Six labels of three classes: blue, green and red."""
    folders = (finished / "data" / kind / "tiny" for kind in ("normalized", "augmented"))
    data = read_training_set(*folders)
    return data._replace(labels=data.labels[:6] * 0 + [0, 0, 0, 1, 2, 2])


def test_balanced_weights_let_each_class_count_as_much(data: TrainingSet) -> None:
    assert data.class_weights("balanced") == pytest.approx({0: 6 / 9, 1: 2.0, 2: 1.0})
    assert data.class_weights(None) is None


def test_weights_by_name_are_1_for_the_classes_they_leave_out(
    data: TrainingSet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert data.class_weights({"red": 5, "blue": 0.5}) == {0: 0.5, 1: 1.0, 2: 5}
    assert caplog.messages == ["factors of the loss: red 5, green 1, blue 0.5"]
    many = data._replace(classes=12, class_names=[f"c{n}" for n in range(12)])
    assert len(many.class_weights({}) or {}) == 12
    assert caplog.messages[1].endswith(", and of 2 more classes")


@pytest.mark.fault("a weight of an unknown class", "the nearest name, before any work")
def test_a_weight_of_an_unknown_class(data: TrainingSet) -> None:
    with pytest.raises(InputError, match="class_weight: no class 'rad': did you mean 'red'"):
        data.class_weights({"rad": 2.0})


@pytest.mark.fault("a class without an image that is to be weighted", "one line")
def test_a_class_without_images_has_no_balanced_weight(data: TrainingSet) -> None:
    data = data._replace(labels=data.labels * 0)
    expected = "class_weight is balanced: class 'green' has no image to train on"
    with pytest.raises(InputError, match=expected):
        data.class_weights("balanced")
