"""Where a transferred base comes from: a pipeline's training, an MLflow model, or elsewhere."""

from typing import Any

from stages.configuration import pipelines
from stages.layout import main_checkout, needed


def based(model: dict[str, Any]) -> dict[str, Any]:
    """The model's configuration with its ``base``, if it has one, as ``transfer`` takes it.

    A pipeline's name becomes the file that its train stage wrote, an MLflow model's URI the file
    that export registered with it.

    Raises:
        InputError: the pipeline is not trained, or MLflow has no such model.
    """
    base = model.get("base")
    if base in pipelines():
        return model | {"base": str(needed("train", base, "model.keras"))}
    if base and base.startswith(("models:/", "runs:/")):
        from classifier import tracking

        return model | {"base": str(tracking.registered_keras_model(main_checkout(), base))}
    return model
