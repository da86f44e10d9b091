"""Saved models, the same bytes for the same model: whole, architecture alone, weights alone."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from classifier.atomic import atomic_path
from classifier.errors import InputError
from classifier.views import Views, averaged

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can say


def save_model(model: keras.Model, path: Path) -> None:
    """Saves architecture, weights and optimizer state as a ``.keras`` archive, atomically.

    Keras writes the date, zip times and memory addresses into it; they are made constant.

    Raises:
        InputError: ``path`` is an HDF5 file.
    """
    _refuse_hdf5(path)
    raw = path.with_name(f"raw-{path.name}")
    model.save(raw)
    canonicalize(raw, path)
    raw.unlink()


def save_forms(
    last: keras.Model, checkpoint: Path, folder: Path, views: Views | None = None
) -> keras.Model:
    """Saves a training's result in every form, and returns the best epoch's model.

    ``model.keras`` is the best epoch (from ``checkpoint``), with the mean of its answers to
    ``views`` where there are any; ``last.keras`` is the last epoch, as it was trained;
    ``architecture.json`` and ``model.weights.h5`` are the two parts of the best one, which
    computes in float32 also where training did not: not every runtime knows another type.
    """
    save_model(last, folder / "last.keras")
    best = load_model(checkpoint)
    mixed = [of for of in best._flatten_layers() if of.dtype_policy.name.startswith("mixed_")]
    for layer in mixed:
        layer.dtype_policy = "float32"
    if views is not None:
        best = averaged(best, views)
    if mixed or views is not None:
        save_model(best, folder / "model.keras")
    else:
        canonicalize(checkpoint, folder / "model.keras")
    best = load_model(folder / "model.keras")
    save_architecture(best, folder / "architecture.json")
    save_weights(best, folder / "model.weights.h5")
    return best


def canonicalize(source: Path, destination: Path) -> None:
    """Rewrites a ``.keras`` archive, atomically, without what differs between two equal models.

    That is ``date_saved`` in its metadata, the zip members' times, and the ``shared_object_id``
    of its configuration, which are memory addresses.
    """
    with (
        zipfile.ZipFile(source) as old,
        atomic_path(destination) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as new,
    ):
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name == "metadata.json":
                content = _dump({**json.loads(content), "date_saved": "1980-01-01@00:00:00"})
            elif name == "config.json":
                content = _dump(_renumbered(json.loads(content), {}))
            new.writestr(zipfile.ZipInfo(name, EPOCH), content)


def _renumbered(node: Any, numbers: dict[int, int]) -> Any:
    if isinstance(node, dict):
        return {
            key: numbers.setdefault(value, len(numbers) + 1)
            if key == "shared_object_id" and isinstance(value, int)
            else _renumbered(value, numbers)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_renumbered(value, numbers) for value in node]
    return node


def _dump(content: Any) -> bytes:
    return json.dumps(content, indent=1).encode()


def save_architecture(model: keras.Model, path: Path) -> None:
    """Saves the architecture alone, as JSON for ``keras.models.model_from_json``."""
    content = _renumbered(json.loads(model.to_json()), {})
    path.write_bytes(_dump(content) + b"\n")


def load_architecture(path: Path) -> keras.Model:
    """A model of the architecture that :func:`save_architecture` wrote, with new weights.

    ``load_weights`` of what it gives takes a file of :func:`save_weights`.
    """
    _register_layers()
    return keras.models.model_from_json(path.read_text("utf-8"))


def save_weights(model: keras.Model, path: Path) -> None:
    """Saves the weights alone, as HDF5 for ``model.load_weights``; ``path`` ends in .weights.h5."""
    model.save_weights(path)


def load_model(path: Path) -> keras.Model:
    """The whole model from a ``.keras`` archive, in Keras's safe mode: it brings no code.

    Raises:
        InputError: ``path`` is an HDF5 file.
    """
    _refuse_hdf5(path)
    _register_layers()
    return keras.saving.load_model(path)


def _register_layers() -> None:
    import classifier.batch_normalization
    import classifier.normalization  # noqa: F401  Keras knows their layers from now on


def _refuse_hdf5(path: Path) -> None:
    if path.suffix in (".h5", ".hdf5"):
        raise InputError(
            f"{path}: HDF5 is Keras's legacy format for a whole model, without its safe mode and "
            "without the state of custom layers: use .keras; .weights.h5 is for weights alone"
        )


def fingerprint(model: keras.Model) -> str:
    """The SHA-256 of the weights' names, shapes, types and values, in hexadecimal."""
    digest = hashlib.sha256()
    for variable in model.weights:
        value = np.ascontiguousarray(variable.numpy())
        digest.update(f"{variable.path} {value.shape} {value.dtype}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
