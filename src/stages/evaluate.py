"""evaluate: the best epoch's model on the test split: metrics, tables, pictures, a report."""

import json
import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from classifier.catalog.manifest import left_out, read_manifest
from classifier.catalog.near_duplicates import read_near_duplicates
from classifier.formats.contents import CONTENTS, read_contents
from classifier.support.atomic import atomic_folder, write_json
from classifier.support.startup_lines import import_tensorflow
from stages import provenance
from stages.configuration import configured
from stages.layout import ANSWERS, BASE, COMBINED, main_checkout, needed, output
from stages.schemas import Evaluate
from stages.sweep import destination, run_name, source

log = logging.getLogger(__name__)


def evaluate(config: Evaluate) -> None:
    # Imported late: a mistake in the configuration is found before TensorFlow takes its seconds.
    import_tensorflow()
    from classifier.answers.answers import write_fitted
    from classifier.answers.features import with_features
    from classifier.reporting.failures import draw_failures, find_failures
    from classifier.reporting.judging import judging
    from classifier.reporting.predictions import predict_split
    from classifier.reporting.report import count_repeated, leaked_images, render_report
    from classifier.reporting.slices import FEWEST, features
    from classifier.reporting.unknown import evaluate_unknown
    from classifier.saved.model_size import model_size
    from classifier.saved.saving import fingerprint, load_model

    name = config.pipeline
    origin = json.loads(needed("download", name, "source.json").read_text("utf-8"))
    manifest = read_manifest(needed("split", name))
    pairs, _ = read_near_duplicates(needed("near_duplicates", name))
    overview = needed("overview", name, "section.html").read_text("utf-8")
    model = load_model(source("train", name, "model.keras"))
    base = json.loads(source("train", name, BASE).read_text("utf-8"))
    made_of_others = COMBINED in base  # by stages.combine: it has no history
    history = None if made_of_others else pd.read_csv(source("train", name, "history.csv"))
    weights, size = fingerprint(model), model_size(model)
    both = with_features(model)
    validation, test = (
        predict_split(both, needed("normalize", name), split, batch_size=config.batch_size)
        for split in ("validation", "test")
    )
    metrics = {key: origin[key] for key in ("source", "drawn")}
    ways = judging(origin.get("separator"))
    test, validation, judged, tables, temperature = ways.judge(
        test,
        validation,
        ways.counts(manifest["class"][manifest["split"] == "train"]),
        seed=config.seed,
        samples=config.bootstrap,
        count=config.mistakes,
    )
    metrics |= judged
    sliced_by = features(
        test.images,
        test.table["id"],
        read_manifest(needed("overview", name, "images.csv")),
        groups(output("download", name) / CONTENTS),
        merged=origin["source"] == "merged",
    )
    failures = find_failures(
        partial(model.predict, batch_size=config.batch_size, verbose=0),
        test,
        sliced_by,
        corruption_images=config.corruption_images,
        batch_size=config.batch_size,
        seed=config.seed,
    )
    metrics |= failures.metrics
    tables |= failures.tables
    fitted, tables["unknown"] = evaluate_unknown(
        both,
        needed("normalize", name),
        test,
        validation,
        temperature,
        kinds=config.unknown,
        count=config.unknown_images,
        seed=config.seed,
        batch_size=config.batch_size,
    )
    target = destination("evaluate", name)
    with atomic_folder(target) as folder:
        write_json(folder / "metrics.json", metrics)
        (folder / "weights.sha256").write_text(weights + "\n", "utf-8")
        write_fitted(fitted, folder / ANSWERS)
        for title, table in tables.items():
            table.to_csv(folder / f"{title}.csv", index=False, lineterminator="\n")
        ways.draw(
            folder, model, test, validation, tables, history, title=name, count=config.mistakes
        )
        draw_failures(folder, test, tables, title=name, seed=config.seed)
        report = partial(
            render_report,
            folder,
            template=ways.template,
            title=f"{name}: image classifier",
            model=model.name,
            shape=model.input_shape[1:],
            source=origin,
            base=base,
            metrics=metrics,
            size=size,
            tables=tables,
            counts=Counter(manifest["split"]),
            repeated=count_repeated(manifest),
            left_out=left_out(manifest),
            leaked=leaked_images(test.table, pairs),
            overview=overview,
        )
        both_metrics = {"test": metrics, "model": size}
        record(folder, name, model.name, weights, both_metrics, tables, validation.table, report)
    log.info(
        "%.2f %% of %s test images are right; the report: %s",
        100 * metrics["accuracy"],
        f"{len(test.labels):,}",
        target / "report.html",
    )
    if small := metrics["slices"]["too_small"]:
        log.info(
            "no slices: %s sources and groups with fewer than %d test images", f"{small:,}", FEWEST
        )
    if untested := tables["classes"].query("images == 0")["class"].tolist():
        log.warning(
            "%d of %d classes have no test image, and no figure: %s",
            len(untested),
            len(tables["classes"]),
            ", ".join(untested[:5]) + (", …" if len(untested) > 5 else ""),
        )
    if origin["drawn"]:
        log.warning("these images are DRAWINGS: the figures say nothing about photographs")


def groups(contents: Path) -> dict[str, str]:
    """The groups of the images that have one, by id; none for arrays, which have no such table."""
    entries = read_contents(contents) if contents.exists() else []
    return {entry.id: entry.group for entry in entries if entry.group and not entry.passed_over}


def record(
    folder: Path,
    pipeline: str,
    model: str,
    weights: str,
    metrics: dict[str, Any],
    tables: dict[str, pd.DataFrame],
    validation: pd.DataFrame,
    report: Any,
) -> None:
    """Writes the report, and logs it with all other files to the MLflow run of the model.

    The predictions of the validation split are in the run alone.

    The report of the run names the commit and Python that made it; the one in the folder has the
    same bytes from any commit.
    """
    from classifier import tracking
    from classifier.reporting.report import environment, packages, summarize

    origin = {"command": f"dvc repro evaluate@{pipeline}", "weights (SHA-256)": weights}
    tags = provenance.tags(pipeline) | {"model": model}
    html = folder / "report.html"
    run = tracking.run_of_model(main_checkout(), pipeline, weights, run_name(model), tags)
    with run as logged:
        logged.log_metrics(metrics)
        logged.describe(summarize(metrics["test"], tables))
        html.write_text(report(origin=origin | tags | environment()), "utf-8")
        for file in sorted(folder.iterdir()):
            logged.log_file(file, "evaluation")
        rows = validation.to_csv(index=False, lineterminator="\n")
        logged.log_text(rows, f"evaluation/{tracking.VALIDATION}")
    html.write_text(report(origin=origin | packages()), "utf-8")


if __name__ == "__main__":
    configured(evaluate)()
