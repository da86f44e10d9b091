"""evaluate: the best epoch's model on the test split: metrics, tables, pictures, a report."""

import json
import logging

import numpy as np
import pandas as pd

from classifier.atomic import atomic_folder, write_json
from classifier.data.arrays import read_split
from classifier.data.manifest import read_manifest
from classifier.pictures import write_grid
from stages import provenance
from stages.configuration import configured
from stages.layout import main_checkout, needed, output
from stages.schemas import Evaluate
from stages.sweep import run_name

log = logging.getLogger(__name__)


def evaluate(config: Evaluate) -> None:
    # Here, not above: a mistake in the configuration is found before these seconds are spent.
    from classifier import evaluation, tracking
    from classifier.architecture import draw_architecture
    from classifier.charts import draw_confusion, draw_history
    from classifier.model_size import model_size
    from classifier.report import render_report
    from classifier.saving import fingerprint, load_model

    name = config.pipeline
    source = json.loads(needed("download", name, "source.json").read_text("utf-8"))
    normalized = needed("normalize", name)
    classes = (normalized / "classes.txt").read_text("utf-8").splitlines()
    index = read_manifest(normalized / "index.csv")
    images, labels = read_split(normalized, "test")
    history = pd.read_csv(needed("train", name, "history.csv"))
    model = load_model(needed("train", name, "model.keras"))
    size = model_size(model)

    probabilities = model.predict(np.asarray(images), batch_size=config.batch_size, verbose=0)
    metrics = {"source": source["source"], "drawn": source["drawn"]}
    metrics |= evaluation.compute_metrics(labels, probabilities)
    predictions = evaluation.predictions_table(
        index["id"][index["split"] == "test"], labels, probabilities, classes
    )
    confusion = evaluation.confusion_table(labels, probabilities, classes)
    by_class = evaluation.class_table(labels, probabilities, classes)
    mistakes = evaluation.worst_mistakes(predictions, config.mistakes)

    with atomic_folder(output("evaluate", name)) as folder:
        write_json(folder / "metrics.json", metrics)
        predictions.to_csv(folder / "predictions.csv", index=False, lineterminator="\n")
        by_class.to_csv(folder / "classes.csv", index=False, lineterminator="\n")
        confusion.to_csv(folder / "confusion.csv", lineterminator="\n")
        draw_architecture(model, folder / "architecture.png", title=f"{name}: {model.name}")
        draw_history(history, folder / "history.png", title=f"{name}: training")
        draw_confusion(confusion, folder / "confusion.png", title=f"{name}: test split")
        write_grid(
            folder / "mistakes.png",
            images[mistakes.index.to_numpy(dtype=int)],
            columns=8,
            captions=(mistakes["class"] + "\nas " + mistakes["predicted"]).tolist(),
            title=f"{name}: worst mistakes, what they are and what they were taken for",
        )
        pictures = {"Training": "history", "Confusion": "confusion", "Worst mistakes": "mistakes"}
        report = render_report(
            title=f"{name}: image classifier",
            source=source,
            metrics=metrics,
            size=size,
            by_class=by_class,
            counts={str(key): int(count) for key, count in index["split"].value_counts().items()},
            pictures=[(text, folder / f"{file}.png") for text, file in pictures.items()],
        )
        (folder / "report.html").write_text(report, "utf-8")

        tags = provenance.tags(name) | {"model": model.name}
        weights = fingerprint(model)
        with tracking.run_of_model(main_checkout(), name, weights, run_name(model.name), tags):
            tracking.log_metrics({"test": metrics, "model": size})
            for file in sorted(folder.iterdir()):
                tracking.log_file(file, "evaluation")
    log.info("%s: %.2f %% of %s test images", name, 100 * metrics["accuracy"], f"{len(labels):,}")
    if source["drawn"]:
        log.warning("these images are DRAWINGS: the figures say nothing about photographs")


if __name__ == "__main__":
    configured(evaluate)()
