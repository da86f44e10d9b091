"""Loads an exported model for inference, in the fastest runtime that it was exported for."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classifier.images.preprocessing import PREPROCESSING, Preprocessing, read_preprocessing
from classifier.serving.litert import LiteRTModel
from classifier.serving.onnx_runtime import ONNXModel
from classifier.serving.outputs import THRESHOLDS, Answers, as_answers, read_thresholds
from classifier.support.errors import InputError

LITERT, ONNX = "model.tflite", "model.onnx"
NONE_OF_THESE = "none of these, as far as it can tell"  # of an image that is not accepted
DRAWINGS = "drawings.txt"  # only models of drawings have this file

log = logging.getLogger(__name__)


class SavedClassifier(NamedTuple):
    """An exported model.

    Attributes:
        shape: height, width and channels of its images.
        classes: class names, in the order of the probabilities.
        answer: a function from uint8 images (N, *shape) to their answers.
        preprocessing: makes uint8 ``shape`` of an image file, as for training.
        drawn: whether it was trained on drawings (DRAWINGS).
        thresholds: of each class, float32 (classes,), from which on it is answered, where an image
            may have several labels. None where it has one, the most probable.
    """

    shape: tuple[int, int, int]
    classes: list[str]
    answer: Callable[[np.ndarray], Answers]
    preprocessing: Preprocessing
    drawn: bool = False
    thresholds: np.ndarray | None = None

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The probabilities alone, float32 (N, classes)."""
        return self.answer(images).probabilities


def load_classifier(folder: Path) -> SavedClassifier:
    """The model in ``folder`` or below it: the LiteRT file, else ONNX, else the SavedModel.

    All predict the same; LiteRT is the fastest to start.

    Raises:
        InputError: there is no model, or this project did not export it.
    """
    drawn = any(folder.rglob(DRAWINGS))
    file = _find_file(folder, LITERT) or _find_file(folder, ONNX)
    if file is None:
        return load_saved_model(folder)._replace(drawn=drawn)
    names = next(file.parent.rglob("classes.txt"), None)
    if names is None:
        raise InputError(f"{folder} was not exported by this project: it lacks classes.txt")
    model = LiteRTModel(file) if file.name == LITERT else ONNXModel(file)
    classes = names.read_text("utf-8").splitlines()
    preprocessing = _preprocessing(folder, names.with_name(PREPROCESSING), model.shape)
    thresholds = _thresholds(names)
    return SavedClassifier(model.shape, classes, model, preprocessing, drawn, thresholds)


def load_saved_model(folder: Path) -> SavedClassifier:
    """The SavedModel in ``folder`` or below it.

    Raises:
        InputError: there is no SavedModel, or this project did not export it.
    """
    import tensorflow as tf

    file = _find_file(folder, "saved_model.pb")
    if file is None:
        raise InputError(f"{folder} is not a SavedModel: it has no saved_model.pb")
    loaded = tf.saved_model.load(file.parent)
    serve = loaded.signatures.get("serving_default")
    names = file.parent / "assets" / "classes.txt"
    inputs = serve.structured_input_signature[1] if serve else {}
    if set(inputs) != {"images"} or not names.is_file():
        raise InputError(f"{folder} was not exported by this project: it lacks images or names")

    def answer(images: np.ndarray) -> Answers:
        return as_answers(serve(images=tf.constant(images)))

    height, width, channels = inputs["images"].shape[1:]
    shape = height, width, channels
    classes = names.read_text("utf-8").splitlines()
    preprocessing = _preprocessing(folder, names.with_name(PREPROCESSING), shape)
    thresholds = _thresholds(names)
    return SavedClassifier(shape, classes, answer, preprocessing, thresholds=thresholds)


def _thresholds(names: Path) -> np.ndarray | None:
    file = names.with_name(THRESHOLDS)
    return read_thresholds(file) if file.is_file() else None


def _preprocessing(folder: Path, file: Path, shape: tuple[int, int, int]) -> Preprocessing:
    """Reads the asset of an export, whose images have ``shape``.

    An earlier version of this project exported no such file, and cropped every image.

    Raises:
        InputError: the file is damaged, or belongs to another model.
    """
    if not file.is_file():
        log.warning(
            "%s does not say whether its training images were cropped or padded: images are "
            "cropped; export the model again to record it",
            folder,
        )
        height, width, channels = shape
        size = height, width
        return Preprocessing(image_size=size, channels=1 if channels == 1 else 3, fit="crop")
    preprocessing = read_preprocessing(file)
    if preprocessing.shape != shape:
        raise InputError(
            f"{file} is of images {preprocessing.shape}, but the model takes {shape}: "
            "export the model again"
        )
    return preprocessing


def _find_file(folder: Path, name: str) -> Path | None:
    """The only file called ``name`` in the folder or below it; None if there is no such file.

    Raises:
        InputError: there are several.
    """
    files = sorted(folder.rglob(name))
    if len(files) > 1:
        raise InputError(f"{folder} has several models: choose one, such as {files[0].parent}")
    return files[0] if files else None
