"""The model registry: versions of the exported models of a pipeline, and their aliases."""

import re
import shutil
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.store.artifact.utils.models import get_model_name_and_version
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec

from classifier.serving.promotion import DRAWN
from classifier.support.errors import InputError
from classifier.tracking.failures import reaching_the_store, reason
from classifier.tracking.store import check_store

CHAMPION, CANDIDATE = "champion", "candidate"  # aliases of the best and of the latest version
SERVED = Path(__file__).with_name("served.py")  # is copied into each registered model
# MLflow knows no input of two kinds, arrays and pictures: it passes on whatever has this type.
SIGNATURE = ModelSignature(
    Schema([TensorSpec(np.dtype(object), (-1,))]),
    Schema(
        [
            TensorSpec(np.dtype(bool), (-1,), "accepted"),
            TensorSpec(np.dtype(str), (-1,), "class_names"),
            TensorSpec(np.dtype(np.float32), (-1, -1), "probabilities"),
            TensorSpec(np.dtype(np.float32), (-1,), "score"),
        ]
    ),
)
ATTEMPTS = 5  # to set an alias that other processes overwrite


@reaching_the_store()
def registered_keras_model(root: Path, uri: str) -> Path:
    """A local copy of the ``model.keras`` that was registered with a SavedModel.

    Args:
        root: the checkout, as for :func:`open_store`.
        uri: ``models:/<name>@<alias>``, ``models:/<name>/<version>`` or ``runs:/<run>/model``.

    Raises:
        InputError: the store cannot be reached or has no such model, or the model has no
            ``model.keras``.
    """
    check_store(root, f"no model '{uri}'")
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except MlflowException as error:
        raise InputError(f"{uri}: {reason(error)}") from error
    files = sorted(folder.rglob("model.keras"))
    if not files:
        raise InputError(f"{uri} has no model.keras: run 'dvc repro' to register it again")
    return files[0]


class NamedVersion(NamedTuple):
    """What a name of a model means.

    Attributes:
        uri: ``models:/<name>/<version>`` of a registered version, or the URI that was given.
        name: of the registered model; None for another URI.
        version: its number; None for another URI.
        aliases: of the version.
        tags: of the version.
    """

    uri: str
    name: str | None
    version: int | None
    aliases: list[str]
    tags: dict[str, str]

    @property
    def title(self) -> str:
        """The URI, with the aliases and the DVC experiment of the version."""
        if self.version is None:
            return self.uri
        words = [*(self.aliases or ["no alias"]), *experiment(self.tags)]
        return f"{self.uri} ({', '.join(words)})"

    @property
    def drawn(self) -> bool:
        """Whether the version was trained on drawings, as far as its tags say."""
        return self.tags.get(DRAWN) == "true"


def experiment(tags: Mapping[str, str]) -> list[str]:
    """A word for the DVC experiment of a version with these tags, if it is of one."""
    return [f"experiment {tags['dvc.experiment']}"] if "dvc.experiment" in tags else []


@reaching_the_store()
def named_version(root: Path, name: str) -> NamedVersion:
    """The version that a name means at this moment. An alias may point at another one later.

    Args:
        root: the checkout, as for :func:`open_store`.
        name: as for :func:`registered_saved_model`.

    Raises:
        InputError: the store cannot be reached, or no alias says which version is meant.
    """
    check_store(root, f"no model '{name}'")
    client = MlflowClient()
    if ":/" in name:
        parts = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))", name)
        if parts is None:
            return NamedVersion(name, None, None, [], {})
        model, alias, number = parts.groups()
        wanted = [alias] if alias else []
    else:
        model, wanted, number = name, [CHAMPION, CANDIDATE], None
    models = client.search_registered_models(f"name = '{model}'")
    aliases: dict[str, str] = models[0].aliases if models else {}
    number = number or next((aliases[alias] for alias in wanted if alias in aliases), None)
    if not models:
        known = sorted(each.name for each in client.search_registered_models())
        raise InputError(f"no model '{name}': registered: {', '.join(known) or 'none'}")
    if number is None:
        versions = client.search_model_versions(f"name = '{model}'")
        latest = max((int(version.version) for version in versions), default=0)
        choice = f": name one of them, such as models:/{model}/{latest}" if versions else ""
        raise InputError(f"no model '{name}': no {' or '.join(wanted)} among its versions{choice}")
    try:
        tags = client.get_model_version(model, str(number)).tags
    except MlflowException as error:
        raise InputError(f"no model '{name}': {reason(error)}") from error
    names = [alias for alias in _sorted(aliases) if int(aliases[alias]) == int(number)]
    return NamedVersion(f"models:/{model}/{number}", model, int(number), names, tags)


def _sorted(aliases: Mapping[str, Any]) -> list[str]:
    return sorted(aliases, reverse=True)  # champion before candidate


@reaching_the_store()
def fixed_uri(root: Path, uri: str) -> str:
    """The URI of the version that an alias, a stage or ``latest`` means now; others as they are.

    Args:
        root: the checkout, as for :func:`open_store`.
        uri: as for :func:`registered_keras_model`.

    Raises:
        InputError: the store cannot be reached or has no such model.
    """
    if not uri.startswith("models:/"):
        return uri
    check_store(root, f"no model '{uri}'")
    try:
        found = get_model_name_and_version(MlflowClient(), uri)  # or the id of a logged model
    except MlflowException as error:
        raise InputError(f"{uri}: {reason(error)}") from error
    return "models:/" + "/".join(map(str, found))


@reaching_the_store()
def registered_saved_model(root: Path, name: str) -> Path:
    """A local copy of a registered SavedModel, with the files that were registered with it.

    Args:
        root: the checkout, as for :func:`open_store`.
        name: the name of a registered model, which means its ``champion``, or its ``candidate``
            if it has no champion; or ``models:/<name>@<alias>``, ``models:/<name>/<version>`` or
            ``runs:/<run>/model``.

    Raises:
        InputError: the store cannot be reached or has no such model, or the model is not a
            SavedModel.
    """
    uri = named_version(root, name).uri
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except MlflowException as error:
        raise InputError(f"no model '{name}': {reason(error)}") from error
    if not any(folder.rglob("saved_model.pb")):
        raise InputError(f"no model '{name}': {uri} is not a SavedModel")
    return folder


class Version(NamedTuple):
    """A version of a registered model: a title for the user, the ``models:/`` URI, and what
    :func:`tag_version` said of it."""

    title: str
    uri: str
    description: str


class RegisteredModel(NamedTuple):
    """A registered model: the channels of its images, and its versions: the champion, the
    candidate, then the others from the latest to the oldest."""

    name: str
    channels: int
    versions: list[Version]


@reaching_the_store()
def registered_models(root: Path) -> list[RegisteredModel]:
    """The registered models that take images, sorted by name.

    Args:
        root: the checkout, as for :func:`open_store`.

    Raises:
        InputError: the store cannot be reached, or has no such model.
    """
    check_store(root, "no model")
    client = MlflowClient()
    registered = []
    for model in client.search_registered_models(order_by=["name ASC"]):
        versions = client.search_model_versions(f"name = '{model.name}'")
        if not versions:
            continue
        aliases: dict[int, list[str]] = {}
        for alias in _sorted(model.aliases):
            aliases.setdefault(int(model.aliases[alias]), []).append(alias)
        tags = {int(version.version): version.tags for version in versions}
        descriptions = {int(version.version): version.description or "" for version in versions}
        numbers = sorted(tags, reverse=True)
        for alias in (CANDIDATE, CHAMPION):  # not an experiment, which may be the latest version
            numbers.sort(key=lambda number: alias not in aliases.get(number, []))
        channels = _channels(mlflow.models.get_model_info(f"models:/{model.name}/{numbers[0]}"))
        if channels is None:
            continue  # a shared store has other kinds of models
        registered.append(
            RegisteredModel(
                model.name,
                channels,
                [
                    Version(
                        _title(number, aliases.get(number, []), tags[number]),
                        f"models:/{model.name}/{number}",
                        descriptions[number],
                    )
                    for number in numbers
                ],
            )
        )
    if not registered:
        raise InputError("no model is registered: run 'dvc repro' first")
    return registered


def _channels(info: ModelInfo) -> int | None:
    """The channels of a model's images; None if it takes no images."""
    if preprocessing := (info.metadata or {}).get("preprocessing"):
        return int(preprocessing["channels"])
    # Before its signature had encoded pictures, it had the images' shape.
    inputs = info.signature.inputs.inputs if info.signature else []
    shape: tuple[int, ...] = getattr(inputs[0], "shape", ()) if inputs else ()
    return shape[-1] if len(shape) == 4 else None


def _title(number: int, aliases: list[str], tags: Mapping[str, str]) -> str:
    drawn = ["trained on drawings"] if tags.get(DRAWN) == "true" else []
    return ", ".join([f"version {number}", *aliases, *experiment(tags), *drawn])


def register_saved_model(
    saved_model: Path,
    *,
    name: str,
    example: bytes,
    tags: Mapping[str, str],
    files: list[Path],
    metadata: Mapping[str, Any],
) -> int:
    """Logs a SavedModel to MLflow's active run, as MLflow's server runs it, and registers it.

    What it takes and answers is in :class:`classifier.tracking.served.ServedClassifier`.

    Args:
        saved_model: a folder of :func:`classifier.serving.exporting.export_saved_model`.
        name: of the registered model.
        example: an encoded picture, for MLflow's input example.
        tags: of the version, and metadata of the model, which a server of the model has
            (https://mlflow.org/docs/latest/ml/model/, ``Model.metadata``).
        files: are copied next to the SavedModel.
        metadata: of the model in addition, JSON-serializable.

    Returns:
        The number of the new version, which has no alias.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "saved_model")
        for part in ("variables", "assets"):
            shutil.copytree(saved_model / part, folder / part)
        for file in (saved_model / "saved_model.pb", *files):
            shutil.copy(file, folder)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(SERVED),
            artifacts={"saved_model": str(folder)},
            signature=SIGNATURE,
            input_example=np.array([b64encode(example).decode()], object),
            registered_model_name=name,
            pip_requirements=["tensorflow"],
            tags=dict(tags),
            metadata=dict(tags) | dict(metadata),
        )
    version = int(info.registered_model_version)
    tag_version(name, version, tags)
    return version


def tag_version(name: str, version: int, tags: Mapping[str, str], description: str = "") -> None:
    """Sets tags of a version, and its description, which is Markdown, unless that is empty."""
    client = MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(name, str(version), key, value)
    if description:
        client.update_model_version(name, str(version), description)


class TaggedVersion(NamedTuple):
    """The number of a version of a registered model, and its tags."""

    number: int
    tags: dict[str, str]


def version_with_tags(name: str, tags: Mapping[str, str]) -> int | None:
    """The number of the latest complete version that has these tags; None if there is none."""
    versions = MlflowClient().search_model_versions(f"name = '{name}'")
    numbers = [
        int(version.version)
        for version in versions
        if version.status == "READY" and tags.items() <= version.tags.items()
    ]
    return max(numbers, default=None)


def version_of_alias(name: str, alias: str) -> TaggedVersion | None:
    """The version that the alias points at; None if there is no such alias."""
    client = MlflowClient()
    models = client.search_registered_models(f"name = '{name}'")
    number = models[0].aliases.get(alias) if models else None
    if number is None:
        return None
    return TaggedVersion(int(number), client.get_model_version(name, number).tags)


def set_alias(name: str, alias: str, version: int) -> None:
    """Points the alias of a registered model at the version."""
    MlflowClient().set_registered_model_alias(name, alias, str(version))


class Promotion(NamedTuple):
    """What :func:`promote` did.

    Attributes:
        refused: why the version did not become champion; None if it did.
        champion: the champion before; None if there was none.
    """

    refused: str | None
    champion: TaggedVersion | None


def promote(
    name: str, version: int, refusal: Callable[[TaggedVersion | None], str | None]
) -> Promotion:
    """Points the alias ``champion`` at the version, unless ``refusal`` gives a reason not to.

    MLflow cannot compare and set an alias in one step: one request reads it, and another one
    overwrites it without a condition (https://mlflow.org/docs/latest/rest-api.html, "Set Registered
    Model Alias"). Processes that share an embedded store hold a lock around this function. With a
    server, the alias is read again after it was set: if another process has overwritten it
    meanwhile, its version is compared with this one, as any champion. What is left is a champion
    that another process sets between the comparison here and the request that follows it: this one
    overwrites it without a comparison, if the other process has read the alias again before that.

    Args:
        version: the number of the new version.
        refusal: a function of the champion.

    Raises:
        InputError: other processes overwrite the alias again and again.
    """
    for _ in range(ATTEMPTS):
        champion = version_of_alias(name, CHAMPION)
        reason = refusal(champion)
        if reason is not None or (champion and champion.number == version):
            return Promotion(reason, champion)
        set_alias(name, CHAMPION, version)
        now = version_of_alias(name, CHAMPION)
        if now and now.number == version:
            return Promotion(None, champion)
    raise InputError(
        f"the alias {CHAMPION} of {name} is overwritten by other processes: run it again"
    )
