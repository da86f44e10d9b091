"""The tags of a run, or of a version of a registered model."""

from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from classifier.support.errors import InputError
from classifier.tracking.failures import is_outage, reaching_the_store, reason
from classifier.tracking.store import check_store


@reaching_the_store()
def recorded_tags(root: Path, uri: str) -> dict[str, str]:
    """The tags of ``runs:/<id>``, ``models:/<name>@<alias>`` or ``models:/<name>/<version>``.

    Args:
        root: the checkout, as for :func:`open_store`.
        uri: see above; what follows the id of a run does not count.

    Raises:
        InputError: the store cannot be reached, or has no such run or version.
    """
    check_store(root, f"no '{uri}'")
    client = MlflowClient()
    kind, _, name = uri.partition(":/")
    try:
        if kind == "runs":
            return dict(client.get_run(name.strip("/").partition("/")[0]).data.tags)
        if "@" in name:
            return dict(client.get_model_version_by_alias(*name.rsplit("@", 1)).tags)
        return dict(client.get_model_version(*name.rsplit("/", 1)).tags)
    except (MlflowException, TypeError) as error:  # TypeError: a name without a version
        if isinstance(error, MlflowException) and is_outage(error):
            raise
        why = reason(error) if isinstance(error, MlflowException) else "name a version or an alias"
        raise InputError(f"no '{uri}': {why}") from None
