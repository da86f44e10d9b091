"""What a server measures of itself, for Prometheus (https://prometheus.io/docs)."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # a second series for each counter, with its time

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
STAGES = ("read", "decode", "queue", "predict", "all")  # of a request that is answered


class Monitoring:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "classifier_requests", "Requests", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "classifier_stage_seconds",
            "Seconds of an answered request: read, decode, queue, predict, all",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self.waiting = Gauge(
            "classifier_pictures_waiting", "Pictures accepted and not answered", registry=registry
        )
        self.batch = Histogram(
            "classifier_batch_pictures",
            "Pictures answered together",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.pictures = Counter(
            "classifier_pictures",
            "Answered pictures by predicted class",
            ["model", "predicted", "accepted"],
            registry=registry,
        )
        self.model = Gauge(
            "classifier_model_info",
            "1 for the version that answers",
            ["model", "version"],
            registry=registry,
        )
        self.loads = Counter(
            "classifier_model_loads",
            "Versions loaded, or not",
            ["model", "result"],
            registry=registry,
        )
        self.lost_lines = Counter(
            "classifier_log_lines_lost", "Lines that --log could not write", registry=registry
        )

    def page(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)
