"""MLflow: the only package that imports it.

The default store is embedded, an SQLite database and a folder of artifacts; the environment's
MLFLOW_TRACKING_URI names a server instead.
"""

import os

# Nothing is reported to anyone unless the user asks for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# MLflow would wait for four minutes before it says that its server does not answer.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # seconds

from classifier.tracking.evaluated import EvaluatedRun, evaluated_runs
from classifier.tracking.outage import STORE_ERRORS, reason, unlogged, upload
from classifier.tracking.registry import (
    CANDIDATE,
    CHAMPION,
    RegisteredModel,
    Version,
    register_saved_model,
    registered_keras_model,
    registered_models,
    registered_saved_model,
    set_alias,
    version_tags,
)
from classifier.tracking.runs import (
    describe,
    flatten,
    log_data,
    log_epoch,
    log_file,
    log_metrics,
    log_text,
    logged_text,
    resumed_run,
    run_of_model,
    set_tags,
)
from classifier.tracking.store import FINGERPRINT, open_store
from classifier.tracking.sweeps import log_to_sweep, sweep_table

__all__ = [
    "CANDIDATE",
    "CHAMPION",
    "FINGERPRINT",
    "STORE_ERRORS",
    "EvaluatedRun",
    "RegisteredModel",
    "Version",
    "describe",
    "evaluated_runs",
    "flatten",
    "log_data",
    "log_epoch",
    "log_file",
    "log_metrics",
    "log_text",
    "log_to_sweep",
    "logged_text",
    "open_store",
    "reason",
    "register_saved_model",
    "registered_keras_model",
    "registered_models",
    "registered_saved_model",
    "resumed_run",
    "run_of_model",
    "set_alias",
    "set_tags",
    "sweep_table",
    "unlogged",
    "upload",
    "version_tags",
]
