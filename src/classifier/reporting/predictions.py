"""A model's predictions for one split of a pipeline's images, and a selection of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from classifier.catalog.manifest import read_manifest
from classifier.saved.rounding import rounded
from classifier.storage.splits import Images, read_split


class Predictions(NamedTuple):
    """The images of a split with what the model predicts for them.

    Attributes:
        images: uint8 (N, H, W, C), memory-mapped or in shards.
        labels: of the images' task: see :mod:`classifier.tasks`.
        probabilities: float32 (N, classes), 0..1.
        table: of :func:`predictions_table`; where an image may have several labels, of
            :func:`classifier.reporting.multi_label.labels_table`, and the ids alone before.
        classes: class names in the order of the labels.
        features: of :func:`classifier.answers.features.with_features`, float32 (N, D).
    """

    images: Images
    labels: np.ndarray
    probabilities: np.ndarray
    table: pd.DataFrame
    classes: list[str]
    features: np.ndarray
    thresholds: np.ndarray | None = None  # of each class, where an image may have several labels


def predict_split(
    model: keras.Model, normalized: Path, split: str, *, batch_size: int
) -> Predictions:
    """Predicts every image of ``split`` in ``normalized``, a folder of the normalize stage.

    Args:
        model: of :func:`classifier.answers.features.with_features`.
    """
    images, labels = read_split(normalized, split)
    classes = (normalized / "classes.txt").read_text("utf-8").splitlines()
    index = read_manifest(normalized / "index.csv")
    probabilities, features = model.predict(_Batches(images, batch_size), verbose=0)
    ids = index["id"][index["split"] == split]
    if labels.ndim == 2:
        table = pd.DataFrame({"id": ids.to_numpy()})
    else:
        table = predictions_table(ids, labels, probabilities, classes)
    return Predictions(images, labels, probabilities, table, classes, features)


def images_of_rows(rows: Iterable[int], validation: Predictions, test: Predictions) -> np.ndarray:
    """The images, uint8 (N, H, W, channels), of a table of both splits.

    Args:
        rows: their numbers in the table, which has those of the validation split first.
    """
    first_test = len(validation.images)
    images = [
        test.images[row - first_test] if row >= first_test else validation.images[row]
        for row in rows
    ]
    return np.array(images, np.uint8).reshape(-1, *test.images.shape[1:])


class _Batches(keras.utils.PyDataset):
    """Batches of the images. Keras would copy a whole array into memory."""

    def __init__(self, images: Images, batch_size: int):
        super().__init__()
        self._images, self._batch_size = images, batch_size

    def __len__(self) -> int:
        return -(-len(self._images) // self._batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray]:
        first = number * self._batch_size
        return (np.asarray(self._images[first : first + self._batch_size]),)


def predictions_table(
    ids: pd.Series, labels: np.ndarray, probabilities: np.ndarray, classes: list[str]
) -> pd.DataFrame:
    """A row per image.

    The predicted class is the one with the highest probability before rounding; of equal ones, the
    first in the order of the classes.

    Args:
        labels: integers (N,).
        probabilities: float32 (N, classes).

    Returns:
        id, class, predicted, correct, probability (of the predicted class), loss (nats), then a
        column ``p(<class>)`` per class. Probabilities and loss have three decimals. The loss is
        that of the unrounded probability: a probability below 0.0005 is not 0.
    """
    predicted = probabilities.argmax(axis=1)
    names = np.array(classes)
    shown = rounded(probabilities)
    table = pd.DataFrame(
        {
            "id": ids.to_numpy(),
            "class": names[labels],
            "predicted": names[predicted],
            "correct": predicted == labels,
            "probability": shown.max(axis=1),
            "loss": rounded(losses(labels, probabilities)),
        }
    )
    return table.assign(**{f"p({name})": shown[:, label] for label, name in enumerate(classes)})


def losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The cross-entropy of each image, nats, float64 (N,).

    Their mean is scikit-learn's ``log_loss``. A probability of 0 counts as the smallest difference
    of two float64 around 1, as there.

    Args:
        labels: integers (N,).
        probabilities: (N, classes); they are divided by their sum.
    """
    exact = probabilities.astype(np.float64)
    of_label = exact[np.arange(len(labels)), labels] / exact.sum(axis=1)
    return -np.log(np.maximum(of_label, np.finfo(np.float64).eps))


def worst_mistakes(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most ``count`` wrong predictions of a :func:`predictions_table`, highest loss first."""
    wrong = table[~table["correct"]]
    return wrong.sort_values(["loss", "id"], ascending=[False, True]).head(count)


def least_certain(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most ``count`` rows of a :func:`predictions_table`, lowest probability first.

    Like the other selections, it is by rounded figures; equal ones are in the order of the ids.
    """
    return table.sort_values(["probability", "id"]).head(count)
