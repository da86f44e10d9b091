"""export: the SavedModel answers as the Keras model does, from the folder and from MLflow."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import invocations
from mlflow.tracking import MlflowClient

from classifier import tracking
from classifier.apps import classify
from classifier.images.preprocessing import PREPROCESSING
from classifier.reporting.calibration import apply_temperature
from classifier.saved.saving import fingerprint, load_model
from classifier.serving.loading import load_classifier, load_saved_model
from classifier.support.errors import InputError
from conftest import (
    CLASSES,
    PYTHON,
    command,
    experiment_id,
    png,
    without_store,
    write_project,
)

Run = Callable[..., tuple[int, str, str]]


def calibrated(project: Path, images: np.ndarray) -> np.ndarray:
    """The trained model's probabilities with the temperature that evaluate fitted."""
    metrics = json.loads((project / "reports" / "tiny" / "metrics.json").read_text())
    trained = load_model(project / "models" / "tiny" / "model.keras").predict(images, verbose=0)
    return apply_temperature(trained, metrics["calibration"]["temperature"])


def test_saved_model_takes_raw_images(finished: Path) -> None:
    folder = finished / "exports" / "tiny"
    examples = {f"example-00{label}.png" for label in range(3)}
    names = {path.name for path in folder.iterdir()}
    assert names == {"saved_model.pb", "variables", "assets", "runtimes.csv", *examples}
    assert (folder / "assets" / "classes.txt").read_text() == "blue\ngreen\nred\n"
    normalized = finished / "data" / "normalized" / "tiny"
    assert (folder / "assets" / PREPROCESSING).read_bytes() == (
        normalized / PREPROCESSING
    ).read_bytes()
    images = np.load(finished / "data" / "normalized" / "tiny" / "test.npy")
    expected = calibrated(finished, images)
    answer = tf.saved_model.load(folder).signatures["serving_default"](images=tf.constant(images))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
    names = np.array(["blue", "green", "red"])[expected.argmax(axis=1)]
    assert [name.decode() for name in answer["class_names"].numpy()] == names.tolist()


def test_registered_version_gives_the_same(finished: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{finished / 'mlflow.db'}")
    client = MlflowClient()
    version = client.get_model_version_by_alias("tiny", "candidate")
    assert version.tags["data.source"] == "folder"
    assert version.description is not None
    assert version.description.endswith(" % of 9 test images.")
    model = mlflow.pyfunc.load_model("models:/tiny@candidate")
    normalized = finished / "data" / "normalized" / "tiny"
    assert model.metadata.metadata["preprocessing"] == json.loads(
        (normalized / PREPROCESSING).read_text()
    )
    assert model.metadata.metadata["weights_sha256"] == version.tags["weights_sha256"]
    assert model.metadata.metadata["pipeline"] == "tiny"
    images = np.load(finished / "data" / "normalized" / "tiny" / "test.npy")
    expected = calibrated(finished, images)
    answers = model.predict(images)
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-6)
    assert answers["accepted"].shape == answers["score"].shape == (9,)
    with pytest.raises(ValueError, match="images have to be uint8, not int16"):
        model.predict(images.astype(np.int16))
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    assert version.run_id == run.info.run_id


def photos_of_test(finished: Path) -> list[bytes]:
    """The PNGs of the test split, in the order of its arrays."""
    index = pd.read_csv(finished / "data" / "normalized" / "tiny" / "index.csv")
    photos = finished.parent / "project-photos"
    return [(photos / name).read_bytes() for name in index["id"][index["split"] == "test"]]


def test_encoded_pictures_get_the_answers_of_images(finished: Path) -> None:
    folder = finished / "exports" / "tiny"
    images = np.load(finished / "data" / "normalized" / "tiny" / "test.npy")
    signatures = tf.saved_model.load(folder).signatures
    (contents,) = signatures["encoded"].structured_input_signature[1].values()
    assert (contents.name, contents.dtype, contents.shape) == ("image_bytes", tf.string, [None])
    expected = signatures["serving_default"](images=tf.constant(images))
    answers = signatures["encoded"](image_bytes=tf.constant(photos_of_test(finished)))
    assert set(answers) == {"accepted", "class_names", "probabilities", "score"}
    # The last bit of a few pixels differs.
    np.testing.assert_allclose(answers["probabilities"], expected["probabilities"], atol=1e-3)
    assert answers["class_names"].numpy().tolist() == expected["class_names"].numpy().tolist()


def test_mlflows_server_takes_base64_and_arrays(finished: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{finished / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model("models:/tiny@candidate")
    images = np.load(finished / "data" / "normalized" / "tiny" / "test.npy")
    expected = calibrated(finished, images)
    texts = [base64.b64encode(photo).decode() for photo in photos_of_test(finished)]

    def served(**request: Any) -> np.ndarray:
        """What the server answers to this JSON: probabilities."""
        response = invocations(
            json.dumps(request), "application/json", model, model.metadata.get_input_schema()
        )
        answers = json.loads(response.response)["predictions"]
        assert set(answers["class_names"]) <= set(CLASSES)
        return np.array(answers["probabilities"])

    np.testing.assert_allclose(served(inputs=images.tolist()), expected, atol=1e-6)
    np.testing.assert_allclose(served(inputs=texts), expected, atol=1e-3)
    np.testing.assert_allclose(served(instances=texts), expected, atol=1e-3)
    for request, message in {
        "not base64!": "Only base64 data is allowed",
        "aGVsbG8=": "Unknown image file format",
        "": "Input is empty",
    }.items():
        with pytest.raises(MlflowException) as error:
            served(inputs=[request])
        assert message in json.loads(error.value.serialize_as_json())["stack_trace"]


@pytest.mark.slow
@pytest.mark.difference(
    "the states of a SavedModel's random seeds, its random fingerprint",
    "the weights alone are constants; the fingerprint left out",
)
def test_same_model_same_bytes_in_two_processes(finished: Path, project: Path) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    contents = []
    for _ in range(2):
        command(PYTHON, "-m", "stages.export", "pipeline=tiny", cwd=project)
        files = [path for path in sorted(Path("exports/tiny").rglob("*")) if path.is_file()]
        contents.append({str(path): path.read_bytes() for path in files})
    assert len(contents[0]) == 9
    assert contents[0] == contents[1]


OTHER_CPUS = {
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "one thread": {"TF_NUM_INTRAOP_THREADS": "1"},
}


@pytest.mark.slow
@pytest.mark.difference(
    "another kind of CPU for evaluate and export, the same weights",
    "figures have the digits that they agree on, and orders follow from rounded figures",
)
def test_same_weights_same_bytes_with_the_instructions_of_another_cpu(
    finished: Path, project: Path
) -> None:
    for name in ("data", "models"):
        shutil.copytree(finished / name, project / name)
    contents = []
    asked = "runtimes=[onnx,litert,litert_int8]"
    for variables in ({}, *OTHER_CPUS.values()):
        # Not PYTHON, in which TensorFlow has read its variables.
        for words in (["evaluate"], ["export", asked, "accuracy_loss=1"]):
            module = f"stages.{words[0]}"
            rest = ["pipeline=tiny", *words[1:]]
            command(sys.executable, "-m", module, *rest, cwd=project, env=variables)
        folders = (project / "reports", project / "exports")
        files = [path for folder in folders for path in sorted(folder.rglob("*"))]
        contents.append({str(path): path.read_bytes() for path in files if path.is_file()})
    assert len(contents[0]) > 20
    for name, content in zip(OTHER_CPUS, contents[1:], strict=True):
        differing = [path for path in contents[0] if contents[0][path] != content.get(path)]
        assert not differing, name


def test_the_saved_model_holds_each_weight_once_as_a_constant(finished: Path) -> None:
    folder = finished / "exports" / "tiny"
    model = load_model(finished / "models" / "tiny" / "model.keras")
    largest = max(model.get_weights(), key=np.size)
    assert (folder / "saved_model.pb").read_bytes().count(largest.tobytes()) == 1
    assert not tf.saved_model.load(folder).signatures["serving_default"].variables


def test_a_store_that_never_saw_the_training_gets_a_run(
    run_stage: Run, finished: Path, project: Path
) -> None:
    for name in ("data", "models"):
        shutil.copytree(finished / name, project / name)
    assert run_stage("evaluate", "pipeline=tiny")[0] == 0
    assert run_stage("export", "pipeline=tiny")[0] == 0
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    assert "test.accuracy" in run.data.metrics
    assert client.get_model_version_by_alias("tiny", "candidate").run_id == run.info.run_id


@pytest.mark.slow
def test_champion_is_the_best_so_far_that_passes_the_thresholds(
    run_stage: Run, finished: Path, project: Path
) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    file = project / "reports" / "tiny" / "metrics.json"

    def export(accuracy: float, *overrides: str) -> tuple[str, dict[str, str]]:
        metrics = json.loads(file.read_text())
        file.write_text(json.dumps(metrics | {"accuracy": accuracy}))
        change_weights(project)
        status, _, output = run_stage("export", "pipeline=tiny", *overrides)
        assert status == 0
        return output.splitlines()[-2], client.get_registered_model("tiny").aliases

    least = "+thresholds.accuracy=0.7"
    line, aliases = export(0.6, least)
    assert line == "not the champion: its accuracy is 0.6000, below the threshold of 0.7000"
    assert aliases == {"candidate": 1}
    assert export(0.8, least) == ("it is the champion now", {"candidate": 2, "champion": 2})
    line, aliases = export(0.75, least)
    assert line == "not the champion: its accuracy is 0.7500, the champion's 0.8000"
    assert aliases == {"candidate": 3, "champion": 2}
    assert export(0.8, least)[1] == {"candidate": 4, "champion": 4}


def change_weights(project: Path) -> None:
    """Makes the trained model another one, which was evaluated."""
    file = project / "models" / "tiny" / "model.keras"
    model = load_model(file)
    model.set_weights([1.001 * weight for weight in model.get_weights()])
    model.save(file)
    (project / "reports" / "tiny" / "weights.sha256").write_text(fingerprint(model))


@pytest.mark.slow
def test_equal_weights_and_equal_preprocessing_are_one_version(
    run_stage: Run, finished: Path, project: Path
) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    metrics = project / "reports" / "tiny" / "metrics.json"

    def export(*overrides: str) -> list[str]:
        status, _, output = run_stage("export", "pipeline=tiny", *overrides)
        assert status == 0
        return output.splitlines()[-3:-1]

    assert export() == ["models:/tiny/1 is registered", "it is the champion now"]
    changed = json.loads(metrics.read_text()) | {"accuracy": 0.25}  # on other test images
    metrics.write_text(json.dumps(changed))
    already = ["models:/tiny/1 is registered already", "it is the champion already"]
    assert export() == already
    assert client.get_model_version("tiny", "1").tags["test.accuracy"] == "0.25"
    already[1] += ", although its accuracy is 0.2500, below the threshold of 0.5000"
    assert export("+thresholds.accuracy=0.5") == already
    statistics = project / "data" / "normalized" / "tiny" / "statistics.json"
    statistics.write_text(statistics.read_text() + "\n")
    assert export()[0] == "models:/tiny/2 is registered"
    assert client.get_registered_model("tiny").aliases == {"candidate": 2, "champion": 2}


@pytest.mark.fault("the export is interrupted while it registers", "its folder is in place")
def test_a_model_is_registered_after_its_folder_is_in_place(
    run_stage: Run, finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    found = []

    def register(*_: object) -> None:
        found.append((project / "exports" / "tiny" / "saved_model.pb").exists())
        raise KeyboardInterrupt

    monkeypatch.setattr("stages.export.register", register)
    assert run_stage("export", "pipeline=tiny")[0] == 130
    assert found == [True]


@pytest.mark.slow
@pytest.mark.fault("two exports of a pipeline at once", "one after the other: one version")
def test_two_exports_at_once_register_one_version(finished: Path, tmp_path: Path) -> None:
    """DVC experiments export at once, each in its copy of the checkout."""
    folders = [write_project(tmp_path / name) for name in ("project", "copy")]
    for folder, name in product(folders, ("data", "models", "reports")):
        shutil.copytree(finished / name, folder / name)
    words = [PYTHON, "-m", "stages.export", "pipeline=tiny"]
    environment = without_store() | {"DVC_ROOT": str(folders[0])}
    exports = [subprocess.Popen(words, cwd=folder, env=environment) for folder in folders]
    assert [export.wait() for export in exports] == [0, 0]
    client = MlflowClient(f"sqlite:///{folders[0] / 'mlflow.db'}")
    assert len(client.search_model_versions("name = 'tiny'")) == 1
    assert client.get_registered_model("tiny").aliases == {"candidate": 1, "champion": 1}


@pytest.mark.fault("a version of a DVC experiment alone", "`classify` asks which one is meant")
def test_an_experiment_gets_no_alias_until_it_is_applied(
    run_stage: Run, finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    with monkeypatch.context() as experiment:
        experiment.setenv("DVC_EXP_NAME", "rosy-gnat")
        experiment.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
        status, _, output = run_stage("export", "pipeline=tiny")
    assert status == 0
    assert output.splitlines()[-2].startswith("it gets no alias, as it is an experiment: ")
    assert client.get_registered_model("tiny").aliases == {}
    with pytest.raises(InputError, match="no champion or candidate among its versions: name one"):
        tracking.named_version(project, "tiny")
    title = "models:/tiny/1 (no alias, experiment rosy-gnat)"
    assert tracking.named_version(project, "models:/tiny/1").title == title
    assert run_stage("export", "pipeline=tiny")[2].splitlines()[-3:-1] == [
        "models:/tiny/1 is registered already",
        "it is the champion now",
    ]
    # A later experiment is not what the page shows first.
    change_weights(project)
    monkeypatch.setenv("DVC_EXP_NAME", "coy-lynx")
    assert run_stage("export", "pipeline=tiny")[0] == 0
    assert client.get_registered_model("tiny").aliases == {"candidate": 1, "champion": 1}
    client.delete_registered_model_alias("tiny", "champion")
    (model,) = tracking.registered_models(project)
    assert [version.title for version in model.versions] == [
        "version 1, candidate, experiment rosy-gnat",
        "version 2, experiment coy-lynx",
    ]


@pytest.mark.slow
@pytest.mark.fault("a model of drawings answers", "`classify` and the page say so")
def test_a_model_of_drawings_is_a_candidate_that_says_so(
    run_stage: Run,
    finished: Path,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    described = project / "data" / "raw" / "tiny" / "source.json"
    evaluated = project / "reports" / "tiny" / "metrics.json"

    def export(drawn: bool) -> str:
        for file in (described, evaluated):
            file.write_text(json.dumps(json.loads(file.read_text()) | {"drawn": drawn}))
        status, _, output = run_stage("export", "pipeline=tiny", "runtimes=[litert]")
        assert status == 0
        return output.splitlines()[-2]

    def answers_by(model: str) -> str:
        picture = tmp_path / "red.png"
        picture.write_bytes(png(CLASSES["red"], seed=1))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
        monkeypatch.setattr(sys, "argv", ["classify", model, str(picture), "--format", "jsonl"])
        capsys.readouterr()
        with pytest.raises(SystemExit):
            classify.main()
        captured = capsys.readouterr()
        entry = json.loads(captured.out)
        drawings = "drawings" in captured.err
        assert entry["model"]["drawn"] is drawings
        return captured.err.splitlines()[-1]

    assert export(drawn=True) == (
        "not the champion: it was trained on drawings, and is a candidate only"
    )
    assert client.get_registered_model("tiny").aliases == {"candidate": 1}
    drawings = "drawings, which say nothing about photographs"
    assert (
        answers_by("tiny")
        == f"classify: answers come from models:/tiny/1 (candidate), trained on {drawings}"
    )
    assert (
        answers_by("exports/tiny")
        == f"classify: answers come from exports/tiny, trained on {drawings}"
    )
    (model,) = tracking.registered_models(project)
    assert model.versions[0].title == "version 1, candidate, trained on drawings"
    client.set_registered_model_alias("tiny", "champion", "1")  # of a store of before
    change_weights(project)
    replaced = "it is the champion now; it replaces version 1, which was trained on drawings"
    assert export(drawn=False) == replaced
    assert client.get_registered_model("tiny").aliases == {"candidate": 2, "champion": 2}
    assert answers_by("tiny") == "classify: answers come from models:/tiny/2 (champion, candidate)"
    assert answers_by("exports/tiny") == "classify: answers come from exports/tiny"


def test_a_threshold_of_no_metric_stops_before_any_work(
    run_stage: Run, finished: Path, project: Path
) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    status, error, _ = run_stage("export", "pipeline=tiny", "+thresholds.acuracy=0.7")
    assert status == 1
    assert error.splitlines()[-1].endswith("no metric 'acuracy': did you mean 'accuracy'?")
    assert not (project / "exports").exists()


@pytest.mark.slow
def test_other_runtimes_are_written_checked_and_shown(
    run_stage: Run, finished: Path, project: Path
) -> None:
    for name in ("data", "models"):
        shutil.copytree(finished / name, project / name)
    assert run_stage("evaluate", "pipeline=tiny")[0] == 0
    for _ in range(2):  # the second replaces the first's table
        asked = "runtimes=[onnx,litert,litert_int8]"
        assert run_stage("export", "pipeline=tiny", asked, "accuracy_loss=1")[0] == 0
    folder = project / "exports" / "tiny"
    table = pd.read_csv(folder / "runtimes.csv").set_index("runtime")
    assert list(table) == [
        "bytes",
        "threshold",
        "accuracy",
        "accuracy_lost",
        "largest_difference",
        "score_difference",
        "accepted",
    ]
    for name, file in {"onnx": "model.onnx", "litert": "model.tflite"}.items():
        assert table["bytes"][name] == (folder / file).stat().st_size
        assert table["largest_difference"][name] < 1e-5
    images = np.load(project / "data" / "normalized" / "tiny" / "test.npy")
    expected = load_saved_model(folder).predict(images)
    for place in (folder, tracking.registered_saved_model(project, "tiny")):
        classifier = load_classifier(place)
        assert classifier.shape == (16, 16, 3)
        assert classifier.classes == sorted(CLASSES)
        np.testing.assert_allclose(classifier.predict(images), expected, atol=1e-5)
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    (run,) = client.search_runs([experiment_id(client, "tiny")])
    assert run.data.metrics["runtimes.litert_int8.ms_1_image"] > 0
    report = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/evaluation/report.html")
    assert report.count("<h2>Runtimes</h2>") == 1
    assert report.index("<td>litert_int8</td>") < report.index("<h2>How it was made</h2>")


def test_litert_answers_without_tensorflow(
    run_stage: Run, finished: Path, project: Path, tmp_path: Path
) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    assert run_stage("export", "pipeline=tiny", "runtimes=[litert]")[0] == 0
    picture = tmp_path / "red.png"
    picture.write_bytes(png(CLASSES["red"], seed=1))
    script = (
        "import sys; from classifier.apps import classify; "
        f"sys.argv = ['classify', 'exports/tiny', {str(picture)!r}]; "
        "sys.exit = lambda status: print(status, 'tensorflow' in sys.modules); classify.main()"
    )
    # Not PYTHON, which has TensorFlow loaded.
    lines = command(sys.executable, "-c", script, cwd=project).stdout.splitlines()
    assert lines[-2].startswith(str(picture))
    assert lines[-1] == "0 False"


def test_an_unknown_runtime_is_refused(run_stage: Run) -> None:
    status, error, _ = run_stage("export", "pipeline=tiny", "runtimes=[onyx]")
    assert status == 1
    assert "must be one of onnx | litert | litert_int8" in error


@pytest.mark.parametrize("share", ["0", "1.5"])
def test_a_share_to_accept_is_above_0_to_1(run_stage: Run, share: str) -> None:
    status, error, _ = run_stage("export", "pipeline=tiny", f"accept={share}")
    assert status == 1
    assert "accept" in error.splitlines()[-1]
