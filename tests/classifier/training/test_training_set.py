"""The training set in the output folders of the earlier stages."""

from pathlib import Path

import pytest

from classifier.training.training_set import read_training_set


def test_balanced_weights_let_each_class_count_as_much(finished: Path) -> None:
    folders = (finished / "data" / kind / "tiny" for kind in ("normalized", "augmented"))
    data = read_training_set(*folders)
    data = data._replace(labels=data.labels[:6] * 0 + [0, 0, 0, 1, 2, 2], classes=3)
    assert data.class_weights("balanced") == pytest.approx({0: 6 / 9, 1: 2.0, 2: 1.0})
    assert data.class_weights(None) is None
