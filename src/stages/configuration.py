"""How params.yaml, Hydra and a stage meet: ``configured`` makes a command of a stage's function.

conf/<stage>.yaml and its groups have the defaults, the pipeline's section of params.yaml overrides
them, and the command line overrides both. Hydra composes them; this module passes the section to
it (as ``params`` of the ConfigStore), and reports a mistake in one line.
"""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from hydra.types import RunMode
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from pydantic import ValidationError

from classifier.support.errors import InputError, nearest, refused_by_the_machine
from stages.announce import announced
from stages.params import groups_outside, pipelines
from stages.schemas import SCHEMAS
from stages.search import in_study, of_study
from stages.validation import known_keys, one_line

Config = TypeVar("Config")
# Hydra writes nothing to the checkout: no outputs/, no log file. The loggers below say where each
# file was written and how often a function was traced, which is of no use to a user.
QUIET = {
    "hydra/job_logging": "stdout",
    "+hydra.job_logging.loggers.tf2onnx.level": "WARNING",
    "+hydra.job_logging.loggers.tensorflow.level": "ERROR",
    "+hydra.job_logging.loggers.absl.level": "ERROR",
    "hydra.output_subdir": "null",
    "hydra.run.dir": ".",
    "hydra.sweep.dir": "'${hydra.runtime.cwd}/.dvc/tmp/multirun/${now:%Y-%m-%d %H:%M:%S}'",
    "hydra.sweep.subdir": "'${hydra.job.num}'",
    "hydra.job.chdir": "false",
}
# A running cluster refuses the default of the launcher.
RAY = {"+hydra.launcher.ray.init.object_store_memory": "null"}
# What a group's target takes first, before the keys of its file.
FIRST_ARGUMENTS = {
    "logger": ["folder", "run", "preview"],
    "model": ["image_shape", "classes", "preprocessing"],
    "schedule": ["learning_rate", "steps"],
    "teacher": ["student", "teacher"],
    "views": ["image_shape"],
}
SWEEPS = {"--multirun", "-m"}
QUESTIONS = {"--help", "-h", "--hydra-help", "--version", "--shell-completion", "-sc"}


class Terminated(KeyboardInterrupt):
    """SIGTERM came; it is handled like Ctrl-C."""


def _terminate(number: int, frame: object) -> None:
    raise Terminated


def configured(stage: Callable[[Config], float | None]) -> Callable[[], None]:
    """Turns a stage's function of its typed configuration into a command-line program.

    An :class:`InputError`, or a configuration that does not fit, ends the process with status 1
    and one line on standard error, before the stage's function has done any work.
    """
    name = stage.__name__
    schema = SCHEMAS[name]

    failures: list[InputError] = []

    def run(config: DictConfig) -> float | None:
        os.chdir(HydraConfig.get().runtime.cwd)  # a worker of Ray starts in the folder of its node
        try:
            choices = HydraConfig.get().runtime.choices
            check_groups(name, config, choices)
            checked: Config = validated(schema, config)
            with announced(name, checked, choices), in_study(config.get("monitor")):
                return stage(checked)
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
            groups = groups_outside(name) | (section.pop("groups", None) or {})
            sys.argv[1:] = with_groups(sys.argv[1:], name, groups)
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


def composed(pipeline: str, stage: str, overrides: Sequence[str] = ()) -> Any:
    """The typed configuration that a stage would have, for a command that does not run the stage.

    :func:`choice` then answers for this stage.

    Args:
        overrides: as on the stage's own command line.

    Raises:
        InputError: as the stage's own command: there is no such pipeline, or a key or value that
            does not fit.
    """
    section = pipeline_section(pipeline, stage)
    groups = section.pop("groups", None) or {}
    ConfigStore.instance().store(name="params", node=section, package="_global_")
    chosen = with_groups([f"pipeline={pipeline}", *overrides], stage, groups)
    chosen = [text for text in chosen if not text.startswith(("hydra", "+hydra"))]
    folder = str(Path("conf").resolve())
    try:
        with initialize_config_dir(version_base="1.3", config_dir=folder):
            config = compose(stage, chosen, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        check_groups(stage, config, HydraConfig.get().runtime.choices)
        with open_dict(config):
            del config["hydra"]
        return validated(SCHEMAS[stage], config)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(" ".join(explain(error, SCHEMAS[stage]).split())) from None


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


def pipeline_section(pipeline: str | None, stage: str) -> dict[str, Any]:
    """``pipelines.<pipeline>.<stage>`` of params.yaml; empty for no pipeline.

    Raises:
        InputError: there is no such pipeline, or its sections are not the stages.
    """
    if pipeline is None:
        return {}
    known = pipelines()
    if pipeline not in known:
        raise InputError(f"no pipeline '{pipeline}' in params.yaml: {nearest(pipeline, known)}")
    sections = known[pipeline]
    for section in sections:
        if section not in SCHEMAS:
            raise InputError(
                f"pipelines.{pipeline}.{section} is no stage: {nearest(section, SCHEMAS)}"
            )
    section = sections.get(stage) or {}
    if not isinstance(section, dict):
        raise InputError(f"pipelines.{pipeline}.{stage} is '{section}': must be keys and values")
    for key in section:
        if not isinstance(key, str):
            raise InputError(
                f"pipelines.{pipeline}.{stage} has the key {key!r}, which is not text: put the "
                "key in quotes"
            )
    check_plain(f"pipelines.{pipeline}.{stage}", section)
    groups = section.get("groups") or {}
    if not isinstance(groups, dict) or not all(isinstance(name, str) for name in groups.values()):
        raise InputError(
            f"pipelines.{pipeline}.{stage}.groups is '{groups}': must be groups and their choices"
        )
    return section


def check_plain(place: str, value: Any) -> None:
    """Checks that a value of YAML is text, a number, true, false, null, or made of these.

    Raises:
        InputError: it is a date, for example, which is the name of a class perhaps.
    """
    if isinstance(value, Mapping):
        for key, part in value.items():
            check_plain(f"{place}.{key}", part)
    elif isinstance(value, list):
        for part in value:
            check_plain(place, part)
    elif not isinstance(value, str | int | float | None):
        kind, place = type(value).__name__, " ".join(place.split())
        raise InputError(f"{place}: YAML reads {value} as a {kind}: put it in quotes")


def with_groups(arguments: list[str], stage: str, groups: dict[str, str]) -> list[str]:
    """The command line's arguments for Hydra.

    QUIET, a sweep's name and folders where Optuna is the sweeper, RAY's and MLflow's variables
    where that is the launcher, and each of the section's ``groups`` as ``group=choice``, come in
    front, unless the command line itself chooses. Keys may be written as in params.yaml: the
    stage's own name (``train.epochs=1``) and ``groups`` (``train.groups.model=residual``) are taken
    off.
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
        defaults |= of_study(overrides)
    if "hydra/launcher=ray" in overrides:
        # A trial logs to the user's store, not to that of whoever started the node.
        store = sorted(variable for variable in os.environ if variable.startswith("MLFLOW_"))
        defaults |= RAY | {"hydra.job.env_copy": f"[{','.join(store)}]"}
    defaults |= groups
    first = [f"{key}={value}" for key, value in defaults.items() if key not in named]
    return [*options, *first, *overrides]


def check_groups(stage: str, config: DictConfig, choices: Mapping[str, str]) -> None:
    """Checks the keys and types of each chosen group against its YAML file, and the stage's.

    Raises:
        InputError: a key is in neither file, or a value has another type than there.
    """
    defaults: Any = OmegaConf.load(Path("conf", f"{stage}.yaml"))
    for group, choice in choices.items():
        file = Path("conf", str(group), f"{choice}.yaml")
        if "/" in str(group) or not file.is_file() or group not in config:
            continue
        expected = OmegaConf.merge(defaults.get(group) or {}, OmegaConf.load(file))
        _check_like(expected, config[group], str(group), str(file))


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


def validated(schema: type[Config], config: DictConfig) -> Config:
    """The composed configuration as the stage's typed one.

    Raises:
        InputError: a key is unknown or has no value, or a value has another type or is outside
            its limits.
    """
    try:
        for key in sorted(OmegaConf.missing_keys(config)):
            raise InputError(f"{' '.join(key.split())} has no value: give it one")
        values: Any = OmegaConf.to_container(config, resolve=True)
        return schema(**values)
    except OmegaConfBaseException as error:
        raise InputError(explain(error, schema)) from None
    except ValidationError as error:
        raise InputError(one_line(error, schema=schema)) from None


def build(key: str, node: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls the ``_target_`` of a group's configuration with the rest of it.

    Returns:
        What the target returns; None for the empty configuration of a group's ``none``.

    Raises:
        InputError: the target refused its arguments; names the configuration's ``key``.
    """
    if not node:
        return None
    try:
        return instantiate(node, *args, _convert_="all", **kwargs)
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, TypeError):
            check_signature(key, node, args, kwargs)
        if isinstance(cause, ValidationError):
            raise InputError(one_line(cause, prefix=key)) from error
        raise InputError(f"{key}: {' '.join(str(cause).split())}") from error


def check_signature(key: str, node: Any, args: Sequence[Any], keywords: Iterable[str]) -> None:
    """Checks that the target of a group's configuration can be called as :func:`build` does.

    Raises:
        InputError: it cannot; says the signature that is expected.
    """
    try:
        signature = inspect.signature(get_object(node["_target_"]))
    except (ImportError, TypeError, ValueError):
        return  # what it is called with is not known
    names = [name for name in node if not name.startswith("_")] + list(keywords)
    try:
        signature.bind(*args, **dict.fromkeys(names))
    except TypeError:
        expected = [*FIRST_ARGUMENTS.get(key, []), *(["*"] if names else []), *names]
        raise InputError(
            f"{key}: {node['_target_']} takes {signature}, but must take ({', '.join(expected)})"
        ) from None


def choice(group: str) -> str:
    """The chosen file of the group, without its suffix: ``residual`` for ``model=residual``."""
    return str(HydraConfig.get().runtime.choices[group])


def explain(error: Exception, schema: type) -> str:
    """One line for an error of Hydra or OmegaConf, with the nearest valid name."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        if (group, choice) == ("hydra/launcher", "ray"):
            return "hydra/launcher=ray needs packages of its own: make setup WITH=ray"
        options = error.options or []
        return f"no {group or 'configuration'} '{choice}': {nearest(choice, options)}"
    cause: BaseException = error
    while not isinstance(cause, OmegaConfBaseException) and (cause.__cause__ or cause.__context__):
        cause = cause.__cause__ or cause.__context__ or cause
    first = str(cause).strip().splitlines()[0]
    key = getattr(cause, "full_key", None)
    if isinstance(cause, (ConfigKeyError, AttributeError)) and key:
        parent, _, word = str(key).rpartition(".")
        node = getattr(cause, "parent_node", None)
        names = list(node) if parent and isinstance(node, DictConfig) else known_keys(schema)
        return f"unknown key '{key}': {nearest(word, names)}"
    return f"{key}: {first}" if key else " ".join(str(error).split())


def _stop(stage: str, pipeline: str | None, message: str, status: int = 1) -> None:
    place = f"{stage}: pipelines.{pipeline}.{stage}" if pipeline else stage
    print(f"{place}: {message}", file=sys.stderr)
    sys.exit(status)
