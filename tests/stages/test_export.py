"""export: the SavedModel answers as the Keras model does, from the folder and from MLflow."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from mlflow.tracking import MlflowClient

from classifier import tracking
from classifier.saving import load_model
from classifier.serving import load_classifier, load_saved_model
from conftest import CLASSES, command, png

Run = Callable[..., tuple[int, str, str]]


def test_saved_model_takes_raw_images(finished: Path) -> None:
    folder = finished / "exports" / "tiny"
    assert {path.name for path in folder.iterdir()} == {"saved_model.pb", "variables", "assets"}
    assert (folder / "assets" / "classes.txt").read_text() == "blue\ngreen\nred\n"
    images = np.load(finished / "data" / "normalized" / "tiny" / "test.npy")
    expected = load_model(finished / "models" / "tiny" / "model.keras").predict(images, verbose=0)
    answer = tf.saved_model.load(folder).signatures["serving_default"](images=tf.constant(images))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
    names = np.array(["blue", "green", "red"])[expected.argmax(axis=1)]
    assert [name.decode() for name in answer["class_names"].numpy()] == names.tolist()


def test_registered_version_gives_the_same(finished: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{finished / 'mlflow.db'}")
    client = MlflowClient()
    version = client.get_model_version_by_alias("tiny", "candidate")
    assert version.tags["data.source"] == "folder"
    assert version.description.endswith(" % of 9 test images")
    model = mlflow.pyfunc.load_model("models:/tiny@candidate")
    assert model.metadata.signature.inputs.inputs[0].type == np.uint8
    images = np.load(finished / "data" / "normalized" / "tiny" / "test.npy")
    expected = load_model(finished / "models" / "tiny" / "model.keras").predict(images, verbose=0)
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-6)
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert version.run_id == run.info.run_id


@pytest.mark.difference(
    "the states of a SavedModel's random seeds, its random fingerprint",
    "the weights alone are constants; the fingerprint left out",
)
def test_same_model_same_bytes_in_two_processes(finished: Path, project: Path) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    contents = []
    for _ in range(2):
        command(sys.executable, "-m", "stages.export", "pipeline=tiny", cwd=project)
        files = [path for path in sorted(Path("exports/tiny").rglob("*")) if path.is_file()]
        contents.append({str(path): path.read_bytes() for path in files})
    assert len(contents[0]) == 4
    assert contents[0] == contents[1]


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
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert "test.accuracy" in run.data.metrics
    assert client.get_model_version_by_alias("tiny", "candidate").run_id == run.info.run_id


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
        status, _, output = run_stage("export", "pipeline=tiny", *overrides)
        assert status == 0
        return output.splitlines()[-1], client.get_registered_model("tiny").aliases

    least = "+thresholds.accuracy=0.7"
    line, aliases = export(0.6, least)
    assert line == "not the champion: its accuracy is 0.6000, below the threshold of 0.7000"
    assert aliases == {"candidate": 1}
    assert export(0.8, least) == ("it is the champion now", {"candidate": 2, "champion": 2})
    line, aliases = export(0.75, least)
    assert line == "not the champion: its accuracy is 0.7500, the champion's 0.8000"
    assert aliases == {"candidate": 3, "champion": 2}
    assert export(0.8, least)[1] == {"candidate": 4, "champion": 4}


def test_a_threshold_of_no_metric_stops_before_any_work(
    run_stage: Run, finished: Path, project: Path
) -> None:
    for name in ("data", "models", "reports"):
        shutil.copytree(finished / name, project / name)
    status, error, _ = run_stage("export", "pipeline=tiny", "+thresholds.acuracy=0.7")
    assert status == 1
    assert error.splitlines()[-1].endswith("no metric 'acuracy': did you mean 'accuracy'?")
    assert not (project / "exports").exists()


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
    assert list(table) == ["bytes", "accuracy", "accuracy_lost", "largest_difference"]
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
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
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
        "import sys; from classifier import predict; "
        f"sys.argv = ['predict', 'exports/tiny', {str(picture)!r}]; "
        "sys.exit = lambda status: print(status, 'tensorflow' in sys.modules); predict.main()"
    )
    lines = command(sys.executable, "-c", script, cwd=project).stdout.splitlines()
    assert lines[-2].startswith(str(picture))
    assert lines[-1] == "0 False"


def test_an_unknown_runtime_is_refused(run_stage: Run) -> None:
    status, error, _ = run_stage("export", "pipeline=tiny", "runtimes=[onyx]")
    assert status == 1
    assert "must be one of onnx | litert | litert_int8" in error
