"""export: a SavedModel that takes raw uint8 images, checked, and registered in MLflow."""

import json
import logging

import numpy as np

from classifier.atomic import atomic_folder
from classifier.data.manifest import read_manifest, split_digest
from classifier.data.splits import read_split
from classifier.promotion import Score, check_evaluated, check_thresholds, refusal
from stages import provenance
from stages.configuration import configured
from stages.layout import main_checkout, needed, output
from stages.schemas import Export
from stages.sweep import run_name

REPORT = "evaluation/report.html"  # of the run
log = logging.getLogger(__name__)


def export(config: Export) -> None:
    metrics = json.loads(needed("evaluate", config.pipeline, "metrics.json").read_text("utf-8"))
    check_thresholds(metrics, config.thresholds)
    # Here, not above: a mistake in the configuration is found before these seconds are spent.
    from classifier import tracking
    from classifier.exporting import Classifier, check_saved_model, export_saved_model
    from classifier.runtimes import MANY, ONE, add_to_report, export_runtimes
    from classifier.saving import fingerprint, load_model
    from classifier.serving import LITERT

    name = config.pipeline
    trained = needed("train", name, "model.keras")
    model = load_model(trained)
    weights = fingerprint(model)
    check_evaluated(needed("evaluate", name, "weights.sha256"), weights)
    normalized, classes = needed("normalize", name), needed("normalize", name, "classes.txt")
    test, labels = read_split(normalized, "test")
    images = np.asarray(test[: config.verify_images])
    expected = model.predict(images, verbose=0)
    index = read_manifest(needed("normalize", name, "index.csv"))
    tested = Score(metrics["accuracy"], split_digest(index, "test"))
    classifier = Classifier(model, classes)
    with atomic_folder(output("export", name)) as folder:
        export_saved_model(classifier, folder)
        difference = check_saved_model(folder, images, expected, config.tolerance)
        runtimes = export_runtimes(
            config.runtimes,
            model,
            folder,
            images=test,
            labels=labels,
            calibration=read_split(normalized, "train")[0],
            tolerance=config.tolerance,
            accuracy_loss=config.accuracy_loss,
        )
        if config.runtimes:
            # Times are the run's alone: DVC's file is the same bytes each time.
            runtimes.drop(columns=[ONE, MANY]).to_csv(folder / "runtimes.csv", index=False)
            log.info("\n%s", runtimes.to_string(index=False, float_format="{:.5g}".format))
        tags = provenance.tags(name) | {"model": model.name}
        with tracking.run_of_model(main_checkout(), name, weights, run_name(model.name), tags):
            version = tracking.register_saved_model(
                classifier,
                classifier.signatures,
                name=name,
                alias=tracking.CANDIDATE,
                images=images[:8],
                probabilities=expected[:8],
                tags=tags | tested.tags | {tracking.FINGERPRINT: weights},
                description=f"{model.name}: {100 * tested.accuracy:.2f} % of "
                f"{metrics['images']:,} test images",
                files=[classes, trained, *folder.glob(LITERT)],
            )
            present = tracking.version_tags(name, tracking.CHAMPION)
            champion = None if present is None else Score.of_tags(present)
            reason = refusal(tested, champion, metrics, config.thresholds)
            if reason is None:
                tracking.set_alias(name, tracking.CHAMPION, version)
            tracking.log_file(classes)
            if config.runtimes:
                tracking.log_metrics({"runtimes": runtimes.set_index("runtime").to_dict("index")})
                if report := tracking.logged_text(REPORT):
                    tracking.log_text(add_to_report(report, runtimes), REPORT)
    log.info("models:/%s/%d, at most %.2g from the Keras model", name, version, difference)
    log.info("it is the champion now" if reason is None else f"not the champion: {reason}")


if __name__ == "__main__":
    configured(export)()
