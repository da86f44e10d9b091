"""train: a Keras model from the chosen groups, its history, and its MLflow run."""

import json
import logging
import time
from dataclasses import asdict

from stages import provenance
from stages.configuration import build, configured, pipelines
from stages.layout import main_checkout, needed, output
from stages.schemas import Train

log = logging.getLogger(__name__)


def train(config: Train) -> None:
    # Here, not above: a mistake in the configuration is found before these seconds are spent.
    import keras

    from classifier import augmentation, tracking
    from classifier.atomic import atomic_folder
    from classifier.data.arrays import read_split, with_copies
    from classifier.data.feed import evaluation_batches, training_batches
    from classifier.normalization import normalization_layer
    from classifier.saving import fingerprint, save_forms
    from classifier.training import fit, summary

    keras.utils.set_random_seed(config.seed)
    normalized, augmented = (needed(stage, config.pipeline) for stage in ("normalize", "augment"))
    classes = (normalized / "classes.txt").read_text("utf-8").splitlines()
    images, labels = read_split(normalized, "train")
    policy = augmentation.from_config(json.loads((augmented / "policy.json").read_text("utf-8")))
    if (augmented / "copies.npy").exists():
        images, labels, policy = *with_copies(images, labels, augmented), []
    batches, steps = training_batches(
        images,
        labels,
        classes=len(classes),
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        layers=policy,
        workers=config.workers,
    )
    validation = evaluation_batches(*read_split(normalized, "validation"), classes=len(classes))

    statistics = json.loads((normalized / "statistics.json").read_text("utf-8"))
    first = normalization_layer(statistics)
    model = build("model", config.model, images.shape[1:], len(classes), first)
    peak = config.optimizer["learning_rate"]
    rate = build("schedule", config.schedule, peak, config.epochs * steps)
    optimizer = build("optimizer", config.optimizer, learning_rate=rate)

    experiment = tracking.open_store(main_checkout(), config.pipeline)
    tags = provenance.tags(config.pipeline) | {"seed": str(config.seed), "model": model.name}
    with (
        atomic_folder(output("train", config.pipeline)) as folder,
        tracking.new_run(experiment, provenance.run_name(model.name), tags),
    ):
        tracking.log_params(pipelines()[config.pipeline] | {"train": asdict(config)})
        tracking.log_dataset(images, labels, name=config.pipeline, source=tags["data.location"])
        tracking.log_text(summary(model), "summary.txt")
        begun = time.perf_counter()
        history = fit(
            model,
            optimizer,
            batches,
            validation,
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
        seconds = time.perf_counter() - begun
        tracking.log_metrics({"training_seconds": seconds})
        history.to_csv(folder / "history.csv", index=False, lineterminator="\n")
        best = save_forms(model, folder / "best.keras", folder)
        tracking.set_tags({tracking.FINGERPRINT: fingerprint(best)})
        tracking.log_file(folder / "history.csv")
    top = history["val_accuracy"].max()
    log.info("%d epochs in %.0f s, val_accuracy up to %.4f", len(history), seconds, top)


if __name__ == "__main__":
    configured(train)()
