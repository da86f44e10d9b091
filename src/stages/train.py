"""train: a Keras model from the chosen groups, its history, and its MLflow run."""

import logging
import time
from dataclasses import asdict
from typing import Any

from stages import provenance
from stages.base import based
from stages.configuration import build, configured, pipelines
from stages.layout import checkpoints, main_checkout, needed
from stages.schemas import Train
from stages.sweep import destination, report_sweep, run_name, sweep
from stages.turn import turn

log = logging.getLogger(__name__)


def train(config: Train) -> float:
    # Here, not above: a mistake in the configuration is found before these seconds are spent.
    from classifier import session

    session.begin(config)
    workers = build("strategy", config.strategy)
    with workers.strategy.scope():
        return train_on(workers, config)


def train_on(workers: Any, config: Train) -> float:
    from classifier import model_size, saving, tracking, training
    from classifier.atomic import atomic_folder
    from classifier.checkpoint import training_key, unfinished
    from classifier.data import feed, training_set
    from classifier.phases import plan

    name, batch_size = config.pipeline, workers.batch_size(config.batch_size)
    folders = [needed("normalize", name), needed("augment", name)]
    data = training_set.read_training_set(*folders)
    steps = feed.steps_per_epoch(len(data.images), batch_size)
    mixing = build("mixing", config.mixing, dtype="float32")
    model = build("model", based(config.model), data.shape, data.classes, data.preprocessing)
    views = build("views", config.views, data.shape)

    def optimizer(share: float, epochs: int) -> tuple[Any, Any]:
        peak = workers.factor * share * config.optimizer["learning_rate"]
        rate = build("schedule", config.schedule, peak, epochs * steps)
        return build("optimizer", config.optimizer, learning_rate=rate.value), rate.callbacks

    phases = plan(model, config, optimizer)
    key = training_key(asdict(config) | {"outage": ""}, folders, model)
    progress = workers.folder(checkpoints(key))
    target = destination("train", name) if workers.chief else progress / "unused"
    tags = provenance.tags(name) | {"seed": str(config.seed), "model": model.name}
    params = pipelines()[name] | {"train": asdict(config)}
    title = run_name(model.name)
    run = tracking.unlogged()
    if workers.chief:
        run = tracking.resumed_run(
            main_checkout(), name, title, params, tags, progress / "run", config.outage, sweep()
        )
    with turn(progress, target), unfinished(progress), atomic_folder(target) as folder, run:
        tracking.log_data(data.images, data.labels, name, source=tags["data.location"])
        tracking.log_text(training.summary(model), "summary.txt")
        tracking.log_metrics({"model": model_size.model_size(model)})
        begun = time.perf_counter()
        history = training.fit(
            model,
            phases,
            data.batches(batch_size, seed=config.seed, mixing=mixing, workers=config.workers),
            data.validation_batches(),
            config,
            steps=steps,
            class_weights=training.class_weights(config.class_weight, data.labels, data.classes),
            folder=progress,
            on_epoch=tracking.log_epoch,
        )
        seconds = time.perf_counter() - begun
        best = training.best_value(history, config.monitor)
        tracking.log_metrics({"training_seconds": seconds, f"best_{config.monitor}": best})
        history.to_csv(folder / "history.csv", index=False, lineterminator="\n")
        tracking.log_file(folder / "history.csv")
        saved = saving.save_forms(model, progress / "best.keras", folder, views)
        tracking.set_tags({tracking.FINGERPRINT: saving.fingerprint(saved)})
    log.info("%d epochs in %.0f s", len(history), seconds)
    report_sweep(name, f"best_{config.monitor}")
    return best if config.monitor.endswith("accuracy") else -best  # more is better


if __name__ == "__main__":
    configured(train)()
