"""How params.yaml, Hydra and a stage meet: the ``@configured`` decorator of a stage's function.

conf/<stage>.yaml and its groups give the defaults, the pipeline's own section of params.yaml
overrides them, and the command line overrides both. Hydra does the composing; this module hands
it the section (as the ConfigStore's ``params``) and says in one line what does not fit.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from classifier.errors import InputError, nearest, refused_by_the_machine
from stages.schemas import LIMITS, SCHEMAS

Config = TypeVar("Config")
# Hydra leaves nothing in the checkout: no outputs/, no log file. How tf2onnx went about it is
# nobody's concern.
QUIET = {
    "hydra/job_logging": "stdout",
    "+hydra.job_logging.loggers.tf2onnx.level": "WARNING",
    "hydra.output_subdir": "null",
    "hydra.run.dir": ".",
    "hydra.sweep.dir": "'${hydra.runtime.cwd}/.dvc/tmp/multirun/${now:%Y-%m-%d %H:%M:%S}'",
    "hydra.sweep.subdir": "'${hydra.job.num}'",
    "hydra.job.chdir": "false",
}
# A trial's value is the best of train.monitor; one trial after the other.
OPTUNA = {
    "hydra.sweeper.direction": "maximize",
    "hydra.sweeper.n_jobs": "1",
    "hydra.sweeper.sampler.seed": "7",
}
# A cluster that runs refuses the launcher's own value.
RAY = {"+hydra.launcher.ray.init.object_store_memory": "null"}
SWEEPS = {"--multirun", "-m"}
QUESTIONS = {"--help", "-h", "--hydra-help", "--version", "--shell-completion", "-sc"}


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what Ctrl-C ends, it ends as well."""


def _terminate(number: int, frame: object) -> None:
    raise Terminated


def configured(stage: Callable[[Config], float | None]) -> Callable[[], None]:
    """Turns a stage's function of its typed configuration into the command-line program.

    An :class:`InputError`, or a configuration that does not fit, ends the process with status 1
    and one line on standard error, before the stage's function has done any work.
    """
    name = stage.__name__
    schema = SCHEMAS[name]

    failures: list[InputError] = []

    def run(config: DictConfig) -> float | None:
        os.chdir(HydraConfig.get().runtime.cwd)  # a worker of Ray starts where its node did
        try:
            check_groups(config, HydraConfig.get().runtime.choices)
            check_limits(config)
            return stage(OmegaConf.to_object(config))  # type: ignore[arg-type]
        except InputError as error:  # Hydra would print a line of its own before ours
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise  # for the sweeper to count
            failures.append(error)
            return None

    @wraps(stage)
    def main() -> None:
        pipeline = None
        before = signal.signal(signal.SIGTERM, _terminate)
        try:
            pipeline = named_pipeline(sys.argv[1:])
            section = pipeline_section(pipeline, name)
            groups = section.pop("groups", None) or {}
            sys.argv[1:] = with_groups(sys.argv[1:], name, groups)
            ConfigStore.instance().store(name=f"{name}_schema", node=schema)
            ConfigStore.instance().store(name="params", node=section, package="_global_")
            os.environ["HYDRA_FULL_ERROR"] = "1"  # raise here, not print a stack there
            hydra.main(
                version_base="1.3", config_path=str(Path("conf").resolve()), config_name=name
            )(run)()
            if failures:
                raise failures[0]
        except InputError as error:
            _stop(name, pipeline, str(error))
        except (HydraException, OmegaConfBaseException) as error:
            _stop(name, pipeline, " ".join(explain(error, schema).split()))
        except KeyboardInterrupt as error:
            status = 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)
            _stop(name, pipeline, "interrupted: its output stays as it was", status)
        except Exception as error:
            message = refused_by_the_machine(error)
            if message is None:
                raise
            _stop(name, pipeline, message)
        finally:
            signal.signal(signal.SIGTERM, before)

    return main


def named_pipeline(arguments: list[str]) -> str | None:
    """The value of ``pipeline=`` among the command line's arguments; None for a call for help.

    Raises:
        InputError: there is none.
    """
    for argument in reversed(arguments):
        if argument.startswith("pipeline="):
            return argument.partition("=")[2]
    if any(argument.partition("=")[0] in QUESTIONS for argument in arguments):
        return None
    raise InputError(f"say which pipeline: pipeline={'|'.join(pipelines())}")


def pipelines() -> dict[str, Any]:
    """The sections of params.yaml by pipeline.

    Raises:
        InputError: there is no params.yaml here, or it has no pipelines.
    """
    try:
        parameters = OmegaConf.to_container(OmegaConf.load("params.yaml"))
    except FileNotFoundError:
        raise InputError(
            f"no params.yaml in {Path.cwd()}: run this in the root of the checkout"
        ) from None
    except YAMLError as error:
        raise InputError(f"params.yaml is not YAML: {' '.join(str(error).split())}") from None
    found = parameters.get("pipelines") if isinstance(parameters, dict) else None
    if not isinstance(found, dict) or not found:
        raise InputError("params.yaml has no pipelines: write 'pipelines: {<name>: {…}}'")
    return found


def pipeline_section(pipeline: str | None, stage: str) -> dict[str, Any]:
    """``pipelines.<pipeline>.<stage>`` of params.yaml; empty for no pipeline.

    Raises:
        InputError: there is no such pipeline, or its sections are not the stages.
    """
    if pipeline is None:
        return {}
    found = pipelines()
    if pipeline not in found:
        raise InputError(f"no pipeline '{pipeline}' in params.yaml: {nearest(pipeline, found)}")
    sections = found[pipeline] or {}
    for section in sections:
        if section not in SCHEMAS:
            raise InputError(
                f"pipelines.{pipeline}.{section} is no stage: {nearest(section, SCHEMAS)}"
            )
    section = sections.get(stage) or {}
    if not isinstance(section, dict):
        raise InputError(f"pipelines.{pipeline}.{stage} is '{section}': must be keys and values")
    groups = section.get("groups") or {}
    if not isinstance(groups, dict) or not all(isinstance(name, str) for name in groups.values()):
        raise InputError(
            f"pipelines.{pipeline}.{stage}.groups is '{groups}': must be groups and their choices"
        )
    return section


def with_groups(arguments: list[str], stage: str, groups: dict[str, str]) -> list[str]:
    """The command line's arguments for Hydra.

    QUIET, OPTUNA's where that is the sweeper, RAY's and MLflow's variables where that is the
    launcher, and each of the section's ``groups`` as ``group=choice``, come in front, unless the
    command line itself chooses. Keys may be written as in params.yaml: the stage's own name
    (``train.epochs=1``) and ``groups`` (``train.groups.model=residual``) are taken off.
    """
    arguments = [
        argument.removeprefix(f"{stage}.").removeprefix("groups.") for argument in arguments
    ]
    # Hydra's parser takes overrides only in one row, without an option in between.
    options = [argument for argument in arguments if argument in SWEEPS]
    overrides = [argument for argument in arguments if argument not in SWEEPS]
    named = {argument.partition("=")[0] for argument in overrides}
    defaults = dict(QUIET)
    if "hydra/sweeper=optuna" in overrides:
        defaults |= OPTUNA
    if "hydra/launcher=ray" in overrides:
        # A trial logs to the user's store, not to that of whoever started the node.
        store = sorted(variable for variable in os.environ if variable.startswith("MLFLOW_"))
        defaults |= RAY | {"hydra.job.env_copy": f"[{','.join(store)}]"}
    defaults |= groups
    first = [f"{key}={value}" for key, value in defaults.items() if key not in named]
    return [*options, *first, *overrides]


def check_groups(config: DictConfig, choices: DictConfig) -> None:
    """Checks each chosen group's keys and types against the chosen YAML file.

    Raises:
        InputError: a key is not in the file, or a value is of another type than there.
    """
    for group, choice in choices.items():
        file = Path("conf", str(group), f"{choice}.yaml")
        if "/" in str(group) or not file.is_file() or group not in config:
            continue
        if OmegaConf.get_type(config, str(group)) is dict:
            _check_like(OmegaConf.load(file), config[group], str(group), str(file))


def _check_like(expected: Any, value: Any, key: str, file: str) -> None:
    if OmegaConf.is_dict(expected) and OmegaConf.is_dict(value):
        for name in value:
            if name not in expected:
                raise InputError(f"unknown key '{key}.{name}': {nearest(str(name), expected)}")
            _check_like(expected[name], value[name], f"{key}.{name}", file)
    elif not _alike(expected, value):
        kind = type(expected).__name__.replace("Config", "").lower()
        raise InputError(f"{key} is '{value}': must be of type {kind}, like {expected} in {file}")


def _alike(expected: Any, value: Any) -> bool:
    if expected is None or value is None:
        return True
    if isinstance(expected, bool) or isinstance(value, bool):
        return isinstance(expected, bool) and isinstance(value, bool)
    number, text = (int, float), isinstance(expected, str)
    if text or isinstance(value, str):
        return text and isinstance(value, str)
    if OmegaConf.is_dict(expected) or OmegaConf.is_dict(value):
        return False
    if isinstance(expected, int) and isinstance(value, float):
        return False
    return isinstance(value, number) or OmegaConf.is_list(value)


def check_limits(config: DictConfig) -> None:
    """Checks each value against LIMITS, by the last word of its key; a list, each of its values.

    Raises:
        InputError: a value is outside its limit.
    """
    for key, value in _leaves(config, ""):
        limit = LIMITS.get(key.rpartition(".")[2])
        if limit is None or value is None:
            continue
        if not isinstance(value, str) and limit.choices and isinstance(value, bool):
            continue
        try:
            allowed = limit.allows(value)
        except TypeError:
            allowed = False
        if not allowed:
            text = isinstance(value, str) and limit.choices
            hint = f"; {nearest(value, limit.choices)}" if text else ""
            raise InputError(f"{key} is {value!r}: must be {limit.description}{hint}")


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if OmegaConf.is_dict(node):
        for name in node:
            if not OmegaConf.is_missing(node, name):
                yield from _leaves(node[name], f"{key}.{name}" if key else str(name))
            else:
                raise InputError(f"{f'{key}.{name}' if key else name} has no value: give it one")
    elif OmegaConf.is_list(node):
        for value in node:
            yield from _leaves(value, key)
    else:
        yield key, node


def build(key: str, node: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls what the ``_target_`` of a group's configuration names, with the rest of it.

    Gives None for the empty configuration of a group's ``none``.

    Raises:
        InputError: it refused its arguments; names the configuration's ``key``.
    """
    if not node:
        return None
    try:
        return instantiate(node, *args, _convert_="all", **kwargs)
    except InstantiationException as error:
        raise InputError(f"{key}: {' '.join(str(error.__cause__ or error).split())}") from error


def explain(error: Exception, schema: type) -> str:
    """One line for an error of Hydra's or OmegaConf's, with the nearest valid name."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        options = error.options or []
        return f"no {group or 'configuration'} '{choice}': {nearest(choice, options)}"
    cause: BaseException = error
    while not isinstance(cause, OmegaConfBaseException) and (cause.__cause__ or cause.__context__):
        cause = cause.__cause__ or cause.__context__ or cause
    first = str(cause).strip().splitlines()[0]
    key = getattr(cause, "full_key", None)
    if isinstance(cause, (ConfigKeyError, AttributeError)) and key:
        parent, _, word = str(key).rpartition(".")
        around = getattr(cause, "parent_node", None)
        found = around if isinstance(around, DictConfig) else _keys(schema, parent)
        siblings = [str(name) for name in found]
        return f"unknown key '{key}'" + (
            f": {nearest(word, siblings)}" if siblings else f" ({first})"
        )
    return f"{key}: {first}" if key else " ".join(str(error).split())


def _keys(schema: type, parent: str) -> list[str]:
    node = OmegaConf.structured(schema)
    found = OmegaConf.select(node, parent) if parent else node
    return [str(key) for key in found] if OmegaConf.is_dict(found) else []


def _stop(stage: str, pipeline: str | None, message: str, status: int = 1) -> None:
    place = f"{stage}: pipelines.{pipeline}.{stage}" if pipeline else stage
    print(f"{place}: {message}", file=sys.stderr)
    sys.exit(status)
