"""train: a Keras model from the chosen groups, its history, and its MLflow run."""

import json
import logging
from dataclasses import asdict

import keras
import numpy as np
from hydra.utils import instantiate

from classifier import tracking
from classifier.atomic import atomic_folder
from classifier.augmentation import from_config
from classifier.data.arrays import read_split
from classifier.data.feed import evaluation_batches, training_batches
from classifier.errors import InputError
from classifier.models.normalization import normalization_layer
from classifier.saving import (
    canonicalize,
    fingerprint,
    load_model,
    save_architecture,
    save_model,
    save_weights,
)
from classifier.training import fit
from stages import provenance
from stages.configuration import configured, pipelines
from stages.layout import main_checkout, needed, output
from stages.schemas import Train

log = logging.getLogger(__name__)


def train(config: Train) -> None:
    keras.utils.set_random_seed(config.seed)
    normalized, augmented = (needed(stage, config.pipeline) for stage in ("normalize", "augment"))
    images, labels = read_split(normalized, "train")
    layers = from_config(json.loads((augmented / "policy.json").read_text("utf-8")))
    if (augmented / "copies.npy").exists():
        copies, copies_labels = read_split(augmented, "copies")
        images, labels = np.concatenate([images, copies]), np.concatenate([labels, copies_labels])
        layers = []
    validation = read_split(normalized, "validation")
    classes = (normalized / "classes.txt").read_text("utf-8").splitlines()
    batches, steps = training_batches(
        images,
        labels,
        classes=len(classes),
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        layers=layers,
        workers=config.workers,
    )
    statistics = json.loads((normalized / "statistics.json").read_text("utf-8"))
    model = build(config, images.shape[1:], len(classes), normalization_layer(statistics))
    rate = config.optimizer["learning_rate"]
    schedule = instantiate(config.schedule, rate, config.epochs * steps)
    optimizer = instantiate(config.optimizer, learning_rate=schedule, _convert_="all")

    experiment = tracking.open_store(main_checkout(), config.pipeline)
    tags = provenance.tags(config.pipeline) | {"seed": str(config.seed), "model": model.name}
    with (
        atomic_folder(output("train", config.pipeline)) as folder,
        tracking.new_run(experiment, provenance.run_name(model.name), tags),
    ):
        tracking.log_params(pipelines()[config.pipeline] | {"train": asdict(config)})
        tracking.log_dataset(images, labels, name=config.pipeline, source=tags["data.location"])
        tracking.log_text(summary(model), "summary.txt")
        history = fit(
            model,
            optimizer,
            batches,
            evaluation_batches(*validation, classes=len(classes), batch_size=256),
            steps=steps,
            epochs=config.epochs,
            best=folder / "best.keras",
            monitor=config.monitor,
            patience=config.patience,
            label_smoothing=config.label_smoothing,
            jit_compile=config.jit_compile,
            steps_per_execution=config.steps_per_execution,
            on_epoch=tracking.log_epoch,
        )
        history.to_csv(folder / "history.csv", index=False, lineterminator="\n")
        save_model(model, folder / "last.keras")
        canonicalize(folder / "best.keras", folder / "model.keras")
        (folder / "best.keras").unlink()
        best = load_model(folder / "model.keras")
        save_architecture(best, folder / "architecture.json")
        save_weights(best, folder / "model.weights.h5")
        tracking.set_tags({tracking.FINGERPRINT: fingerprint(best)})
        tracking.log_file(folder / "history.csv")


def build(
    config: Train, shape: tuple[int, int, int], classes: int, normalization: keras.layers.Layer
) -> keras.Model:
    try:
        return instantiate(config.model, shape, classes, normalization, _convert_="all")
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"model cannot be built: {reason}") from None


def summary(model: keras.Model) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=100)
    return "\n".join(lines)


if __name__ == "__main__":
    configured(train)()
