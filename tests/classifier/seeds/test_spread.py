"""The spread of the metrics of several seeds."""

import math
from pathlib import Path

from PIL import Image

from classifier.seeds.charts import draw_seeds
from classifier.seeds.spread import seed_table, shown_metrics, spread, summary

METRICS = {
    9: {"test.accuracy": 0.9, "test.log_loss": 0.3, "training_seconds": 5, "test.images": 100},
    7: {"test.accuracy": 0.8, "test.log_loss": 0.4, "training_seconds": 7, "test.images": 100},
    8: {"test.accuracy": 0.7, "test.log_loss": 0.2, "training_seconds": 6, "model.bytes": 3},
}


def test_a_row_per_seed_and_a_column_per_metric_that_all_have() -> None:
    table = seed_table(METRICS)
    assert table["seed"].tolist() == [7, 8, 9]
    assert table.columns.tolist() == ["seed", "test.accuracy", "test.log_loss", "training_seconds"]
    assert shown_metrics(map(str, table)) == table.columns.tolist()[1:]
    spreads = spread(table)
    assert spreads.round(9).to_numpy().tolist()[0] == [0.8, 0.1, 0.7, 0.9]
    assert math.isclose(summary(spreads)["test.log_loss.std"], 0.1)


def test_one_seed_has_no_standard_deviation() -> None:
    figures = summary(spread(seed_table({7: METRICS[7]})))
    assert figures["test.accuracy.mean"] == 0.8
    assert "test.accuracy.std" not in figures


def test_the_chart_is_drawn_for_several_seeds_and_for_one(tmp_path: Path) -> None:
    for number in (3, 1):
        table = seed_table(dict(list(METRICS.items())[:number]))
        file = tmp_path / f"{number}.png"
        draw_seeds(table, ["test.accuracy", "training_seconds"], file, title="title")
        assert Image.open(file).width > 500
