"""train: a Keras model from the chosen groups, its history, and its MLflow run."""

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from classifier.support.directions import higher_is_better
from classifier.support.errors import InputError
from classifier.support.startup_lines import import_tensorflow
from stages import provenance
from stages.base import base_card, with_base_file, with_fixed_base
from stages.configuration import build, choice, configured
from stages.layout import BASE, checkpoints, main_checkout, needed, run_folder
from stages.lock import locked
from stages.params import pipelines
from stages.schemas import Train
from stages.sweep import destination, of_seeds, report_sweep, run_name, sweep
from stages.sweep import tags as sweep_tags
from stages.trained import NOTHING, Given, md5_of, with_fixed_models

log = logging.getLogger(__name__)


def train(config: Train) -> float:
    if config.class_weight == config.sampling == "balanced":
        raise InputError(
            "class_weight and sampling are both balanced, so that the images of a rare class would "
            "count twice as often as they should: set one of them"
        )
    # Imported late: a mistake in the configuration is found before TensorFlow takes its seconds.
    import_tensorflow()
    from classifier.training import session

    session.begin(config)
    workers = build("strategy", config.strategy)
    with workers.strategy.scope():
        return train_with(workers, config)


def train_with(workers: Any, config: Train) -> float:
    from classifier import tracking
    from classifier.saved import model_size, saving
    from classifier.saved.rounding import TRAINING_DIGITS, significant_table
    from classifier.support.atomic import atomic_folder, write_json
    from classifier.tracking.loggers import watched_by
    from classifier.training.checkpoint import training_key, unfinished
    from classifier.training.fit import best_value, fit
    from classifier.training.training_set import read_training_set

    name = config.pipeline
    config.model = with_fixed_base(config)
    given = with_fixed_models(config)
    folders = [needed("normalize", name), needed("augment", name)]
    data = read_training_set(*folders)
    model, feed, phases = assemble(config, workers, data, given)
    feed.report()
    views = build("views", config.views, data.shape)
    values = asdict(config) | {"outage": "", "depends_on": "", "continue_from": given.hashes()}
    key = training_key({name: values[name] for name in values if name != "logger"}, folders, model)
    progress = workers.folder(checkpoints(key))
    loggers = live(config, progress) if workers.chief else []
    target = destination("train", name) if workers.chief else progress / "unused"
    tags = provenance.tags(name) | {"seed": str(config.seed), "model": model.name} | given.tags()
    logged = start_run(config, tags, progress / "run") if workers.chief else tracking.unlogged()
    writing = atomic_folder(target)
    with locked(progress, target), unfinished(progress), writing as folder, logged as run:
        run.log_data(data.images, data.labels, name, source=tags["data.location"])
        run.log_file(folders[0] / "classes.txt")
        run.log_text(model_size.summary(model), "summary.txt")
        if changes := provenance.uncommitted():
            run.log_text(changes, "git.diff")
        run.log_metrics({"model": model_size.model_size(model)})
        start = time.perf_counter()
        with watched_by(loggers, model) as show:

            def on_epoch(epoch: int, row: dict[str, float]) -> None:
                run.log_epoch(epoch, row)
                show(epoch, row)

            history = fit(
                model, phases, feed, data.validation_batches(), config, progress, on_epoch
            )
        seconds = time.perf_counter() - start
        best = best_value(history, config.monitor)
        run.log_metrics({"training_seconds": seconds, f"best_{config.monitor}": best})
        table = significant_table(history, TRAINING_DIGITS)
        table.to_csv(folder / "history.csv", index=False, lineterminator="\n")
        card = base_card(name, config.model) | given.card(config.teacher)
        write_json(folder / BASE, card)
        run.log_file(folder / "history.csv")
        saved = saving.save_forms(model, progress / "best.keras", folder, views)
        if of_seeds():  # the folder is deleted; stages.combine takes the models of several
            run.log_file(folder / "model.keras")
        run.set_tags({tracking.FINGERPRINT: saving.fingerprint(saved)})
        run.set_tags(after(folder / "last.keras", len(history), given))
    kept = int(history["epoch"][history["kept"] == 1].iloc[0])
    log.info(
        "%d epochs in %.0f s; the best one is epoch %d, with a %s of %.4f",
        len(history),
        seconds,
        kept,
        config.monitor,
        best,
    )
    report_sweep(name, f"best_{config.monitor}")
    return best if higher_is_better(config.monitor) else -best  # Optuna maximizes it


def after(last: Path, epochs: int, given: Given) -> dict[str, str]:
    """Tags by which a later training finds this one: the last epoch's model, and all epochs."""
    from classifier import tracking

    before = given.continued.epochs if given.continued else 0
    total = {} if before is None else {"epochs": str(before + epochs)}
    return {tracking.LAST: md5_of(last)} | total


def assemble(
    config: Train, workers: Any, data: Any, given: Given = NOTHING
) -> tuple[Any, Any, list[Any]]:
    """The model, its training batches, and the phases of its training.

    Args:
        workers: of the strategy.
        data: of :func:`classifier.training.training_set.read_training_set`.
        given: of :func:`stages.trained.with_fixed_models`.
    """
    import keras

    from classifier.training.feed import TrainingFeed
    from classifier.training.outputs import check_outputs

    check_task(config, data.task)
    feed = TrainingFeed(
        images=data.images,
        labels=data.labels,
        classes=data.classes,
        batch_size=workers.batch_size(config.batch_size),
        seed=config.seed,
        layers=data.layers,
        mixing=build("mixing", config.mixing, dtype="float32"),
        class_weights=data.class_weights(config.class_weight),
        sampling=config.sampling,
        workers=config.workers,
        replicas=workers.strategy.num_replicas_in_sync,
    )
    chosen = with_base_file(config.pipeline, config.model)
    model = build("model", chosen, data.shape, data.classes, data.preprocessing)
    if isinstance(model, keras.Model):
        data.task.with_last_activation(model)
    check_outputs(model, data.images, data.classes, data.task)
    # A user's own function may leave the name to Keras. Keras refuses a slash in a name.
    model.name = choice("model").replace("/", "_")
    state = continued(model, data, given)
    if given.teacher:
        teach(model, config, data, given.teacher)
    return model, feed, plan_phases(model, config, feed, workers.factor, state)


def continued(model: Any, data: Any, given: Given) -> Any:
    """Gives the model the weights that the training goes on from, if there are some.

    Returns:
        What their optimizer knows; None for a new training.
    """
    from classifier.training.continuation import continue_from

    trained = given.continued
    if trained is None:
        return None
    place = f"continue_from {trained.source}"
    return continue_from(model, trained.model(), place, (data.class_names, trained.classes))


def teach(model: Any, config: Train, data: Any, trained: Any) -> None:
    """Lets the model learn from its teacher, beside the labels."""
    from classifier.training.continuation import check_images_and_classes
    from classifier.training.distillation import load_teacher

    try:
        teacher = load_teacher(trained.path)
    except ValueError as error:
        raise InputError(f"teacher.source {error}") from None
    place = f"teacher {trained.source}"
    check_images_and_classes(teacher, model, place, (data.class_names, trained.classes))
    build("teacher", config.teacher, model, teacher)
    log.info(
        "%s teaches: the training loss is %.3g of what it says of each image, and %.3g of the "
        "labels; the validation loss is that of the labels",
        trained.source,
        config.teacher.get("alpha", 1.0),
        1 - config.teacher.get("alpha", 1.0),
    )


def check_task(config: Train, task: Any) -> None:
    """Checks that the options are those of the task of the data.

    Raises:
        InputError: they are for another one.
    """
    options = {"class_weight": config.class_weight, "sampling": config.sampling}
    if refused := task.refusal(**options, taught=bool(config.teacher)):
        raise InputError(refused)
    if (name := config.monitor.removeprefix("val_")) not in task.monitors:
        raise InputError(
            f"monitor is {config.monitor}, and the training of these labels has no {name}: set "
            f"{' or '.join(f'val_{known}' for known in task.monitors)}"
        )


def plan_phases(model: Any, config: Train, feed: Any, factor: int, state: Any = None) -> list[Any]:
    """The phases of the training: each has the loss, an optimizer and a schedule of its own.

    Args:
        state: of :func:`continued`.
    """
    from classifier.training.losses import check_loss
    from classifier.training.phases import plan

    loss = build("loss", config.loss, label_smoothing=config.label_smoothing)
    check_loss(loss, model.output_shape[-1], feed.task)

    def optimizer(fraction: float, epochs: int) -> tuple[Any, Any]:
        peak = factor * fraction * config.optimizer["learning_rate"]
        rate = build("schedule", config.schedule, peak, epochs * feed.steps_per_epoch)
        return build("optimizer", config.optimizer, learning_rate=rate.value), rate.callbacks

    phases = plan(model, config, optimizer, continued=state)
    if config.teacher and phases[0].on_features:
        log.info("the head trains on images, not on features: its teacher sees the same images")
        phases[0] = phases[0]._replace(on_features=False)
    return [phase._replace(loss=loss) for phase in phases]


def live(config: Train, progress: Path) -> list[Any]:
    """The Keras callbacks that show the training while it runs, besides MLflow."""
    if not config.logger:
        return []
    folder, run = destination("live", config.pipeline), run_folder(config.pipeline, progress)
    preview = needed("augment", config.pipeline, "preview.png")
    return [build("logger", node, folder, run, preview) for node in config.logger.values()]


def start_run(config: Train, tags: dict[str, str], remembered: Path) -> Any:
    """The MLflow run of this training, new or continued; a context."""
    from classifier import tracking

    name, params = config.pipeline, run_params(config)
    title, belongs = run_name(tags["model"]), sweep(name)
    tags = tags | sweep_tags(belongs)
    parent = belongs.name if belongs else None
    return tracking.resumed_run(
        main_checkout(), name, title, params, tags, remembered, config.outage, parent
    )


def run_params(config: Train) -> dict[str, Any]:
    """The parameters that the run has: the pipeline's sections, and all values of the training."""
    # As text: MLflow refuses a class's name in the name of a parameter.
    values = asdict(config) | {"class_weight": str(config.class_weight)}
    del values["logger"]
    return pipelines()[config.pipeline] | {"train": values}


if __name__ == "__main__":
    configured(train)()
