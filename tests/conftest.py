"""What tests share: a tiny dataset, a project around it, and stages run in this process."""

import atexit
import dataclasses
import io
import logging.config
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
import yaml
from filelock import FileLock
from PIL import Image

import forkserver

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

ROOT = Path(__file__).resolve().parents[1]
CLASSES = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
SECRET = "correct-horse-battery-staple"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
for variable in ("API_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"):
    os.environ[variable] = SECRET
os.environ |= {"AWS_ACCESS_KEY_ID": "tester", "MLFLOW_TRACKING_USERNAME": "tester"}

# Where the commands of forkserver.py are, shared by all processes of a test run.
if "COMMANDS" not in os.environ:
    os.environ["COMMANDS"] = mkdtemp(prefix="commands-")
    forkserver.write_commands(Path(os.environ["COMMANDS"]))
    atexit.register(shutil.rmtree, os.environ["COMMANDS"])
COMMANDS = Path(os.environ["COMMANDS"])
PYTHON = str(COMMANDS / "python")  # as sys.executable, with the heavy packages loaded

TINY_DATASET = """\
name: tiny
format: folders
file: tiny.tar
sources:
  - kind: folder
    path: {path}
"""

TINY_SECTION = """\
  {name}:
    download: {{groups: {{dataset: {dataset}}}, depends_on: {photos}}}
    split: {{depends_on: conf/split.yaml, official: ignore, validation: 0.2, test: 0.2, seed: 7}}
    normalize: {{image_size: 16, channels: 3}}
    augment: {{groups: {{policy: flowers}}}}
    backbone: {{groups: {{backbone: none}}}}
    train:
      groups:
        model: convnet
        loss: crossentropy
        optimizer: adam
        schedule: constant
        mixing: none
        views: middle
        teacher: none
        strategy: single
      epochs: 2
      batch_size: 8
      model: {{filters: [8], convolutions: 1}}
      depends_on: conf/train.yaml
    evaluate: {{mistakes: 4, unknown: [noise], unknown_images: 8}}
    export: {{runtimes: []}}
"""


def png(colour: tuple[int, int, int], seed: int, size: int = 20) -> bytes:
    """A PNG of one colour with noise, different for each seed."""
    noise = np.random.default_rng(seed).integers(-30, 30, (size, size, 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def write_photos(folder: Path, per_class: int = 15) -> Path:
    """A folder with a sub-folder a class, PNGs inside."""
    for label, (name, colour) in enumerate(CLASSES.items()):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            content = png(colour, seed=1000 * label + number)
            (folder / name / f"{number:03d}.png").write_bytes(content)
    return folder


def write_arrays(project: Path, images: np.ndarray, labels: list[int], keys: str = "") -> None:
    """Makes an .npz of these images and labels, for both splits, the tiny project's dataset.

    Args:
        keys: lines of YAML for the dataset.
    """
    x, y = images, np.array(labels)
    np.savez(project.parent / "arrays.npz", x_train=x, y_train=y, x_test=x[::-1], y_test=y[::-1])
    (project / "conf" / "dataset" / "tiny.yaml").write_text(
        f"name: tiny\nformat: npz\nfile: tiny.npz\n{keys}"
        f"sources:\n  - {{kind: folder, path: {project.parent / 'arrays.npz'}}}\n"
    )


def write_project(folder: Path, pipelines: tuple[str, ...] = ("tiny",)) -> Path:
    """A checkout without git: the code and configuration, and pipelines over a tiny dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    (folder / ".dvc" / "tmp").mkdir(parents=True)
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc")
    shutil.copy(ROOT / ".gitignore", folder)
    photos = write_photos(folder.parent / f"{folder.name}-photos")
    (folder / "conf" / "dataset" / "tiny.yaml").write_text(TINY_DATASET.format(path=photos))
    sections = "".join(
        TINY_SECTION.format(name=name, dataset="tiny", photos=photos) for name in pipelines
    )
    (folder / "params.yaml").write_text(f"pipelines:\n{sections}")
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh tiny project, and the working directory."""
    folder = write_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow's own, of an earlier test
    return folder


@pytest.fixture(scope="session", autouse=True)
def logging_set_up_once() -> None:
    """Hydra sets logging up anew, which closes absl's handler and the stream that it writes to.

    So it is done before a test, or its ``capsys``, puts another stream in that one's place.
    """
    import absl.logging  # noqa: F401  makes the handler, also where no test has imported TensorFlow

    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})


@pytest.fixture(autouse=True)
def handlers_removed() -> Iterator[None]:
    """Removes the log handlers of a command that ran in this process: a later test would write to
    the stream of an earlier one's ``capsys``, which is closed.
    """
    before = logging.root.handlers[:]
    yield
    for handler in logging.root.handlers[:]:
        if handler not in before and type(handler) is logging.StreamHandler:
            logging.root.removeHandler(handler)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random weights in a test, whatever ran before it in this process."""
    if "keras" in sys.modules:
        import keras

        keras.utils.set_random_seed(0)


prepared: list[bool] = []  # whether this process has MLflow's stores copied


def stage(name: str, *overrides: str) -> None:
    """Runs a stage in this process, as its command line would."""
    from stages.configuration import configured

    if "mlflow" in sys.modules and not prepared:
        forkserver.prepare_mlflow(COMMANDS / "mlflow.db")
        prepared.append(True)
    # As in a new process: MLflow keeps the store's address, Keras counts its layers' names.
    if os.environ.get("MLFLOW_TRACKING_URI", "").startswith("sqlite:"):
        del os.environ["MLFLOW_TRACKING_URI"]
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
    arguments, sys.argv = sys.argv, [f"stages.{name}", *overrides]
    try:
        configured(getattr(import_module(f"stages.{name}"), name))()
    finally:
        sys.argv = arguments


def run_stages(folder: Path, *names: str) -> None:
    """Runs stages of the tiny pipeline in ``folder``, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in names:
            stage(name, "pipeline=tiny")


@pytest.fixture
def run_stage(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a stage in the project; gives its exit status, standard error and standard output."""

    def run(name: str, *overrides: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            stage(name, *overrides)
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capsys.readouterr()
        return status, captured.err, captured.out

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project whose seven stages have run; tests only read it.

    All processes of a test run share it. The first that needs it makes it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "finished" / "project"
    with FileLock(shared / "finished.lock"):
        if not folder.exists():
            write_project(folder)
            stages = ("download", "split", "normalize", "augment", "train", "evaluate", "export")
            run_stages(folder, *stages)
    return folder


def build_model(family: str, size: int | tuple[int, int] = 28, **options: Any) -> Any:
    """A model of colour images of this ``image_size`` and 5 classes, options as configured."""
    from classifier.layers.normalization import normalization_layer
    from classifier.support.limits import sides

    config = yaml.safe_load((ROOT / "conf" / "model" / f"{family}.yaml").read_text())
    module, _, function = config.pop("_target_").rpartition(".")
    statistics = {"method": "standardize", "mean": [100.0] * 3, "standard_deviation": [60.0] * 3}
    return getattr(import_module(module), function)(
        (*sides(size), 3), 5, normalization_layer(statistics), **config | options
    )


def fit_options(**changes: Any) -> Any:
    """``FitOptions`` of conf/train.yaml with these changes."""
    from classifier.training.options import FitOptions

    return _options("train", FitOptions, changes)


def session_options(**changes: Any) -> Any:
    """``SessionOptions`` of conf/train.yaml with these changes."""
    from classifier.training.options import SessionOptions

    return _options("train", SessionOptions, changes)


def split_options(**changes: Any) -> Any:
    """``SplitOptions`` of conf/split.yaml with these changes."""
    from classifier.catalog.options import SplitOptions

    return _options("split", SplitOptions, changes)


def _options(stage: str, kind: type, changes: dict[str, Any]) -> Any:
    defaults = yaml.safe_load((ROOT / "conf" / f"{stage}.yaml").read_text())
    values = {field.name: defaults[field.name] for field in dataclasses.fields(kind)}
    return kind(**values | changes)


def experiment_id(client: "MlflowClient", name: str) -> str:
    """The id of an experiment that exists in the client's MLflow store."""
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None, f"no experiment {name}"
    return str(experiment.experiment_id)


def without_store() -> dict[str, str]:
    """The environment, but for the store that MLflow wrote there for an earlier test."""
    return {key: text for key, text in os.environ.items() if key != "MLFLOW_TRACKING_URI"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(folder: Path, *words: str, **environment: str) -> Iterator[str]:
    """Runs a server, a module of this virtual environment, in ``folder`` until the block ends.

    ``{port}`` in its words and environment becomes a free one. Gives its address when it answers.
    """
    port = free_port()
    command = [PYTHON, "-m", *(word.format(port=port) for word in words)]
    variables = without_store() | {key: text.format(port=port) for key, text in environment.items()}
    address, log = f"http://127.0.0.1:{port}", folder / f"{words[0]}.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 120
    try:
        while True:
            try:
                requests.get(address, timeout=10)
                break
            except requests.RequestException:
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def served_mlflow(folder: Path) -> Iterator[str]:
    """A real MLflow server, its runs and artifacts in ``folder``; see :func:`served`."""
    words = ["mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    words += ["--artifacts-destination", str(folder / "artifacts"), "--workers", "1"]
    words += ["--host", "127.0.0.1", "--port", "{port}"]
    # Its jobs evaluate language models, in processes that take seconds to start.
    with served(folder, *words, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false") as address:
        yield address


def run_queue(folder: Path, jobs: int = 1) -> None:
    """Runs the queued experiments, and ends the workers.

    ``dvc exp run --run-all`` waits until the workers end, which they may never do
    (https://github.com/treeverse/dvc/issues/10428).
    """
    begun = time.time() - 1  # a file's time may be a little early
    command("dvc", "queue", "start", "--jobs", str(jobs), cwd=folder)
    deadline = time.monotonic() + 300
    while re.search(r"\b(Queued|Running)\b", command("dvc", "queue", "status", cwd=folder).stdout):
        assert time.monotonic() < deadline
        time.sleep(1)
    for file in (folder / ".dvc" / "tmp" / "exps" / "celery").glob("*.pid"):
        with suppress(OSError, ValueError):
            if file.stat().st_mtime >= begun:  # others have ended: another process has the number
                os.kill(int(file.read_text()), signal.SIGTERM)


def command(
    *words: str,
    cwd: Path,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Runs a program of this virtual environment; its output, both streams in ``stdout``.

    ``python`` and ``dvc``, which the program may start too, are those of forkserver.py.
    """
    path = os.pathsep.join([str(COMMANDS), str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        words,
        cwd=cwd,
        env={**without_store(), "PATH": path, **(env or {}), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert not check or result.returncode == 0, result.stdout
    return result


def commit_all(folder: Path) -> None:
    """Makes the folder a git repository with one commit more."""
    if not (folder / ".git").exists():
        command("git", "init", "-q", cwd=folder)
        command("git", "config", "user.name", "test", cwd=folder)
        command("git", "config", "user.email", "test@example.com", cwd=folder)
    command("git", "add", "-A", cwd=folder)
    command("git", "commit", "-q", "--allow-empty", "-m", "test", cwd=folder)


def write_exported(folder: Path, sharpness: float = 0.01) -> Path:
    """An exported ONNX model, made without TensorFlow: the nearest of CLASSES by the mean colour.

    Args:
        sharpness: more of it makes larger probabilities: another version of the model.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    from classifier.images.preprocessing import PREPROCESSING, Preprocessing
    from classifier.support.atomic import atomic_folder

    names = sorted(CLASSES)
    weights = np.array([CLASSES[name] for name in names], np.float32).T - 90
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["means", "grey"], ["colours"]),
        helper.make_node("MatMul", ["colours", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 16, 16, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(names)])],
        [
            numpy_helper.from_array(np.array([90, 90, 90], np.float32), "grey"),
            numpy_helper.from_array(sharpness / 100 * weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with atomic_folder(folder) as partial:
        (partial / "assets").mkdir()
        (partial / "assets" / "classes.txt").write_text("".join(f"{name}\n" for name in names))
        preprocessing = Preprocessing(image_size=16, channels=3, fit="crop")
        preprocessing.write(partial / "assets" / PREPROCESSING)
        (partial / "runtimes.csv").write_text("runtime,bytes,accuracy\nonnx,1,0.75\n")
        save(model, partial / "model.onnx")
    return folder
