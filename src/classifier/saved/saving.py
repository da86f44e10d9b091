"""Saved models, the same bytes for the same model: whole, only architecture, only weights."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from classifier.layers.keras_private import flatten_layers
from classifier.layers.views import Views, averaged
from classifier.support.atomic import atomic_path
from classifier.support.errors import InputError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip archive


def save_model(model: keras.Model, path: Path) -> None:
    """Saves architecture, weights and optimizer state as a ``.keras`` archive, atomically.

    What Keras writes of dates, zip times and memory addresses is made constant.

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
    """Saves the result of a training in every form, and returns the model of the best epoch.

    It writes ``model.keras``, the model of the best epoch; ``last.keras``, the model of the last
    epoch; and ``architecture.json`` and ``model.weights.h5``, the two parts of the former. The
    model of the best epoch always computes in float32, which every runtime supports.

    Args:
        last: the model after the last epoch.
        checkpoint: a ``.keras`` file of the best epoch.
        folder: that the files are written to.
        views: test-time augmentation of the best model; None is without.
    """
    save_model(last, folder / "last.keras")
    best = load_model(checkpoint)
    layers = flatten_layers(best)
    mixed = [layer for layer in layers if layer.dtype_policy.name.startswith("mixed_")]
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
    best.save_weights(folder / "model.weights.h5")
    return best


def canonicalize(source: Path, destination: Path) -> None:
    """Rewrites a ``.keras`` archive, atomically, so that equal models have equal bytes.

    It makes constant: ``date_saved`` in the metadata, the times of the zip members, and
    ``shared_object_id`` in the configuration, which is a memory address.
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
    """The configuration with ``shared_object_id`` 1, 2, 3 in the order of their first use."""
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
    """Saves only the architecture, as JSON for :func:`load_architecture`."""
    content = _renumbered(json.loads(model.to_json()), {})
    path.write_bytes(_dump(content) + b"\n")


def load_architecture(path: Path) -> keras.Model:
    """A model of an architecture from :func:`save_architecture`, with new weights.

    Its ``load_weights`` reads ``model.weights.h5`` of :func:`save_forms`.
    """
    _register_classes()
    return keras.models.model_from_json(path.read_text("utf-8"))


def load_model(path: Path) -> keras.Model:
    """The whole model of a ``.keras`` archive, in Keras's safe mode: no code of the archive runs.

    Raises:
        InputError: ``path`` is an HDF5 file.
    """
    _refuse_hdf5(path)
    _register_classes()
    return keras.saving.load_model(path)


def _register_classes() -> None:
    import classifier.layers.batch_normalization
    import classifier.layers.normalization
    import classifier.saved.class_metrics
    import classifier.saved.later_schedule  # noqa: F401  importing registers their classes


def _refuse_hdf5(path: Path) -> None:
    if path.suffix in (".h5", ".hdf5"):
        raise InputError(
            f"{path}: HDF5 is Keras's legacy format for a whole model, without its safe mode and "
            "without the state of custom layers: use .keras; .weights.h5 is for weights only"
        )


def fingerprint(model: keras.Model) -> str:
    """The SHA-256 of the weights' paths, shapes, dtypes and values, in hexadecimal."""
    digest = hashlib.sha256()
    for variable in model.weights:
        value = np.ascontiguousarray(variable.numpy())
        digest.update(f"{variable.path} {value.shape} {value.dtype}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
