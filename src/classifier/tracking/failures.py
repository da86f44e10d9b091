"""Failures of the MLflow store: which errors they raise, and what to tell the user."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE, ErrorCode

from classifier.support.addresses import without_credentials
from classifier.support.errors import InputError
from classifier.tracking.store import store_name

STORE_ERRORS = (MlflowException, requests.RequestException, OSError)
OUTAGES = {ErrorCode.Name(code) for code in (INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE)}
REASONS = {
    "Connection refused": "connection refused",
    "Failed to resolve": "host not found",
    "Read timed out": "no answer in time",
    "ConnectTimeout": "no answer in time",
    "database is locked": "the database is locked by another process",
    "database or disk is full": "the disk is full",
    "No space left on device": "the disk is full",
}


def is_outage(error: Exception) -> bool:
    """Whether the store itself failed; False if it refused a request."""
    return not isinstance(error, MlflowException) or error.error_code in OUTAGES


def reason(error: Exception) -> str:
    """The reason for a failure of the store, in one short line without credentials."""
    text = without_credentials(" ".join(str(error).split()))
    return next((words for sign, words in REASONS.items() if sign in text), text[:200])


@contextmanager
def reaching_the_store() -> Iterator[None]:
    """Reports an outage within the block in one line.

    Raises:
        InputError: the store cannot be reached.
    """
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        if not is_outage(error):
            raise
        raise InputError(f"{store_name()} cannot be used ({reason(error)})") from error
