"""evaluate: the best epoch's model on the test split: metrics, tables, pictures, a report."""

import json
import logging
from collections import Counter

import pandas as pd

from classifier.atomic import atomic_folder, write_json
from classifier.data.manifest import read_manifest
from stages import provenance
from stages.configuration import configured
from stages.layout import main_checkout, needed, output
from stages.schemas import Evaluate
from stages.sweep import run_name

log = logging.getLogger(__name__)


def evaluate(config: Evaluate) -> None:
    # Here, not above: a mistake in the configuration is found before these seconds are spent.
    from classifier import evidence, tracking
    from classifier.model_size import model_size
    from classifier.predictions import predict_split
    from classifier.report import environment, packages, render_report
    from classifier.saving import fingerprint, load_model

    name = config.pipeline
    source = json.loads(needed("download", name, "source.json").read_text("utf-8"))
    manifest = read_manifest(needed("split", name))
    history = pd.read_csv(needed("train", name, "history.csv"))
    model = load_model(needed("train", name, "model.keras"))
    weights, size = fingerprint(model), model_size(model)
    validation, test = (
        predict_split(model, needed("normalize", name), split, batch_size=config.batch_size)
        for split in ("validation", "test")
    )
    metrics = {key: source[key] for key in ("source", "drawn")} | evidence.measure(test, validation)
    tables = evidence.tabulate(
        test,
        validation,
        temperature=metrics["calibration"]["temperature"],
        seed=config.seed,
        samples=config.bootstrap,
        count=config.mistakes,
    )
    origin = {"command": f"dvc repro evaluate@{name}", "weights (SHA-256)": weights}
    with atomic_folder(output("evaluate", name)) as folder:
        write_json(folder / "metrics.json", metrics)
        (folder / "weights.sha256").write_text(weights + "\n", "utf-8")
        for title, table in tables.items():
            table.to_csv(folder / f"{title}.csv", index=False, lineterminator="\n")
        evidence.draw(
            folder, model, test, validation, tables, history, title=name, count=config.mistakes
        )

        def write_report(origin: dict[str, str]) -> None:
            report = render_report(
                folder,
                title=f"{name}: image classifier",
                model=model.name,
                shape=model.input_shape[1:],
                source=source,
                metrics=metrics,
                size=size,
                tables=tables,
                counts=Counter(manifest["split"]),
                repeated=evidence.repeated_images(manifest),
                origin=origin,
            )
            (folder / "report.html").write_text(report, "utf-8")

        tags = provenance.tags(name) | {"model": model.name}
        with tracking.run_of_model(main_checkout(), name, weights, run_name(model.name), tags):
            tracking.log_metrics({"test": metrics, "model": size})
            tracking.describe(evidence.describe(metrics, tables))
            # The run's copy says which commit and Python made it; DVC's is the same bytes from any.
            write_report(origin | tags | environment())
            for file in sorted(folder.iterdir()):
                tracking.log_file(file, "evaluation")
        write_report(origin | packages())
    log.info(
        "%s: %.2f %% of %s test images", name, 100 * metrics["accuracy"], f"{len(test.labels):,}"
    )
    if source["drawn"]:
        log.warning("these images are DRAWINGS: the figures say nothing about photographs")


if __name__ == "__main__":
    configured(evaluate)()
