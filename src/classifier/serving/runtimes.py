"""A trained model for other runtimes: ONNX and LiteRT, each compared with the Keras model.

Keras writes the files (https://keras.io/api/models/model_saving_apis/export). Their input and
output are those of the SavedModel: any number of uint8 images, and probabilities. Each file has
the SavedModel's assets as its metadata, for programs that have this file alone.
"""

import logging
import re
import statistics
import time
import traceback
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from classifier.answers.answers import threshold
from classifier.serving.exporting import (
    ENCODED,
    check_difference,
    check_encoded,
    check_score_difference,
    score_difference,
)
from classifier.serving.litert import LiteRTModel
from classifier.serving.loading import LITERT, ONNX
from classifier.serving.onnx_runtime import ONNXModel
from classifier.serving.outputs import Answers, as_answers
from classifier.storage.splits import Images, batches
from classifier.support.errors import InputError
from classifier.tasks.of_labels import task_of

Predict = Callable[[np.ndarray], Answers]  # of uint8 (N, H, W, C)
Right = Callable[[np.ndarray], np.ndarray]  # of probabilities (N, classes)
BATCH, PNGS = 64, 16  # images at a time; those that are encoded to check a signature
log = logging.getLogger(__name__)
CALIBRATION = 256  # images, from which int8 takes the ranges of activations
# They have no common base class of errors, and raise RuntimeError and ValueError too.
CONVERTERS = ("tensorflow.lite.", "tf2onnx.", "ai_edge_litert.", "onnxruntime.")
ONE, MANY = "ms_1_image", f"ms_{BATCH}_images"
SECONDS = 0.3  # in which a time is measured again and again


class Runtime(NamedTuple):
    """A way to run a model without Keras.

    Attributes:
        file: name of the exported file.
        write: writes a model to a file, with images for calibration.
        describe: adds texts, by name, to the metadata of a file.
        load: loads a file as a function from images to answers.
        exact: whether it computes in float32, as Keras does.
    """

    file: str
    write: Callable[[keras.Model, Path, Images], None]
    describe: Callable[[Path, Mapping[str, str]], None]
    load: Callable[[Path], Predict]
    exact: bool


def _signature(model: keras.Model) -> list[keras.InputSpec]:
    return [keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="uint8", name="images")]


def _write_onnx(model: keras.Model, file: Path, _: Images) -> None:
    import onnx

    model.export(str(file), format="onnx", input_signature=_signature(model), verbose=False)
    exported = onnx.load(file)
    exported.graph.ClearField("doc_string")  # counts the functions that the process has called
    _number_names(exported.graph)
    onnx.save(exported, file)


def _number_names(graph: Any) -> None:
    """Numbers the nodes and values of an ONNX graph, but for its inputs and outputs.

    tf2onnx merges equal constants, and which one's name stays differs in each process. A graph
    with graphs inside, such as a loop's, keeps its names.
    """
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return
    names = {value.name: value.name for value in (*graph.input, *graph.output)} | {"": ""}

    def numbered(name: str) -> str:
        return names.setdefault(name, f"value{len(names)}")

    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}{number}"
        node.input[:] = [numbered(name) for name in node.input]
        node.output[:] = [numbered(name) for name in node.output]
    order = {name: place for place, name in enumerate(names.values())}
    for values in (graph.initializer, graph.value_info):
        for value in values:
            value.name = numbered(value.name)
        values.sort(key=lambda value: order.get(value.name, len(order)))


def _write_litert(model: keras.Model, file: Path, _: Images) -> None:
    model.export(str(file), format="litert", input_signature=_signature(model), verbose=False)


def _write_litert_int8(model: keras.Model, file: Path, calibration: Images) -> None:
    # Weights and activations as 8-bit integers
    # (https://ai.google.dev/edge/litert/models/post_training_quantization).
    # Evenly spaced, as the images of the split may be ordered by class.
    chosen = calibration[:: -(-len(calibration) // CALIBRATION)]
    model.export(
        str(file),
        format="litert",
        input_signature=_signature(model),
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([image[np.newaxis]] for image in chosen),
    )


def _describe_onnx(file: Path, texts: Mapping[str, str]) -> None:
    # https://onnx.ai/onnx/repo-docs/MetadataProps.html
    import onnx

    model = onnx.load(file)
    onnx.helper.set_model_props(model, dict(texts))
    onnx.save(model, file)


def _describe_litert(file: Path, texts: Mapping[str, str]) -> None:
    # A zip archive after the model, which `unzip` opens
    # (https://ai.google.dev/edge/litert/models/metadata#model_with_metadata_format).
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # without the time: 1980


RUNTIMES = {
    "onnx": Runtime(ONNX, _write_onnx, _describe_onnx, ONNXModel, exact=True),
    "litert": Runtime(LITERT, _write_litert, _describe_litert, LiteRTModel, exact=True),
    "litert_int8": Runtime(
        "model_int8.tflite", _write_litert_int8, _describe_litert, LiteRTModel, exact=False
    ),
}


def export_runtimes(
    names: Sequence[str],
    answering: Callable[[float], keras.Model],
    folder: Path,
    *,
    images: Images,
    labels: np.ndarray,
    thresholds: np.ndarray | None = None,
    calibration: Images,
    validation: Images,
    limit: float,
    accept: float,
    tolerance: float,
    accuracy_loss: float,
) -> pd.DataFrame:
    """Checks and measures the SavedModel in ``folder``, and the model for each runtime, which it
    writes there.

    Args:
        names: keys of RUNTIMES.
        answering: makes the Keras model, of a threshold of its score: see
            :func:`classifier.answers.answers.answering`.
        images, labels: uint8 (N, H, W, C), and those of the task, the whole test split.
        thresholds: of each class, where an image may have several labels: it is right as a whole.
        calibration: uint8 (N, H, W, C), training images; CALIBRATION of them are used.
        validation: uint8 (N, H, W, C), the validation split.
        limit: the threshold of the score, for runtimes that compute in float32.
        accept: the share of the validation split that another runtime's own threshold accepts: in
            8 bits, scores differ.
        tolerance: the largest difference of a probability from the Keras model's, of the SavedModel
            and of runtimes that compute in float32, 0..1.
        accuracy_loss: the largest loss of test accuracy, of any runtime, 0..1.

    Returns:
        A row per runtime, the SavedModel first: runtime, bytes, threshold, and the columns of
        :func:`measure`.

    Raises:
        InputError: a runtime does not support the model, or it or the SavedModel differs by more.
    """
    model = answering(limit)
    expected = _in_batches(lambda batch: as_answers(model.predict_on_batch(batch)), images)
    assets = {file.name: file.read_text("utf-8") for file in sorted((folder / "assets").iterdir())}
    folder_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    signatures = tf.saved_model.load(folder).signatures
    right = partial(task_of(labels).right, labels=labels, thresholds=thresholds)

    def answer(batch: np.ndarray) -> Answers:
        return as_answers(signatures["serving_default"](images=tf.constant(batch)))

    measured = measure(answer, images, right, expected)
    check_difference("the SavedModel", measured["largest_difference"], tolerance)
    check_score_difference("the SavedModel", measured["score_difference"])
    check_encoded(signatures[ENCODED], np.asarray(images[:PNGS]), expected, tolerance)
    rows = [{"runtime": "saved_model", "bytes": folder_bytes, "threshold": limit, **measured}]
    for name in names:
        runtime = RUNTIMES[name]
        file = folder / runtime.file
        used = limit
        try:
            runtime.write(model, file, calibration)
            if not runtime.exact:
                scores = _in_batches(runtime.load(file), validation).score
                used = threshold(scores, accept)
                if used >= scores.max():
                    log.warning(
                        "%s may accept every picture: its scores end at %.4g, the highest of the "
                        "validation split: choose a smaller export.accept than %g",
                        name,
                        scores.max(),
                        accept,
                    )
                runtime.write(answering(used), file, calibration)
            runtime.describe(file, assets)
            predict = runtime.load(file)
        except Exception as error:  # a bug, or a full disk, is raised again
            if not _is_refusal(error):
                raise
            reason = " ".join(str(error).split())[:400]
            raise InputError(f"{model.name} cannot be exported for {name}: {reason}") from error
        measured = measure(predict, images, right, expected)
        if runtime.exact:
            check_difference(name, measured["largest_difference"], tolerance)
            check_score_difference(name, measured["score_difference"])
        _check_loss(name, measured["accuracy_lost"], accuracy_loss)
        rows.append({"runtime": name, "bytes": file.stat().st_size, "threshold": used, **measured})
    return pd.DataFrame(rows)


def _is_refusal(error: Exception) -> bool:
    """Whether a package is missing, or a converter or runtime itself raised the error, as it does
    for an operation that it lacks."""
    if isinstance(error, (OSError, MemoryError)):
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    raised_in = str(frame.f_globals.get("__name__"))
    return isinstance(error, ImportError) or raised_in.startswith(CONVERTERS)


def _check_loss(name: str, lost: float, accuracy_loss: float) -> None:
    if not lost <= accuracy_loss:
        raise InputError(
            f"{name} loses {lost:.4f} of the test accuracy, more than accuracy_loss "
            f"{accuracy_loss:.4f}"
        )


def measure(predict: Predict, images: Images, right: Right, expected: Answers) -> dict[str, float]:
    """Compares the predictions of a runtime with the Keras model's, and measures their time.

    Args:
        images: uint8 (N, H, W, C).
        right: whether the answers to all images are right, bool (N,), of their probabilities.
        expected: the Keras model's answers for the images.

    Returns:
        accuracy and accuracy_lost, 0..1; largest_difference of a probability, 0..1; the largest
        score_difference, a share; accepted, the share of the images, 0..1; and the median time for
        one image (ONE) and for BATCH images (MANY), milliseconds.
    """
    answers = _in_batches(predict, images)
    probabilities = answers.probabilities
    accuracy = float(right(probabilities).mean())
    batch = np.resize(images[:BATCH], (BATCH, *images.shape[1:]))
    return {
        "accuracy": accuracy,
        "accuracy_lost": float(right(expected.probabilities).mean()) - accuracy,
        "largest_difference": float(np.abs(probabilities - expected.probabilities).max()),
        "score_difference": score_difference(answers.score, expected.score),
        "accepted": float(answers.accepted.mean()),
        ONE: _milliseconds(predict, batch[:1]),
        MANY: _milliseconds(predict, batch),
    }


def _in_batches(predict: Predict, images: Images) -> Answers:
    parts = [predict(batch) for batch in batches(images, BATCH)]
    return Answers(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _milliseconds(predict: Predict, images: np.ndarray) -> float:
    """The median time of the calls that begin within SECONDS, and of three calls at least."""
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 3 or time.perf_counter() < begun + SECONDS:
        start = time.perf_counter()
        predict(images)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def add_to_report(report: str, table: pd.DataFrame) -> str:
    """The report with the table of :func:`export_runtimes`; it replaces an earlier table."""
    opening = '<section><h2>Runtimes</h2>\n<div class="scroll">'
    html = table.to_html(index=False, border=0, float_format="{:,.6g}".format)
    report = re.sub(f"{re.escape(opening)}.*?</section>\n\n", "", report, flags=re.DOTALL)
    before, heading, after = report.partition("<h2>How it was made</h2>")
    return f"{before}{opening}{html}</div></section>\n\n{heading}{after}"
