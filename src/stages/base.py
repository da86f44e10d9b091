"""Where the base of a transferred model comes from: a backbone, a pipeline, MLflow, or a file."""

import json
import logging
from pathlib import Path
from typing import Any

from classifier.support.errors import InputError
from stages.depends_on import MLFLOW, base_file, warn_unless_covered
from stages.layout import BACKBONE, CARD, main_checkout, needed
from stages.params import pipelines
from stages.schemas import Train

log = logging.getLogger(__name__)


def with_fixed_base(config: Train) -> dict[str, Any]:
    """The model's configuration, with a version of MLflow in place of an alias.

    Logs a line if ``dvc repro`` would not see that the base changes: an alias moves, or
    ``depends_on`` is not the file of the base.

    Raises:
        InputError: MLflow has no such model.
    """
    warn_unless_covered(
        config.pipeline, "train", config.depends_on, base_file(config.model, pipelines())
    )
    base = config.model.get("base")
    if not base or base in pipelines() or not base.startswith(MLFLOW):
        return config.model
    return config.model | {"base": version_today(config.pipeline, "base", "model.base", base)}


def version_today(pipeline: str, what: str, key: str, uri: str) -> str:
    """The URI with the version of an alias. Logs a line if ``uri`` has an alias, which may move.

    Args:
        what: begins the line.
        key: of the train section, which has the URI.

    Raises:
        InputError: MLflow has no such model.
    """
    from classifier import tracking

    fixed = tracking.fixed_uri(main_checkout(), uri)
    if fixed != uri:
        log.warning(
            "%s %s is %s today: DVC does not see it move; for that version alone, set "
            "pipelines.%s.train.%s to %s",
            what,
            uri,
            fixed,
            pipeline,
            key,
            fixed,
        )
    return fixed


def with_base_file(pipeline: str, model: dict[str, Any]) -> dict[str, Any]:
    """The model's configuration, with the file of its ``base`` if it has one.

    No base becomes the backbone of the pipeline, the name of a pipeline the file that its train
    stage wrote, the URI of an MLflow model the file that export registered with it. The path of a
    file stays as it is.

    Raises:
        InputError: the pipeline has no backbone or is not trained, or MLflow has no such model.
    """
    if "base" not in model:
        return model
    base = model["base"]
    if base is None:
        if backbone_card(pipeline)["name"] is None:
            files = Path("conf", "backbone").glob("*.yaml")
            names = sorted(file.stem for file in files if file.stem != "none")
            raise InputError(
                "model.base is null, and the pipeline has no backbone: set "
                f"pipelines.{pipeline}.backbone.groups.backbone to one of {', '.join(names)}"
            )
        return model | {"base": str(needed("backbone", pipeline, BACKBONE))}
    if base in pipelines():
        return model | {"base": str(needed("train", base, "model.keras"))}
    if base and base.startswith(MLFLOW):
        from classifier import tracking

        return model | {"base": str(tracking.registered_keras_model(main_checkout(), base))}
    return model


def base_card(pipeline: str, model: dict[str, Any]) -> dict[str, Any]:
    """What the model begins with, for its model card; its name is None for random weights.

    Args:
        model: the configuration of :func:`with_fixed_base`.
    """
    if "base" not in model:
        return {"name": None}
    return backbone_card(pipeline) if model["base"] is None else {"name": model["base"]}


def backbone_card(pipeline: str) -> dict[str, Any]:
    """What the backbone stage wrote about the pipeline's backbone; its name is None for none."""
    card: dict[str, Any] = json.loads(needed("backbone", pipeline, CARD).read_text("utf-8"))
    return card
