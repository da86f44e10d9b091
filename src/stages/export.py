"""export: a SavedModel of raw uint8 images and of JPEG or PNG, checked, registered in MLflow."""

import json
import logging
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from classifier.catalog.manifest import read_manifest, split_digest
from classifier.images.preprocessing import PREPROCESSING
from classifier.serving.examples import find_examples, write_examples
from classifier.serving.promotion import Score, check_evaluated, check_thresholds, refusal
from classifier.storage.splits import read_split
from classifier.support.atomic import atomic_folder, write_json
from classifier.support.startup_lines import import_tensorflow
from stages import provenance
from stages.configuration import configured
from stages.layout import ANSWERS, BASE, COMBINED, main_checkout, needed
from stages.lock import locked
from stages.schemas import Export
from stages.sweep import destination, on_main_line, run_name, source
from stages.trained import LINEAGE

REPORT = "evaluation/report.html"  # an artifact of the run
log = logging.getLogger(__name__)


def export(config: Export) -> None:
    metrics = json.loads(source("evaluate", config.pipeline, "metrics.json").read_text("utf-8"))
    check_thresholds(metrics, config.thresholds)
    # Imported late: a mistake in the configuration is found before TensorFlow takes its seconds.
    import_tensorflow()
    from classifier.answers.answers import answering, read_fitted
    from classifier.saved.rounding import order_of_magnitude, significant
    from classifier.saved.saving import fingerprint, load_model
    from classifier.serving.exporting import Classifier, export_saved_model
    from classifier.serving.loading import DRAWINGS
    from classifier.serving.outputs import THRESHOLDS
    from classifier.serving.runtimes import MANY, ONE, export_runtimes

    name = config.pipeline
    model = load_model(source("train", name, "model.keras"))
    weights = fingerprint(model)
    check_evaluated(source("evaluate", name, "weights.sha256"), weights)
    normalized = needed("normalize", name)
    test, labels = read_split(normalized, "test")
    fitted = read_fitted(source("evaluate", name, ANSWERS))
    threshold = fitted.threshold(config.accept)
    with_answers = partial(answering, model, fitted, calibrate=config.calibrate)
    base = json.loads(source("train", name, BASE).read_text("utf-8"))
    preprocessing = needed("normalize", name, PREPROCESSING)
    answers, classes = with_answers(threshold=threshold), normalized / "classes.txt"
    with atomic_folder(destination("export", name)) as folder, TemporaryDirectory() as temporary:
        thresholds = None
        if fitted.thresholds is not None:
            thresholds = Path(temporary, THRESHOLDS)
            by_class = zip(classes.read_text("utf-8").splitlines(), fitted.thresholds, strict=True)
            write_json(thresholds, dict(by_class))
        export_saved_model(Classifier(answers, classes, preprocessing, thresholds), folder)
        if base != {"name": None}:
            write_json(folder / BASE, base)
        if metrics["drawn"]:
            (folder / DRAWINGS).write_text(
                "This model was trained on drawings that the pipeline made itself.\n"
                "Its answers say nothing about photographs.\n",
                "utf-8",
            )
        scaled = f"divided by temperature {fitted.temperature:.4g}"
        calibrated = config.calibrate and fitted.thresholds is None
        log.info(
            "the probabilities are %s; an image with a score above %.4g is none of the classes, as "
            "far as the model can tell (%.2g %% of the validation images)",
            scaled if calibrated else "as trained",
            threshold,
            100 * float((fitted.scores > threshold).mean()),
        )
        runtimes = export_runtimes(
            config.runtimes,
            lambda limit: with_answers(threshold=limit),
            folder,
            images=test,
            labels=labels,
            thresholds=fitted.thresholds,
            calibration=read_split(normalized, "train")[0],
            validation=read_split(normalized, "validation")[0],
            limit=threshold,
            accept=config.accept,
            tolerance=config.tolerance,
            accuracy_loss=config.accuracy_loss,
        )
        # Times, and the exact difference, are in the run alone: the file of DVC has the same
        # bytes each time, on every CPU.
        table = runtimes.drop(columns=[ONE, MANY]).assign(
            accuracy_lost=runtimes["accuracy_lost"].map(significant),
            largest_difference=runtimes["largest_difference"].map(order_of_magnitude),
            score_difference=runtimes["score_difference"].map(order_of_magnitude),
            accepted=runtimes["accepted"].map(partial(significant, digits=4)),
        )
        table.to_csv(folder / "runtimes.csv", index=False, lineterminator="\n")
        write_examples(folder, test, labels)  # now: their bytes are not the model's
        log.info(
            "each exported form on the test split, beside the Keras model:\n%s",
            runtimes.to_string(index=False, float_format="{:.5g}".format),
        )
    # The folder is in place: what is registered can be found there, and not the other way round.
    register(config, model.name, weights, metrics, base, runtimes)


def register(
    config: Export,
    model: str,
    weights: str,
    metrics: dict[str, Any],
    base: dict[str, Any],
    runtimes: pd.DataFrame,
) -> None:
    """Registers the model in MLflow as a candidate, and as champion if it deserves it.

    The aliases follow the main line: the version of an experiment gets none. Of equal weights and
    equal preprocessing, the version that is registered already is taken.
    """
    from classifier import tracking
    from classifier.serving.exporting import ENCODED
    from classifier.serving.loading import DRAWINGS, LITERT
    from classifier.serving.outputs import THRESHOLDS
    from classifier.serving.runtimes import add_to_report

    name = config.pipeline
    classes, preprocessing, trained = (
        needed("normalize", name, "classes.txt"),
        needed("normalize", name, PREPROCESSING),
        source("train", name, "model.keras"),
    )
    exported = destination("export", name)
    files = [classes, preprocessing, trained, *exported.glob(LITERT), *exported.glob(DRAWINGS)]
    files += exported.glob(f"assets/{THRESHOLDS}")
    examples = find_examples(exported)
    files += examples
    index = read_manifest(needed("normalize", name, "index.csv"))
    tested = Score(metrics["accuracy"], split_digest(index, "test"), metrics["drawn"])
    tags = provenance.tags(name) | {"model": model}
    run = tracking.run_of_model(main_checkout(), name, weights, run_name(model), tags)
    store = tracking.store_file(main_checkout())
    with locked(*([store] if store else [])), run as logged:
        same = {
            tracking.FINGERPRINT: weights,
            tracking.PREPROCESSING: preprocessing_digest(
                needed("normalize", name),
                files,
                source("evaluate", name, ANSWERS).read_bytes()
                + f"\0{config.calibrate}\0{config.accept}\0{ENCODED}".encode(),
            ),
        }
        version = tracking.version_with_tags(name, same)
        recorded = tracking.recorded_tags(main_checkout(), f"runs:/{logged.run_id}")
        tags |= {key: text for key, text in recorded.items() if key.startswith(LINEAGE)}
        known = version is not None
        if version is None:
            version = tracking.register_saved_model(
                exported,
                name=name,
                example=examples[0].read_bytes(),
                tags=tags | same,
                files=files,
                metadata={
                    "preprocessing": json.loads(preprocessing.read_text("utf-8")),
                    "base": base,
                },
            )
        began = f"{model} on {base['name']}" if base["name"] else model
        count = (index["split"] == "train").sum()
        what = "all labels " if "mean_average_precision" in metrics else ""
        tracking.tag_version(
            name,
            version,
            tested.tags,
            f"Trained on {count:,} images ({began}): {what}right on {100 * tested.accuracy:.2f} % "
            f"of {metrics['images']:,} test images.",
        )

        def refuse(champion: tracking.TaggedVersion | None) -> str | None:
            other = champion and champion.number != version
            score = Score.of_tags(champion.tags) if champion and other else None
            return refusal(tested, score, metrics, config.thresholds)

        promotion = None
        if on_main_line():
            tracking.set_alias(name, tracking.CANDIDATE, version)
            promotion = tracking.promote(name, version, refuse)
        logged.log_file(classes)
        logged.log_metrics({"runtimes": runtimes.set_index("runtime").to_dict("index")})
        if report := logged.logged_text(REPORT):
            logged.log_text(add_to_report(report, runtimes), REPORT)
    log.info("models:/%s/%d is registered%s", name, version, " already" if known else "")
    if promotion is None and COMBINED in base:
        log.info("it gets no alias, as it is made of other models: name it by its number")
    elif promotion is None:
        log.info(
            "it gets no alias, as it is an experiment: after 'dvc exp apply', "
            "'python -m stages.export pipeline=%s' makes it the candidate",
            name,
        )
    elif promotion.champion and promotion.champion.number == version:
        but = f", although {promotion.refused}" if promotion.refused else ""
        log.info("it is the champion already%s", but)
    elif promotion.refused:
        log.info("not the champion: %s", promotion.refused)
    else:
        before = promotion.champion
        drawings = (
            f"; it replaces version {before.number}, which was trained on drawings"
            if before and Score.of_tags(before.tags).drawn
            else ""
        )
        log.info("it is the champion now%s", drawings)


def preprocessing_digest(normalized: Path, files: list[Path], answers: bytes) -> str:
    """The SHA-256 of what the model does with images, and with probabilities, beside its weights.

    Args:
        normalized: the folder of the normalize stage.
        files: those registered with the model: with another runtime, it is another version.
        answers: what was fitted for the answers, and how it is used.
    """
    digest = sha256(" ".join(sorted(file.name for file in files)).encode())
    for name in ("classes.txt", "statistics.json", PREPROCESSING):
        digest.update(f"\0{name}\0".encode() + (normalized / name).read_bytes())
    digest.update(answers)
    return digest.hexdigest()


if __name__ == "__main__":
    configured(export)()
