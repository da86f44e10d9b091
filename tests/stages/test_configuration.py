"""Bad configuration stops a stage before any work, in one line that says what to do."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import MissingConfigException
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conftest import PYTHON, ROOT
from stages.configuration import QUIET, configured, explain, with_groups
from stages.schemas import SCHEMAS
from stages.validation import known_keys

Run = Callable[..., tuple[int, str, str]]

BAD = [
    ("train", ["epoch=3"], "unknown key 'epoch': did you mean 'epochs'?"),
    ("train", ["train.epochs=five"], "epochs is 'five': must be a whole number"),
    ("train", ["epochs=0"], "epochs is 0: must be at least 1"),
    ("train", ["model=resdual"], "no model 'resdual': did you mean 'residual'?"),
    ("train", ["optimizer.learning_rate=-1"], "optimizer.learning_rate is -1: must be above 0"),
    ("train", ["optimizer.learning_rate=fast"], "must be of type float, like 0.001 in conf"),
    ("train", ["+optimizer.lerning_rate=1"], "unknown key 'optimizer.lerning_rate': did you mean"),
    ("train", ["optimizer.lerning_rate=1"], "'optimizer.lerning_rate': did you mean 'learning_r"),
    ("train", ["train.groups.model=residal"], "no model 'residal': did you mean 'residual'?"),
    ("train", ["model.filters=[8,a]"], "model.filters is 'a': must be a whole number"),
    ("train", ["model.filters=[8,0]"], "model.filters is 0: must be at least 1"),
    ("train", ["model.dropout=1.0"], "model.dropout is 1.0: must be below 1"),
    ("split", ["validaton=0.1"], "unknown key 'validaton': did you mean 'validation'?"),
    ("split", ["duplicates=kep"], "must be one of keep | drop; did you mean 'keep'?"),
    ("normalize", ["method=standardise"], "did you mean 'standardize'?"),
    ("normalize", ["image_size=[16]"], "image_size is [16]: must be a whole number"),
    ("normalize", ["image_size=7"], "image_size is 7: must be at least 8"),
    ("normalize", ["image_size=0"], "image_size is 0: must be at least 8"),
    ("normalize", ["image_size=[0,20]"], "image_size is [0, 20]: must be at least 8"),
    ("normalize", ["image_size=[12,5000]"], "image_size is [12, 5000]: must be at most 4096"),
    ("normalize", ["image_size=[12,20,3]"], "[12, 20, 3]: must be a whole number, or two: [heig"),
    ("normalize", ["image_size=big"], "image_size is 'big': must be a whole number, or two"),
    ("normalize", ["image_size=[a,20]"], "image_size is ['a', 20]: must be a whole number, or"),
    ("normalize", ["image_size=12x20"], "image_size is '12x20': must be a whole number, or two"),
    ("normalize", ["image_size=[16.5,20]"], "image_size is [16.5, 20]: must be a whole number"),
    ("normalize", ["channels=2"], "channels is 2: must be one of 1 | 3"),
    ("train", ["schedule=cosine", "schedule.warmup=1"], "schedule.warmup is 1: must be below 1"),
    ("train", ["views.middle=0.05"], "views.middle is 0.05: must be at least 0.1"),
    ("train", ["strategy=mirrored", "strategy.scaling=lin"], "did you mean 'linear'?"),
    ("train", ["class_weight=balance"], "must be one of balanced; did you mean 'balanced'?"),
    ("train", ["class_weight={red:-1}"], "class_weight.red is -1: must be above 0"),
    ("train", ["class_weight={red:heavy}"], "class_weight.red is 'heavy': must be a number"),
    ("train", ["class_weight=[1,2]"], "is [1, 2]: must be null, balanced, or {class: weight, …}"),
    ("train", ["class_weight={rad:2}"], "class_weight: no class 'rad': did you mean 'red'?"),
    ("train", ["sampling=balance"], "must be one of natural | balanced; did you mean 'balanced'?"),
    ("train", ["class_weight=balanced", "sampling=balanced"], "are both balanced, so that"),
    ("train", ["monitor=val_macro_f2"], "did you mean 'val_macro_f1'?"),
    ("train", ["loss=focol"], "no loss 'focol': did you mean 'focal'?"),
    ("train", ["loss=focal", "loss.alpha=-1"], "loss.alpha is -1: must be above 0"),
    ("train", ["loss=focal", "loss.gamma=-1"], "loss.gamma is -1: must be at least 0"),
    ("train", ["deterministic=1"], "deterministic is 1: must be true or false"),
    ("download", ["dataset.max_files=0"], "dataset.max_files is 0: must be at least 1"),
    ("download", ["dataset.file=null"], "dataset.file is None: must be text"),
    ("augment", ["policy=flower"], "no policy 'flower': did you mean 'flowers'?"),
    ("augment", ["policy.rotation.factor=big"], "policy.rotation.factor is 'big': must be of type"),
    ("augment", ["policy.rotation.factor=7"], "policy.rotation: "),
    ("download", ["source=mirorr"], "did you mean 'mirror'?"),
    ("export", ["tolerance=-1"], "tolerance is -1: must be at least 0"),
    ("export", ["runtimes=[onxx]"], "did you mean 'onnx'?"),
]


@pytest.mark.parametrize(("name", "overrides", "expected"), BAD, ids=lambda value: str(value)[:40])
def test_one_line_names_pipeline_key_and_remedy(
    run_stage: Run, finished: Path, project: Path, name: str, overrides: list[str], expected: str
) -> None:
    for folder in ("data", "models"):
        (project / folder).symlink_to(finished / folder)
    status, error, _ = run_stage(name, "pipeline=tiny", *overrides)
    assert status == 1
    assert expected in error
    assert error.startswith(f"{name}: pipelines.tiny.{name}: ")
    assert error.count("\n") == 1


def test_mistake_in_params_is_found_like_one_on_the_command_line(
    run_stage: Run, project: Path
) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 2", "epocs: 2"))
    status, error, _ = run_stage("train", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "train: pipelines.tiny.train: unknown key 'epocs': did you mean 'epochs'?" in error
    assert not (project / "models").exists()


def test_unknown_key_of_a_group_in_params(run_stage: Run, project: Path) -> None:
    params = project / "params.yaml"
    params.write_text(
        params.read_text().replace("model: {filters", "model: {fillters: [1], filters")
    )
    status, error, _ = run_stage("train", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "unknown key 'model.fillters': did you mean 'filters'?" in error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "say which pipeline: pipeline=tiny"),
        (["pipeline=tinny"], "no pipeline 'tinny' in params.yaml: did you mean 'tiny'?"),
    ],
)
def test_pipeline_is_named(run_stage: Run, arguments: list[str], expected: str) -> None:
    status, error, _ = run_stage("split", *arguments)
    assert (status, error.count("\n")) == (1, 1)
    assert expected in error


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "pipelines: {tiny: {trian: {}}}",
            "pipelines.tiny.trian is no stage: did you mean 'train'?",
        ),
        ("pipelines: {tiny: {split: 3}}", "pipelines.tiny.split is '3': must be keys and values"),
        ("pipelines: [", "params.yaml is not YAML"),
        ("other: 1", "params.yaml has no pipelines"),
    ],
)
def test_params_file_is_checked(run_stage: Run, project: Path, content: str, expected: str) -> None:
    (project / "params.yaml").write_text(content)
    status, error, _ = run_stage("split", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert expected in error


def test_missing_output_names_the_target_that_makes_it(run_stage: Run, project: Path) -> None:
    status, error, _ = run_stage("split", "pipeline=tiny")
    assert status == 1
    assert "data/raw/tiny/source.json is missing: make it with 'dvc repro download@tiny'" in error


@pytest.mark.fault("Ray's launcher without its packages", "one line names the command for them")
def test_the_launcher_of_ray_without_ray() -> None:
    missing = MissingConfigException("not found", "hydra/launcher/ray", ["basic", "joblib"])
    expected = "hydra/launcher=ray needs packages of its own: make setup WITH=ray"
    assert explain(missing, SCHEMAS["train"]) == expected
    other = MissingConfigException("not found", "hydra/launcher/rey", ["basic", "ray"])
    assert explain(other, SCHEMAS["train"]) == "no hydra/launcher 'rey': did you mean 'ray'?"


def test_order_is_defaults_then_params_then_command_line(project: Path) -> None:
    def composed(*overrides: str) -> str:
        words = [PYTHON, "-m", "stages.train", "pipeline=tiny", *overrides, "--cfg", "job"]
        return "\n" + subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert "\nlabel_smoothing: 0.0\n" in composed()
    assert "\nepochs: 2\n" in composed()
    assert "\nepochs: 1\n" in composed("train.epochs=1")
    assert "_target_: classifier.models.convnet.convnet" in composed()
    assert "_target_: classifier.models.residual.residual" in composed(
        "model=residual", "model.filters=[8]"
    )
    assert sorted(path.name for path in project.iterdir()) == sorted(
        [".dvc", ".dvcignore", ".gitignore", "conf", "dvc.yaml", "params.yaml", "src"]
    )


def test_group_on_the_command_line_replaces_the_one_in_params() -> None:
    groups = {"model": "convnet", "optimizer": "adam"}
    arguments = with_groups(["train.groups.model=residual", "train.epochs=1"], "train", groups)
    assert arguments[len(QUIET) :] == [
        "optimizer=adam",
        "model=residual",
        "epochs=1",
    ]


@pytest.mark.parametrize("names", ["[red, 2024]", "[red, yes]", "[red, 'true']", "[on, off]"])
def test_names_of_classes_are_text(
    run_stage: Run, finished: Path, project: Path, names: str
) -> None:
    """Each of these is a name, which the dataset does not have."""
    (project / "data").symlink_to(finished / "data")
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("seed: 7}", f"seed: 7, classes: {names}}}"))
    status, error, _ = run_stage("split", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "classes: the dataset has no class '" in error


@pytest.mark.fault(
    "a class's name that YAML reads as a truth value, a number or a date", "one line"
)
@pytest.mark.parametrize("name", ["true", "null", "1.10", "1e3", "2024-01-01"])
def test_a_class_whose_name_means_something_to_yaml(
    run_stage: Run, finished: Path, project: Path, name: str
) -> None:
    (project / "data").symlink_to(finished / "data")
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("seed: 7}", f"seed: 7, classes: [red, {name}]}}"))
    status, error, _ = run_stage("split", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "classes" in error and "YAML" in error and "in quotes" in error
    text = params.read_text().replace(f"[red, {name}]", f"[red, '{name}']")
    params.write_text(text)
    _, error, _ = run_stage("split", "pipeline=tiny")
    assert f"the dataset has no class '{name}'" in error


@pytest.mark.parametrize("name", ["yes", "off", "null", "1.10", "1e3"])
def test_a_dataset_whose_class_means_something_to_yaml(
    run_stage: Run, project: Path, name: str
) -> None:
    """Hydra reads conf/ by YAML 1.1, where yes and off are truth values as well."""
    file = project / "conf" / "dataset" / "tiny.yaml"
    text = file.read_text()
    file.write_text(f"{text}classes: [red, {name}]\n")
    status, error, _ = run_stage("download", "pipeline=tiny")
    assert (status, error.count("\n")) == (1, 1)
    assert "dataset.classes is " in error and "put it in quotes" in error
    file.write_text(f"{text}classes: [red, '{name}']\n")
    _, error, _ = run_stage("download", "pipeline=tiny")
    assert f"no images of class {name} inside" in error


def test_names_of_classes_by_dvc_s_command_line(
    run_stage: Run, finished: Path, project: Path
) -> None:
    """What `dvc exp run -S` writes to params.yaml is read as it was given."""
    from dvc.utils.hydra import apply_overrides

    (project / "data").symlink_to(finished / "data")
    for name in ("yes", "no", "010", "2024-01-01"):
        apply_overrides("params.yaml", [f"+pipelines.tiny.split.classes=[red,{name}]"])
        status, error, _ = run_stage("split", "pipeline=tiny")
        assert (status, error.count("\n")) == (1, 1)
        assert f"classes: the dataset has no class '{name}'" in error
        apply_overrides("params.yaml", ["~pipelines.tiny.split.classes"])


def test_names_of_classes_on_the_command_line(
    run_stage: Run, finished: Path, project: Path
) -> None:
    (project / "data").symlink_to(finished / "data")
    for names, expected in {
        "[red,yes]": "the dataset has no class 'yes'",
        "[red,2024-01-01]": "the dataset has no class '2024-01-01'",
        "[red,5]": "the dataset has no class '5'",
        "[red,'true']": "the dataset has no class 'true'",
        "[red,true]": "classes is True: YAML has a meaning for this name: put it in quotes",
        "[red,1e3]": "classes is 1000.0: YAML has a meaning for this name: put it in quotes",
        "[red,null]": "classes is None: YAML has a meaning for this name: put it in quotes",
    }.items():
        status, error, _ = run_stage("split", "pipeline=tiny", f"split.classes={names}")
        assert (status, error.count("\n")) == (1, 1)
        assert expected in error


GROUPS = {
    "dataset": "download",
    "policy": "augment",
    "backbone": "backbone",
    "model": "train",
    "loss": "train",
    "optimizer": "train",
    "schedule": "train",
    "mixing": "train",
    "views": "train",
    "teacher": "train",
    "strategy": "train",
    "logger": "train",
}


@pytest.mark.parametrize(
    "file",
    sorted(file for group in GROUPS for file in (ROOT / "conf" / group).glob("*.yaml")),
    ids=lambda file: file.stem,
)
def test_every_choice_of_every_group_composes(file: Path) -> None:
    group, name = file.parent.name, GROUPS[file.parent.name]
    store = ConfigStore.instance()
    store.store(name="params", node={}, package="_global_")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose(name, overrides=[f"{group}={file.stem}", "pipeline=any"])
    assert group in config


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_default_is_in_the_yaml_file_of_its_stage(name: str) -> None:
    defaults = yaml.safe_load((ROOT / "conf" / f"{name}.yaml").read_text())
    groups = {group for group, stage in GROUPS.items() if stage == name}
    assert set(defaults) - {"defaults"} | groups == set(known_keys(SCHEMAS[name])) | groups


def test_a_component_of_the_user_s_own_has_no_limits_of_others(
    run_stage: Run, finished: Path, project: Path
) -> None:
    """``window`` is at least 3 for normalize and ``channels`` 1 or 3: not for another component."""
    for folder in ("data", "models"):
        (project / folder).symlink_to(finished / folder)
    (project / "conf" / "model" / "own.yaml").write_text(
        "_target_: own.build\nwindow: 2\nchannels: 32\n"
    )
    params = project / "params.yaml"
    params.write_text(
        params.read_text().replace("      model: {filters: [8], convolutions: 1}\n", "")
    )
    status, error, _ = run_stage("train", "pipeline=tiny", "model=own")
    assert status == 1
    assert "No module named 'own'" in error


def test_every_activation_that_is_allowed_is_known_to_keras() -> None:
    import keras

    from classifier.models.blocks import Activation

    for name in get_args(Activation):
        assert callable(keras.activations.get(name))


KEYS = st.sampled_from(["validation", "test", "seed", "duplicates", "classes", "groups", "valid"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats()
    | st.sampled_from(["keep", "drop", "???", "${seed}", "${nothing}", "${oc.env:HOME}", "a=b", ""])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@pytest.mark.slow
@pytest.mark.fault("any section of params.yaml (property)", "fits or one line")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(section={"\n": None})
@example(section={"a\nb": [["???"]]})
@example(section={"0E0": None})
@given(section=st.dictionaries(KEYS | st.text(max_size=8), VALUES, max_size=4))
def test_any_section_of_params_fits_or_is_one_line(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    section: dict,
) -> None:
    (project / "params.yaml").write_text(
        yaml.safe_dump({"pipelines": {"tiny": {"split": section}}})
    )
    monkeypatch.setattr(sys, "argv", ["stages.split", "pipeline=tiny"])
    done: list[object] = []

    def split(config: object) -> None:
        done.append(config)

    capsys.readouterr()
    try:
        configured(split)()
    except SystemExit as end:
        assert end.code == 1
        error = capsys.readouterr().err
        assert error.startswith("split: ")
        assert error.count("\n") == 1
        assert not done
    else:
        assert isinstance(done[0], SCHEMAS["split"])


def test_a_stage_says_what_it_does_and_how_long_it_took(run_stage: Run) -> None:
    _, _, output = run_stage("download", "pipeline=tiny")
    first, *_, last = output.splitlines()
    assert first == "tiny, download: gets the dataset tiny"
    assert re.fullmatch("tiny, download: done in [0-9]+ s", last)
    _, _, output = run_stage("split", "pipeline=tiny", "validation=1000")
    assert output.splitlines() == [
        "tiny, split: divides the images into train, validation and test"
    ]
