"""Other runtimes answer as the Keras model does, or the export stops and says why."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from classifier.errors import InputError
from classifier.exporting import Classifier, export_saved_model
from classifier.runtimes import BATCH, RUNTIMES, export_runtimes, measure
from conftest import build_model

FAMILIES = ["convnet", "dense", "inception", "lenet", "residual", "separable", "siamese_features"]


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)


def exported(family: str, folder: Path, names: list[str], **more: float) -> pd.DataFrame:
    keras.utils.set_random_seed(0)
    model = build_model(family)
    names_file = folder.parent / "classes.txt"
    names_file.write_text("a\nb\nc\nd\ne\n")
    export_saved_model(Classifier(model, names_file), folder)
    pictures = images(300)
    return export_runtimes(
        names,
        model,
        folder,
        images=pictures,
        labels=model.predict(pictures, verbose=0).argmax(axis=1),
        calibration=images(400),
        **{"tolerance": 1e-5, "accuracy_loss": 1.0} | more,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_in_each_runtime(family: str, tmp_path: Path) -> None:
    table = exported(family, tmp_path / "saved", list(RUNTIMES)).set_index("runtime")
    assert list(table.index) == ["saved_model", *RUNTIMES]
    assert (table.loc[["saved_model", "onnx", "litert"], "largest_difference"] < 1e-5).all()
    assert (table.loc[["saved_model", "onnx", "litert"], "accuracy"] == 1).all()
    assert table["largest_difference"]["litert_int8"] > 1e-5
    assert table["bytes"]["litert_int8"] < table["bytes"]["litert"]
    for name, runtime in RUNTIMES.items():
        assert table["bytes"][name] == (tmp_path / "saved" / runtime.file).stat().st_size


def test_one_image_and_many(tmp_path: Path) -> None:
    exported("convnet", tmp_path / "saved", ["onnx", "litert"])
    for name in ("onnx", "litert"):
        predict = RUNTIMES[name].load(tmp_path / "saved" / RUNTIMES[name].file)
        one = predict(images(7)[:1])  # the number that the model has its memory for
        many = predict(images(7))
        np.testing.assert_allclose(many[:1], one, atol=1e-6)
        np.testing.assert_allclose(many[:1], predict(images(7)[:1]), atol=1e-6)
        np.testing.assert_allclose(many, predict(images(7)), atol=0)


def test_no_names_no_files(tmp_path: Path) -> None:
    assert exported("convnet", tmp_path / "saved", []).empty
    assert not list((tmp_path / "saved").glob("model*"))


@pytest.mark.parametrize(
    ("name", "limits", "message"),
    [
        ("onnx", {"tolerance": 1e-12}, "more than tolerance 1e-12"),
        ("litert_int8", {"accuracy_loss": -1.0}, "of the test accuracy, more than"),
    ],
)
def test_a_difference_too_large_is_refused(
    name: str, limits: dict[str, float], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        exported("convnet", tmp_path / "saved", [name], **limits)


def test_what_cannot_be_converted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RUNTIMES, "onnx", RUNTIMES["onnx"]._replace(write=_refuse))
    with pytest.raises(InputError, match="convnet cannot be exported for onnx: no such op"):
        exported("convnet", tmp_path / "saved", ["onnx"])


def _refuse(*_: object) -> None:
    raise RuntimeError("no such\nop")


def test_measures_are_of_the_answers() -> None:
    labels = np.arange(300) % 5
    expected = np.eye(5, dtype=np.float32)[labels]
    found = expected.copy()
    found[:30] = 0.2  # the first class is given for all of these: 6 of 30 stay right
    answers = iter([found[:BATCH], found[BATCH:]])
    row = measure(lambda _: next(answers, expected), images(300), labels, expected)
    assert row["accuracy"] == pytest.approx(1 - 24 / 300)
    assert row["accuracy_lost"] == pytest.approx(24 / 300)
    assert row["largest_difference"] == pytest.approx(0.8)
    assert row["ms_1_image"] > 0
    assert row["ms_256_images"] > 0
