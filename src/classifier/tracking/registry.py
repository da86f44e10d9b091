"""The model registry: versions of a pipeline's exported models, and their aliases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient

from classifier.errors import InputError
from classifier.tracking.outage import reaching_the_store, reason
from classifier.tracking.store import use_store

CHAMPION, CANDIDATE = "champion", "candidate"  # aliases: the best version so far, the latest one


@reaching_the_store()
def registered_keras_model(root: Path, uri: str) -> Path:
    """A local copy of the ``model.keras`` that was registered with a SavedModel.

    Args:
        root: the checkout, as for :func:`open_store`.
        uri: ``models:/<name>@<alias>``, ``models:/<name>/<version>`` or ``runs:/<run>/model``.

    Raises:
        InputError: the store has no such model, or it holds no Keras model.
    """
    _check_store(root, f"no model '{uri}'")
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except MlflowException as error:
        raise InputError(f"base {uri}: {reason(error)}") from error
    found = sorted(folder.rglob("model.keras"))
    if not found:
        raise InputError(f"base {uri} holds no model.keras: run 'dvc repro' to register it anew")
    return found[0]


@reaching_the_store()
def registered_saved_model(root: Path, name: str) -> Path:
    """A local copy of a registered SavedModel, and of the files that were kept beside it.

    Args:
        root: the checkout, as for :func:`open_store`.
        name: a registered model, whose ``champion`` is taken, or ``candidate`` where there is
            none; or ``models:/<name>@<alias>``, ``models:/<name>/<version>`` or
            ``runs:/<run>/model``.

    Raises:
        InputError: the store has no such model, it is no SavedModel, or the store cannot be
            reached.
    """
    _check_store(root, f"no model '{name}'")
    uris = (
        [name] if ":/" in name else [f"models:/{name}@{alias}" for alias in (CHAMPION, CANDIDATE)]
    )
    why = ""
    for uri in uris:
        try:
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        except MlflowException as error:
            why = reason(error)
            continue
        if any(folder.rglob("saved_model.pb")):
            return folder
        why = f"{uri} is no SavedModel"
    known = sorted(model.name for model in MlflowClient().search_registered_models())
    raise InputError(f"no model '{name}': {why}; registered: {', '.join(known) or 'none'}")


def _check_store(root: Path, missing: str) -> None:
    if use_store(root) and not (root / "mlflow.db").exists():
        raise InputError(f"{missing}: {root} has no MLflow store; run 'dvc repro' first")


class Version(NamedTuple):
    """A version of a registered model: what to call it, and its ``models:/`` URI."""

    title: str
    uri: str


class RegisteredModel(NamedTuple):
    """A registered model: its images' channels, and its versions, champion and latest first."""

    name: str
    channels: int
    versions: list[Version]


@reaching_the_store()
def registered_models(root: Path) -> list[RegisteredModel]:
    """The registered models of images, by name.

    Args:
        root: the checkout, as for :func:`open_store`.

    Raises:
        InputError: there is none, or the store cannot be reached.
    """
    _check_store(root, "no model")
    client = MlflowClient()
    found = []
    for model in client.search_registered_models(order_by=["name ASC"]):
        versions = client.search_model_versions(f"name = '{model.name}'")
        if not versions:
            continue
        aliases: dict[int, list[str]] = {}
        for alias, number in sorted(model.aliases.items(), reverse=True):
            aliases.setdefault(int(number), []).append(alias)
        # The champion's number first, then the latest.
        numbers = sorted((int(version.version) for version in versions), reverse=True)
        numbers.sort(key=lambda number: CHAMPION not in aliases.get(number, []))
        info = mlflow.models.get_model_info(f"models:/{model.name}/{numbers[0]}")
        inputs = info.signature.inputs.inputs if info.signature else []
        shape: tuple[int, ...] = getattr(inputs[0], "shape", ()) if inputs else ()
        if len(shape) != 4:
            continue  # a shared store has models of other kinds
        found.append(
            RegisteredModel(
                model.name,
                shape[-1],
                [
                    Version(
                        ", ".join([f"version {number}", *aliases.get(number, [])]),
                        f"models:/{model.name}/{number}",
                    )
                    for number in numbers
                ],
            )
        )
    if not found:
        raise InputError("no model is registered: run 'dvc repro' first")
    return found


def register_saved_model(
    module: Any,
    signatures: Any,
    *,
    name: str,
    alias: str,
    images: np.ndarray,
    probabilities: np.ndarray,
    tags: Mapping[str, str],
    description: str,
    files: list[Path],
) -> int:
    """Logs a ``tf.Module`` as a SavedModel, registers it as ``name`` and points ``alias`` at it.

    Args:
        module: called with uint8 (N, H, W, C), gives float32 (N, classes).
        images, probabilities: an example of both, for signature and input example.
        tags, description: of the version; the description is Markdown.
        files: kept beside the model.

    Returns:
        The registered version.
    """
    info = mlflow.tensorflow.log_model(
        module,
        name="model",
        signature=infer_signature(images, probabilities),
        input_example=images[:1],
        saved_model_kwargs={"signatures": signatures},
        registered_model_name=name,
        extra_files=[str(path) for path in files],
        pip_requirements=["tensorflow"],
        tags=dict(tags),
    )
    version = info.registered_model_version
    client = MlflowClient()
    client.update_model_version(name, version, description)
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    set_alias(name, alias, int(version))
    return int(version)


def set_alias(name: str, alias: str, version: int) -> None:
    """Points the registered model's alias at the version."""
    MlflowClient().set_registered_model_alias(name, alias, str(version))


def version_tags(name: str, alias: str) -> dict[str, str] | None:
    """The tags of the version that the alias points at; None if it points at none."""
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        return None
    aliases = client.get_registered_model(name).aliases
    return client.get_model_version(name, aliases[alias]).tags if alias in aliases else None
