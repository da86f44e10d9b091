"""MLflow: no other package imports it.

The default store is embedded: an SQLite database and a folder of artifacts. The environment
variable MLFLOW_TRACKING_URI names a server instead.
"""

import os

# MLflow sends no usage data unless the user asks for it.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# By default, MLflow retries for four minutes before it reports that its server does not answer.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # seconds

from classifier.tracking.evaluated import (
    VALIDATION,
    EvaluatedRun,
    evaluated_runs,
    evaluated_trials,
    kept_model,
    validation_predictions,
)
from classifier.tracking.failures import STORE_ERRORS, reason
from classifier.tracking.outage import upload
from classifier.tracking.records import Pruned, watched
from classifier.tracking.registry import (
    CANDIDATE,
    CHAMPION,
    NamedVersion,
    TaggedVersion,
    Version,
    fixed_uri,
    named_version,
    promote,
    register_saved_model,
    registered_keras_model,
    registered_models,
    registered_saved_model,
    set_alias,
    tag_version,
    version_with_tags,
)
from classifier.tracking.runs import metrics_of_model, resumed_run, run_of_model, unlogged
from classifier.tracking.store import FINGERPRINT, LAST, PREPROCESSING, store_file
from classifier.tracking.sweeps import TRIAL as SWEEP_TRIAL
from classifier.tracking.sweeps import VALUES as SWEEP_VALUES
from classifier.tracking.sweeps import end_trials, finished_run, log_to_sweep, sweep_table
from classifier.tracking.tags import recorded_tags
from classifier.tracking.trained import TrainingRun, run_of_file, training_run

__all__ = [
    "CANDIDATE",
    "CHAMPION",
    "FINGERPRINT",
    "LAST",
    "PREPROCESSING",
    "STORE_ERRORS",
    "SWEEP_TRIAL",
    "SWEEP_VALUES",
    "VALIDATION",
    "EvaluatedRun",
    "NamedVersion",
    "Pruned",
    "TaggedVersion",
    "TrainingRun",
    "Version",
    "end_trials",
    "evaluated_runs",
    "evaluated_trials",
    "finished_run",
    "fixed_uri",
    "kept_model",
    "log_to_sweep",
    "metrics_of_model",
    "named_version",
    "promote",
    "reason",
    "recorded_tags",
    "register_saved_model",
    "registered_keras_model",
    "registered_models",
    "registered_saved_model",
    "resumed_run",
    "run_of_file",
    "run_of_model",
    "set_alias",
    "store_file",
    "sweep_table",
    "tag_version",
    "training_run",
    "unlogged",
    "upload",
    "validation_predictions",
    "version_with_tags",
    "watched",
]
