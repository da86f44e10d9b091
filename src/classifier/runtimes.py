"""A trained model for other runtimes: ONNX and LiteRT, each held to the Keras model's answers.

Keras writes the files (https://keras.io/api/models/model_saving_apis/export); each takes what the
SavedModel takes, raw uint8 images of any number, and gives probabilities.
"""

import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from classifier.data.splits import Images, batches
from classifier.errors import InputError
from classifier.exporting import check_difference
from classifier.litert import LiteRTModel
from classifier.serving import LITERT, load_saved_model

Predict = Callable[[np.ndarray], np.ndarray]  # uint8 (N, H, W, C) to float32 (N, classes)
BATCH = 256  # images that are answered at once
CALIBRATION = 256  # images that show int8 the ranges of its numbers
ONE, MANY = "ms_1_image", f"ms_{BATCH}_images"


class Runtime(NamedTuple):
    """One way to run a model without Keras."""

    file: str
    write: Callable[[keras.Model, Path, Images], None]  # model, file, calibration images
    load: Callable[[Path], Predict]
    exact: bool  # whether it computes in float32, as Keras does


def _signature(model: keras.Model) -> list[keras.InputSpec]:
    return [keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="uint8", name="images")]


def _write_onnx(model: keras.Model, file: Path, _: Images) -> None:
    model.export(str(file), format="onnx", input_signature=_signature(model), verbose=False)


def _write_litert(model: keras.Model, file: Path, _: Images) -> None:
    model.export(str(file), format="litert", input_signature=_signature(model), verbose=False)


def _write_litert_int8(model: keras.Model, file: Path, calibration: Images) -> None:
    # Weights and activations as whole numbers
    # (https://ai.google.dev/edge/litert/models/post_training_quantization).
    import tensorflow as tf

    # Evenly over the split, as its images may come class by class.
    shown = calibration[:: -(-len(calibration) // CALIBRATION)]
    model.export(
        str(file),
        format="litert",
        input_signature=_signature(model),
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([image[np.newaxis]] for image in shown),
    )


def _load_onnx(file: Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    return lambda images: session.run(None, {name: images})[0]


RUNTIMES = {
    "onnx": Runtime("model.onnx", _write_onnx, _load_onnx, exact=True),
    "litert": Runtime(LITERT, _write_litert, LiteRTModel, exact=True),
    "litert_int8": Runtime("model_int8.tflite", _write_litert_int8, LiteRTModel, exact=False),
}


def export_runtimes(
    names: Sequence[str],
    model: keras.Model,
    folder: Path,
    *,
    images: Images,
    labels: np.ndarray,
    calibration: Images,
    tolerance: float,
    accuracy_loss: float,
) -> pd.DataFrame:
    """Writes the model for each runtime to the SavedModel's ``folder``, checks and measures it.

    Args:
        names: of RUNTIMES.
        images, labels: uint8 (N, H, W, C) and integers (N,), the whole test split.
        calibration: uint8 (N, H, W, C), training images; the ranges of quantised numbers are
            those of CALIBRATION of them.
        tolerance: the largest difference of a probability from the Keras model's, where the
            runtime computes in float32.
        accuracy_loss: the most test accuracy that whole numbers may cost, 0..1.

    Returns:
        A row a runtime, the SavedModel first: runtime, bytes, then :func:`measure`'s; none for
        no names.

    Raises:
        InputError: the model has something that a runtime does not, or differs by more.
    """
    if not names:
        return pd.DataFrame()
    expected = _in_batches(model.predict_on_batch, images)
    folder_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    answers = measure(load_saved_model(folder).predict, images, labels, expected)
    rows = [{"runtime": "saved_model", "bytes": folder_bytes, **answers}]
    for name in names:
        runtime = RUNTIMES[name]
        file = folder / runtime.file
        try:
            runtime.write(model, file, calibration)
            predict = runtime.load(file)
            answers = measure(predict, images, labels, expected)
        except Exception as error:  # each converter has its own, and they share no class
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{model.name} cannot be exported for {name}: {reason}") from error
        if runtime.exact:
            check_difference(name, answers["largest_difference"], tolerance)
        _check_loss(name, answers["accuracy_lost"], accuracy_loss)
        rows.append({"runtime": name, "bytes": file.stat().st_size, **answers})
    return pd.DataFrame(rows)


def _check_loss(name: str, lost: float, accuracy_loss: float) -> None:
    if not lost <= accuracy_loss:
        raise InputError(
            f"{name} loses {lost:.4f} of the test accuracy, more than accuracy_loss "
            f"{accuracy_loss:.4f}"
        )


def measure(
    predict: Predict, images: Images, labels: np.ndarray, expected: np.ndarray
) -> dict[str, float]:
    """How a runtime's answers differ from the Keras model's, and how long they take.

    Args:
        images, labels: uint8 (N, H, W, C) and integers (N,).
        expected: float32 (N, classes), the Keras model's probabilities of them.

    Returns:
        accuracy and accuracy_lost, 0..1; largest_difference of a probability; the median
        milliseconds for one image (ONE), and for BATCH images (MANY).
    """
    found = _in_batches(predict, images)
    accuracy = float((found.argmax(axis=1) == labels).mean())
    batch = np.resize(images[:BATCH], (BATCH, *images.shape[1:]))
    return {
        "accuracy": accuracy,
        "accuracy_lost": float((expected.argmax(axis=1) == labels).mean()) - accuracy,
        "largest_difference": float(np.abs(found - expected).max()),
        ONE: _milliseconds(predict, batch[:1], repeats=50),
        MANY: _milliseconds(predict, batch, repeats=5),
    }


def _in_batches(predict: Predict, images: Images) -> np.ndarray:
    return np.concatenate([predict(batch) for batch in batches(images, BATCH)])


def _milliseconds(predict: Predict, images: np.ndarray, *, repeats: int) -> float:
    predict(images)  # the first call makes its plan
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        predict(images)
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def add_to_report(report: str, table: pd.DataFrame) -> str:
    """A report with the table of :func:`export_runtimes`, in place of an earlier one."""
    opening = '<section><h2>Runtimes</h2>\n<div class="scroll">'
    shown = table.to_html(index=False, border=0, float_format="{:,.6g}".format)
    report = re.sub(f"{re.escape(opening)}.*?</section>\n\n", "", report, flags=re.DOTALL)
    before, heading, after = report.partition("<h2>How it was made</h2>")
    return f"{before}{opening}{shown}</div></section>\n\n{heading}{after}"
