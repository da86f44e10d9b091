"""An exported model that answers: its images' shape, its classes, and its fastest runtime."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classifier.errors import InputError
from classifier.litert import LiteRTModel

LITERT = "model.tflite"


class SavedClassifier(NamedTuple):
    """What export wrote, loaded.

    Attributes:
        shape: height, width and channels of its images.
        classes: class names, in the order of the probabilities.
        predict: probabilities, float32 (N, classes), of uint8 images (N, *shape).
    """

    shape: tuple[int, int, int]
    classes: list[str]
    predict: Callable[[np.ndarray], np.ndarray]


def load_classifier(folder: Path) -> SavedClassifier:
    """The model in ``folder`` or below it: by LiteRT where export wrote it for that, which gives
    the same answers sooner, or else the SavedModel.

    Raises:
        InputError: there is none, or it is of another making.
    """
    found = _only(folder, LITERT)
    if found is None:
        return load_saved_model(folder)
    names = next(found.parent.rglob("classes.txt"), None)
    if names is None:
        raise InputError(f"{folder} was not exported by this project: it lacks classes.txt")
    model = LiteRTModel(found)
    return SavedClassifier(model.shape, names.read_text("utf-8").splitlines(), model)


def load_saved_model(folder: Path) -> SavedClassifier:
    """The SavedModel in ``folder`` or below it.

    Raises:
        InputError: there is none, or it is of another making.
    """
    import tensorflow as tf

    found = _only(folder, "saved_model.pb")
    if found is None:
        raise InputError(f"{folder} is no SavedModel: it has no saved_model.pb")
    loaded = tf.saved_model.load(found.parent)
    serve = loaded.signatures.get("serving_default")
    names = found.parent / "assets" / "classes.txt"
    inputs = serve.structured_input_signature[1] if serve else {}
    if set(inputs) != {"images"} or not names.is_file():
        raise InputError(f"{folder} was not exported by this project: it lacks images or names")

    def predict(images: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = serve(images=tf.constant(images))["probabilities"].numpy()
        return probabilities

    height, width, channels = inputs["images"].shape[1:]
    classes = names.read_text("utf-8").splitlines()
    return SavedClassifier((height, width, channels), classes, predict)


def _only(folder: Path, name: str) -> Path | None:
    """The one file of that name in the folder or below it; None for none.

    Raises:
        InputError: there are several.
    """
    found = sorted(folder.rglob(name))
    if len(found) > 1:
        raise InputError(f"{folder} holds several models: say which, {found[0].parent} for one")
    return found[0] if found else None
