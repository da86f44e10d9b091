"""Other runtimes predict what the Keras model predicts, or the export stops and says why."""

import errno
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from classifier.answers.answers import Fitted, answering
from classifier.answers.distance import Distance
from classifier.answers.features import with_features
from classifier.images.preprocessing import PREPROCESSING, Preprocessing
from classifier.serving import runtimes
from classifier.serving.exporting import Classifier, export_saved_model
from classifier.serving.outputs import Answers, as_answers
from classifier.serving.runtimes import BATCH, RUNTIMES, export_runtimes, measure
from classifier.support.errors import InputError
from classifier.tasks.single_label import SingleLabel
from conftest import build_model

FAMILIES = ["convnet", "dense", "inception", "lenet", "residual", "separable", "siamese_features"]


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)


def export(model: keras.Model, folder: Path, names: list[str], **limits: float) -> pd.DataFrame:
    names_file = folder.parent / "classes.txt"
    names_file.write_text("a\nb\nc\nd\ne\n")
    preprocessing_file = folder.parent / PREPROCESSING
    Preprocessing(image_size=28, channels=3, fit="pad").write(preprocessing_file)
    test = images(300)
    size = with_features(model).outputs[1].shape[1]
    distance = Distance(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))
    fitted = Fitted(1.5, distance, np.ones(1, np.float32))
    answers = partial(answering, model, fitted, calibrate=True)
    classifier = Classifier(answers(threshold=1.0), names_file, preprocessing_file)
    export_saved_model(classifier, folder)
    settings = {"tolerance": 1e-5, "accuracy_loss": 1.0, "accept": 0.97} | limits
    return export_runtimes(
        names,
        lambda threshold: answers(threshold=threshold),
        folder,
        images=test,
        labels=model.predict(test, verbose=0).argmax(axis=1),
        calibration=images(400),
        validation=test[:50],
        limit=1.0,
        accept=settings["accept"],
        tolerance=settings["tolerance"],
        accuracy_loss=settings["accuracy_loss"],
    )


def small_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_model("convnet", filters=[8], convolutions=1)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Exports a family's default model for each runtime, once; gives its folder and the table."""
    exports: dict[str, tuple[Path, pd.DataFrame]] = {}

    def once(family: str) -> tuple[Path, pd.DataFrame]:
        if family not in exports:
            keras.utils.set_random_seed(0)
            folder = tmp_path_factory.mktemp(family) / "saved"
            table = export(build_model(family), folder, list(RUNTIMES))
            exports[family] = folder, table.set_index("runtime")
        return exports[family]

    return once


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_in_each_runtime(family: str, exported: Callable[[str], Any]) -> None:
    folder, table = exported(family)
    assert list(table.index) == ["saved_model", *RUNTIMES]
    assert (table.loc[["saved_model", "onnx", "litert"], "largest_difference"] < 1e-5).all()
    assert (table.loc[["saved_model", "onnx", "litert"], "accuracy"] == 1).all()
    assert table["largest_difference"]["litert_int8"] > 1e-5
    assert table["bytes"]["litert_int8"] < table["bytes"]["litert"]
    for name, runtime in RUNTIMES.items():
        assert table["bytes"][name] == (folder / runtime.file).stat().st_size


@pytest.mark.slow
def test_one_image_and_many(exported: Callable[[str], Any]) -> None:
    folder, _ = exported("convnet")
    for name in ("onnx", "litert"):
        predict = RUNTIMES[name].load(folder / RUNTIMES[name].file)
        one = predict(images(7)[:1]).probabilities  # the model has allocated memory for one image
        many = predict(images(7)).probabilities
        np.testing.assert_allclose(many[:1], one, atol=1e-6)
        np.testing.assert_allclose(many[:1], predict(images(7)[:1]).probabilities, atol=1e-6)
        np.testing.assert_allclose(many, predict(images(7)).probabilities, atol=0)


def test_without_names_the_saved_model_alone_is_checked(tmp_path: Path) -> None:
    table = export(small_model(), tmp_path / "saved", [])
    assert table["runtime"].tolist() == ["saved_model"]
    with pytest.raises(InputError, match=r"the SavedModel's .* more than tolerance -1"):
        export(small_model(), tmp_path / "other", [], tolerance=-1.0)
    assert not list((tmp_path / "saved").glob("model*"))


@pytest.mark.parametrize(
    ("name", "limits", "message"),
    [
        ("onnx", {"tolerance": 1e-12}, "more than tolerance 1e-12"),
        ("litert_int8", {"accuracy_loss": -1.0}, "of the test accuracy, more than"),
    ],
)
def test_too_large_a_difference_is_refused(
    name: str, limits: dict[str, float], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        export(small_model(), tmp_path / "saved", [name], **limits)


class Bessel(keras.layers.Layer):
    """Has an operation that ONNX and LiteRT lack."""

    def call(self, features: Any) -> Any:
        return tf.math.bessel_i0(features)


class Fourier(keras.layers.Layer):
    """Has an operation that LiteRT writes, and that its interpreter lacks."""

    def call(self, features: Any) -> Any:
        rows = tf.cast(features[:, tf.newaxis], tf.complex64)
        return tf.abs(tf.signal.fft2d(rows))[:, 0]


def model_with(layer: keras.layers.Layer) -> keras.Model:
    pixels = keras.Input((28, 28, 3), dtype="uint8")
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(pixels))
    return keras.Model(pixels, keras.layers.Softmax()(layer(features)), name="small")


@pytest.mark.fault("an operation that a runtime lacks", "one line")
@pytest.mark.parametrize(
    ("layer", "name", "reason"),
    [
        (Bessel, "onnx", "BesselI0"),
        (Bessel, "litert", "BesselI0"),
        (Fourier, "litert", "not supported by this interpreter"),
        (Fourier, "litert_int8", "not supported by this interpreter"),
    ],
)
def test_an_operation_that_a_runtime_lacks_is_named(
    layer: type[keras.layers.Layer], name: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"small cannot be exported for {name}: .*{reason}"):
        export(model_with(layer()), tmp_path / "saved", [name])


@pytest.mark.fault("a package of a runtime that is not installed", "one line")
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"convnet cannot be exported for onnx: .*onnxruntime"):
        export(small_model(), tmp_path / "saved", ["onnx"])


@pytest.mark.parametrize("step", ["write", "load"])
def test_a_bug_is_not_reported_as_bad_input(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    litert = RUNTIMES["litert"]
    failing = litert._replace(write=_fail) if step == "write" else litert._replace(load=_fail)
    monkeypatch.setitem(RUNTIMES, "litert", failing)
    with pytest.raises(RuntimeError, match="a bug"):
        export(small_model(), tmp_path / "saved", ["litert"])


def test_a_bug_in_the_prediction_is_not_reported_as_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNTIMES, "litert", RUNTIMES["litert"]._replace(load=lambda _: _fail))
    with pytest.raises(RuntimeError, match="a bug"):
        export(small_model(), tmp_path / "saved", ["litert"])


@pytest.mark.fault("a disk that is full as a runtime's file is written", "the disk is named")
def test_a_full_disk_is_not_reported_as_a_lacking_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(RUNTIMES, "litert", RUNTIMES["litert"]._replace(write=full))
    with pytest.raises(OSError, match="No space left"):
        export(small_model(), tmp_path / "saved", ["litert"])


def _fail(*_: object) -> Any:
    raise RuntimeError("a bug")


def test_a_file_that_onnx_runtime_cannot_load_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = RUNTIMES["onnx"]._replace(write=_damage, describe=lambda *_: None)
    monkeypatch.setitem(RUNTIMES, "onnx", damaged)
    with pytest.raises(InputError, match="convnet cannot be exported for onnx: "):
        export(small_model(), tmp_path / "saved", ["onnx"])


def _damage(_: keras.Model, file: Path, __: object) -> None:
    file.write_bytes(b"no graph")


@pytest.mark.difference(
    "which of two equal constants tf2onnx keeps", "the names in an ONNX file are numbers in order"
)
def test_an_onnx_graph_has_the_same_bytes_whichever_equal_constant_gave_its_name() -> None:
    contents = []
    for one, two in (("x/weights", "y/bias"), ("z", "a/weights")):
        constants = [
            numpy_helper.from_array(np.full(3, value, np.float32), name)
            for name, value in sorted({one: 1, two: 2}.items())
        ]
        nodes = [
            helper.make_node("Mul", ["images", one], [f"{one}:0"], f"{one}/mul"),
            helper.make_node("Add", [f"{one}:0", two], ["probabilities"], f"{two}/add"),
        ]
        ends = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3])]
            for name in ("images", "probabilities")
        ]
        graph = helper.make_graph(nodes, "graph", ends[0], ends[1], constants)
        runtimes._number_names(graph)
        contents.append(graph.SerializeToString())
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        (result,) = ReferenceEvaluator(model).run(None, {"images": np.ones(3, np.float32)})
        np.testing.assert_array_equal(result, [3, 3, 3])
    assert contents[0] == contents[1]


def test_the_measured_accuracy_and_difference() -> None:
    labels = np.arange(300) % 5
    expected = np.eye(5, dtype=np.float32)[labels]
    probabilities = expected.copy()
    probabilities[:30] = 0.2  # the first class is predicted for these: 6 of 30 are right
    batches = iter(np.split(probabilities, range(BATCH, 300, BATCH)))

    def answer(values: np.ndarray) -> Answers:
        return as_answers({"probabilities": values})

    def right(values: np.ndarray) -> np.ndarray:
        return SingleLabel().right(values, labels, None)

    row = measure(lambda _: answer(next(batches, expected)), images(300), right, answer(expected))
    assert row["accuracy"] == pytest.approx(1 - 24 / 300)
    assert row["accuracy_lost"] == pytest.approx(24 / 300)
    assert row["largest_difference"] == pytest.approx(0.8)
    assert row["ms_1_image"] > 0
    assert row["ms_64_images"] > 0


@pytest.mark.fault("a share to accept that int8's coarse scores cannot keep", "a line says so")
def test_int8_that_may_accept_everything_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export(small_model(), tmp_path / "saved", ["litert_int8"], accept=1.0)
    (line,) = [text for text in caplog.messages if "accept every picture" in text]
    assert line.startswith("litert_int8 may accept every picture: its scores end at ")
