"""Trained models that a training uses besides its base: the one that it continues, its teacher.

What finds such a model again is fixed before the training: ``last`` becomes the hash that DVC has
for it, an alias of MLflow a version. The hash of its file stands in base.json, and with the run
that made it in the tags of the MLflow run.
"""

import logging
import re
import shutil
from hashlib import file_digest, md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from classifier.support.errors import InputError
from stages.base import version_today
from stages.depends_on import HASH, MLFLOW, RUN, continued_file, taught_by, warn_unless_covered
from stages.dvc_lock import outputs
from stages.layout import located, main_checkout, needed, output
from stages.params import pipelines
from stages.schemas import Train

CLASSES = "classes.txt"
LINEAGE = ("continued.", "teacher.")  # beginnings of the tags of a run that uses such models
log = logging.getLogger(__name__)


class Trained(NamedTuple):
    """A trained model.

    Attributes:
        source: what finds it again: ``md5:<hash>``, a run's id, ``models:/<name>/<version>``, a
            path.
        path: a file in the format of ``.keras``, or the folder of a SavedModel.
        md5: of the file, as DVC has it; of a folder, of the hashes of its files.
        classes: their names; None if they are not known.
        run: the id of the MLflow run that made it; empty if it is not known.
        epochs: that it was trained for, with those of the models that it continues; None if that
            is not known.
    """

    source: str
    path: Path
    md5: str
    classes: list[str] | None = None
    run: str = ""
    epochs: int | None = None

    def tags(self, kind: str) -> dict[str, str]:
        """Tags of a run that uses it, such as ``continued.md5``."""
        epochs = "" if self.epochs is None else str(self.epochs)
        values = {"from": self.source, "md5": self.md5, "run": self.run, "epochs": epochs}
        return {f"{kind}.{key}": text for key, text in values.items() if text}

    def card(self) -> dict[str, str]:
        """What base.json says of it: the same for the same file, whatever MLflow knows."""
        return {"from": self.source, "md5": self.md5}

    def model(self) -> Any:
        """The Keras model."""
        from classifier.saved.saving import load_model

        if self.path.suffix == ".keras":
            return load_model(self.path)
        with TemporaryDirectory() as folder:  # DVC's cache names a file by its hash
            return load_model(Path(shutil.copyfile(self.path, Path(folder, "model.keras"))))


class Given(NamedTuple):
    """The trained models that a training uses besides its base."""

    continued: Trained | None = None
    teacher: Trained | None = None

    def tags(self) -> dict[str, str]:
        """Tags of the run."""
        parts = {"continued": self.continued, "teacher": self.teacher}
        return {
            key: text
            for kind, model in parts.items()
            if model
            for key, text in model.tags(kind).items()
        }

    def card(self, teacher: dict[str, Any]) -> dict[str, Any]:
        """What base.json says of them.

        Args:
            teacher: the configuration of the teacher.
        """
        card: dict[str, Any] = {}
        if self.continued:
            card["continued"] = self.continued.card()
        if self.teacher:
            figures = {key: teacher[key] for key in ("temperature", "alpha") if key in teacher}
            card["teacher"] = self.teacher.card() | figures
        return card

    def hashes(self) -> list[str | None]:
        """What decides the weights of the training beside its configuration."""
        return [model and model.md5 for model in self]


NOTHING = Given()


def with_fixed_models(config: Train) -> Given:
    """Finds the models, and writes into the configuration what finds each of them again.

    Logs a line for each that ``dvc repro`` would not see change.

    Raises:
        InputError: there is no such model.
    """
    name = config.pipeline
    known = pipelines()
    for path in (continued_file(config.continue_from), taught_by(config.teacher, known)):
        warn_unless_covered(name, "train", config.depends_on, path)
    continued = teacher = None
    if config.continue_from is not None:
        continued = continued_model(name, config.continue_from)
        config.continue_from = continued.source
    if config.teacher:
        teacher = _teacher(name, config.teacher.get("source"))
        config.teacher = config.teacher | {"source": teacher.source}
    return Given(continued, teacher)


def continued_model(pipeline: str, source: str) -> Trained:
    """The model that ``continue_from`` means.

    Raises:
        InputError: there is none.
    """
    key = "continue_from"
    if source == "last":
        found = _last(pipeline)
        log.warning(
            "%s last is %s today, and another model after this training: to train from that one "
            "again, set pipelines.%s.train.%s to %s",
            key,
            found.source,
            pipeline,
            key,
            found.source,
        )
        return found
    if source.startswith(HASH):
        return _of_hash(pipeline, source.removeprefix(HASH), key)
    if RUN.fullmatch(source):
        return _of_run(source, key)
    if source.startswith("models:/"):
        return _of_version(pipeline, source, key)
    return _of_file(source, key)


def _teacher(pipeline: str, source: Any) -> Trained:
    key = "teacher.source"
    if not isinstance(source, str):
        raise InputError(
            f"{key} is {source!r}: give a pipeline, models:/<name>@<alias>, a .keras file, or the "
            "folder of a SavedModel"
        )
    if source == pipeline:
        raise InputError(f"{key} is the pipeline itself: name another one")
    if source in pipelines():
        file = needed("train", source, "model.keras")
        classes = needed("normalize", source, CLASSES).read_text("utf-8").splitlines()
        return Trained(source, file, md5_of(file), classes)
    if source.startswith(MLFLOW):
        return _of_version(pipeline, source, key)
    folder = located(source)
    if (folder / "saved_model.pb").is_file():
        names = folder / "assets" / CLASSES
        known = names.read_text("utf-8").splitlines() if names.is_file() else None
        return Trained(source, folder, _md5_of_folder(folder), known)
    return _of_file(source, key)


def _last(pipeline: str) -> Trained:
    """The last epoch of the pipeline's model: its file, or what dvc.lock says that it was.

    DVC deletes the file before it runs the stage.
    """
    file = output("train", pipeline) / "last.keras"
    lock = Path("dvc.lock")
    if file.exists():
        hashed = md5_of(file)
    elif lock.exists():
        from ruamel.yaml import YAML

        stages = (YAML(typ="safe").load(lock) or {}).get("stages", {})
        hashed = outputs(stages).get(file.as_posix(), "")
    else:
        hashed = ""
    if not hashed:
        raise InputError(
            f"continue_from is last, and {pipeline} has no trained model: train it first with "
            f"continue_from=null, 'dvc repro train@{pipeline}'"
        )
    if file.exists():
        return _with_run(pipeline, Trained(f"{HASH}{hashed}", file, hashed))
    return _of_hash(pipeline, hashed, "continue_from")


def _of_hash(pipeline: str, hashed: str, key: str) -> Trained:
    path = _in_cache(hashed)
    if path is None:
        raise InputError(
            f"{key}: neither DVC's cache nor a DVC remote has a file of md5 {hashed}: it was "
            "removed, or never trained here"
        )
    return _with_run(pipeline, Trained(f"{HASH}{hashed}", path, hashed))


def _of_run(source: str, key: str) -> Trained:
    """The last epoch of a run, from DVC's cache; the registered model of the run if it is gone."""
    from classifier import tracking

    uri = source if source.startswith("runs:/") else f"runs:/{source}"
    run = tracking.training_run(main_checkout(), uri)
    hashed = run.tags.get(tracking.LAST)
    path = _in_cache(hashed) if hashed else None
    if path is None or hashed is None:
        log.warning(
            "DVC's cache has no last epoch of run %s: its registered model goes on, the best epoch",
            run.id,
        )
        try:
            path = tracking.registered_keras_model(main_checkout(), f"runs:/{run.id}/model")
        except InputError as error:
            raise InputError(
                f"{key}: run {run.id} has no model: neither DVC's cache nor a DVC remote has its "
                f"last epoch, and none was registered ({error})"
            ) from None
        hashed = md5_of(path)
    return Trained(run.id, path, hashed, run.classes, run.id, _epochs(run.tags))


def _of_version(pipeline: str, source: str, key: str) -> Trained:
    from classifier import tracking

    fixed = version_today(pipeline, key, key, source)
    file = tracking.registered_keras_model(main_checkout(), fixed)
    names = file.with_name(CLASSES)
    classes = names.read_text("utf-8").splitlines() if names.is_file() else None
    found = Trained(fixed, file, md5_of(file), classes)
    try:
        run = tracking.training_run(main_checkout(), fixed)
    except InputError:
        return found  # the run was deleted
    return found._replace(run=run.id, epochs=_epochs(run.tags))


def _of_file(source: str, key: str) -> Trained:
    file = located(source)
    if not file.is_file():
        hint = f"{file} does not exist" if file.suffix else f"there is no '{source}'"
        raise InputError(f"{key} is '{source}': {hint}")
    if file.suffix != ".keras":
        raise InputError(f"{key} is '{source}': must be a .keras file")
    names = file.with_name(CLASSES)
    classes = names.read_text("utf-8").splitlines() if names.is_file() else None
    return Trained(source, file, md5_of(file), classes)


def _with_run(pipeline: str, found: Trained) -> Trained:
    """The model with what MLflow knows of its training, if it knows it."""
    from classifier import tracking

    try:
        run = tracking.run_of_file(main_checkout(), pipeline, found.md5)
    except (InputError, *tracking.STORE_ERRORS) as error:
        log.warning("which run trained %s is not known: %s", found.source, error)
        return found
    if run is None:
        return found
    return found._replace(classes=run.classes, run=run.id, epochs=_epochs(run.tags))


def _epochs(tags: dict[str, str]) -> int | None:
    text = tags.get("epochs", "")
    return int(text) if re.fullmatch(r"\d+", text) else None


def _in_cache(hashed: str) -> Path | None:
    """The file with this hash in DVC's cache, fetched from the DVC remote if need be."""
    # Imported late: these packages take a second.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_objects.errors import ObjectFormatError

    path = None
    try:
        with Repo() as repo:
            path = Path(repo.cache.local.oid_to_path(hashed))
            if not path.exists():
                repo.cloud.pull([HashInfo("md5", hashed)])
    except (DvcException, ObjectFormatError, OSError) as error:
        log.info("DVC gave no file of md5 %s: %s", hashed, " ".join(str(error).split()))
    return path if path and path.exists() else None


def md5_of(file: Path) -> str:
    """The MD5 of a file, by which DVC knows it."""
    with file.open("rb") as content:
        return file_digest(content, "md5").hexdigest()


def _md5_of_folder(folder: Path) -> str:
    total = md5()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{file.relative_to(folder).as_posix()} {md5_of(file)}\n".encode())
    return total.hexdigest()
