"""What params.yaml leaves out is added for DVC, and each model has a module of its name."""

import re
from pathlib import Path

import pytest
import yaml

from classifier.support.errors import InputError
from conftest import PYTHON, command, commit_all
from stages.prepare import main, prepare

SECTIONS = """\
# My pipelines.
pipelines:
  tiny:
    download: {groups: {dataset: tiny}}
    normalize: {image_size: 16} # pixels
    train: {groups: {optimizer: sgd}, epochs: 1}
"""


def test_the_defaults_are_added_and_the_rest_stays(project: Path) -> None:
    (project / "params.yaml").write_text(SECTIONS)
    photos = project.parent / "project-photos"
    assert prepare() == [
        f"params.yaml: pipelines.tiny.download: added depends_on: {photos}",
        "params.yaml: pipelines.tiny.split: added depends_on: conf/split.yaml",
        "params.yaml: pipelines.tiny.augment.groups: added the default policy: none",
        "params.yaml: pipelines.tiny.backbone.groups: added the default backbone: none",
        "params.yaml: pipelines.tiny.train.groups: added the default model: convnet, "
        "loss: crossentropy, schedule: cosine, mixing: none, views: none, teacher: none, "
        "strategy: single",
        "params.yaml: pipelines.tiny.train: added depends_on: conf/train.yaml",
    ]
    text = (project / "params.yaml").read_text()
    assert "# My pipelines.\n" in text
    assert "normalize: {image_size: 16} # pixels\n" in text
    sections = yaml.safe_load(text)["pipelines"]["tiny"]
    assert sections["train"]["groups"]["optimizer"] == "sgd"
    assert sections["train"]["epochs"] == 1
    assert sections["train"]["depends_on"] == "conf/train.yaml"
    assert sections["download"]["depends_on"] == str(photos)
    assert prepare() == []
    assert (project / "params.yaml").read_text() == text


def test_a_group_without_a_default_is_named(project: Path) -> None:
    params = project / "params.yaml"
    params.write_text(SECTIONS.replace("{groups: {dataset: tiny}}", "{source: auto}"))
    before = params.read_bytes()
    expected = r"pipelines\.tiny\.download\.groups has no dataset: choose flowers \| mnist \| tiny"
    with pytest.raises(InputError, match=expected):
        prepare()
    assert params.read_bytes() == before


def test_a_pipeline_without_sections_needs_its_data(project: Path) -> None:
    (project / "params.yaml").write_text("pipelines:\n  pets:\n")
    with pytest.raises(InputError, match=r"pipelines\.pets\.download\.groups has no dataset"):
        prepare()


def test_what_is_no_section_is_named(project: Path) -> None:
    params = project / "params.yaml"
    params.write_text("pipelines:\n  pets: 3\n")
    with pytest.raises(InputError, match=r"pipelines\.pets of params\.yaml is '3': must be stages"):
        prepare()
    params.write_text(SECTIONS.replace("{image_size: 16}", "16"))
    assert prepare()  # the stage normalize itself names the 16


def test_dvc_runs_a_pipeline_whose_groups_are_the_defaults(project: Path) -> None:
    """DVC has no defaults of its own: `make repro` adds them first, as this test does."""
    params = project / "params.yaml"
    params.write_text(re.sub(r"\n +(mixing|strategy): \w+", "", params.read_text()))
    commit_all(project)
    command(PYTHON, "-m", "stages.prepare", cwd=project)
    printed = command("dvc", "status", cwd=project).stdout
    assert "train@tiny" in printed
    assert "conf/strategy/single.yaml" in printed


def relative_photos(project: Path, depends_on: str = "conf/download.yaml") -> Path:
    """Gives the dataset a relative path; the folder of its photos."""
    photos = project.parent / "project-photos"
    dataset, params = project / "conf" / "dataset" / "tiny.yaml", project / "params.yaml"
    dataset.write_text(dataset.read_text().replace(str(photos), "../project-photos"))
    params.write_text(params.read_text().replace(str(photos), depends_on))
    return photos


@pytest.mark.parametrize("given", ["conf/download.yaml", "../project-photos", ".."])
def test_a_relative_folder_is_a_dependency_in_a_copy_too(project: Path, given: str) -> None:
    photos = relative_photos(project, given)
    assert prepare() == [
        f"params.yaml: pipelines.tiny.download: changed depends_on from {given} to {photos}"
    ]
    assert prepare() == []


def test_photos_that_git_tracks_are_those_of_the_copy(project: Path) -> None:
    relative_photos(project).rename(project / "photos")
    dataset = project / "conf" / "dataset" / "tiny.yaml"
    dataset.write_text(dataset.read_text().replace("../project-photos", "photos"))
    commit_all(project)
    assert prepare() == [
        "params.yaml: pipelines.tiny.download: changed depends_on from conf/download.yaml to photos"
    ]


@pytest.mark.fault("a dataset that a queued experiment would not have", "one line by `make repro`")
def test_files_that_git_does_not_track_are_named(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(project)
    (project / "conf" / "dataset" / "pets.yaml").write_text("name: pets\n")
    monkeypatch.chdir(project)
    monkeypatch.setattr("sys.argv", ["stages.prepare"])
    main()
    assert capsys.readouterr().out == (
        "git does not track conf/dataset/pets.yaml: 'git add' before 'dvc exp run --queue', whose "
        "copy has only what git tracks\n"
    )
    command("git", "add", "conf", cwd=project)
    main()
    assert capsys.readouterr().out == ""


def transfer_from(project: Path, base: str) -> None:
    params = project / "params.yaml"
    text = params.read_text().replace("model: convnet", "model: transfer")
    text = text.replace("model: {filters: [8], convolutions: 1}", f"model: {{base: {base}}}")
    params.write_text(text)


def test_a_base_becomes_a_dependency(project: Path) -> None:
    transfer_from(project, "old.keras")
    assert prepare() == [
        "params.yaml: pipelines.tiny.train: changed depends_on from conf/train.yaml to old.keras"
    ]
    assert prepare() == []
    # A folder that the base is in does as well.
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("depends_on: old.keras", "depends_on: ."))
    assert prepare() == []


def test_a_pipeline_is_not_its_own_base(project: Path) -> None:
    transfer_from(project, "tiny")
    expected = r"pipelines\.tiny\.train\.model\.base is the pipeline itself: name another one"
    with pytest.raises(InputError, match=expected):
        prepare()


def train_section(project: Path, words: str) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("      epochs: 2", f"      epochs: 2\n{words}"))


def taught(project: Path, words: str) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("teacher: none", "teacher: model"))
    train_section(project, f"      teacher: {{source: {words}}}")


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("      teacher: {source: exports/old}", "exports/old"),
        ("      continue_from: old.keras", "old.keras"),
    ],
)
def test_a_teacher_and_what_is_continued_become_dependencies(
    project: Path, words: str, path: str
) -> None:
    train_section(project, words)
    assert prepare() == [
        f"params.yaml: pipelines.tiny.train: changed depends_on from conf/train.yaml to {path}"
    ]
    assert prepare() == []


def test_a_teacher_of_another_pipeline_is_its_model(project: Path) -> None:
    params = project / "params.yaml"
    large = params.read_text().partition("pipelines:\n")[2].replace("tiny:", "large:", 1)
    taught(project, "large")
    params.write_text(params.read_text() + large)
    assert prepare() == [
        "params.yaml: pipelines.tiny.train: changed depends_on from conf/train.yaml to "
        "models/large/model.keras"
    ]


def test_two_models_that_dvc_cannot_look_after(project: Path) -> None:
    taught(project, "large.keras\n      continue_from: old.keras".replace("\n", "}\n") + " #")
    text = (project / "params.yaml").read_text().replace("old.keras #}", "old.keras")
    (project / "params.yaml").write_text(text)
    expected = r"train reads old\.keras and large\.keras, and DVC looks after one path more: set"
    with pytest.raises(InputError, match=expected):
        prepare()
    assert (project / "params.yaml").read_text() == text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("      continue_from: models/tiny/last.keras", "continue_from is the pipeline itself"),
        ("      teacher: {source: tiny}", "teacher.source is the pipeline itself"),
    ],
)
def test_a_pipeline_neither_teaches_itself_nor_reads_its_output(
    project: Path, words: str, expected: str
) -> None:
    train_section(project, words)
    with pytest.raises(InputError, match=expected):
        prepare()


def test_a_home_folder_is_refused(project: Path) -> None:
    params = project / "params.yaml"
    text = params.read_text().replace("depends_on: conf/train.yaml", "depends_on: ~/old")
    params.write_text(text)
    expected = (
        rf"tiny\.train\.depends_on is '~/old': DVC does not know '~': write {Path.home()}/old"
    )
    with pytest.raises(InputError, match=expected):
        prepare()
    assert params.read_text() == text


def choose_small(project: Path, target: str = "classifier.models.convnet.convnet") -> None:
    models = project / "conf" / "model"
    text = (models / "convnet.yaml").read_text().replace("filters: [16, 32, 64]", "filters: [4]")
    target = text.replace("classifier.models.convnet.convnet", target)
    (models / "small.yaml").write_text(target)
    params = project / "params.yaml"
    text = params.read_text().replace("model: {filters: [8], convolutions: 1}", "model: {}")
    params.write_text(text.replace("model: convnet", "model: small"))


@pytest.mark.slow
def test_a_model_that_reuses_a_family_reruns_when_the_family_changes(project: Path) -> None:
    choose_small(project)
    commit_all(project)
    line = (
        "src/classifier/models/small.py: linked to convnet.py, which conf/model/small.yaml builds"
    )
    assert prepare() == [line]
    assert prepare() == []
    command("dvc", "repro", "train@tiny", cwd=project)
    assert command("dvc", "status", "train@tiny", cwd=project).stdout.count("up to date") == 1
    with (project / "src" / "classifier" / "models" / "convnet.py").open("a") as file:
        file.write("# Another.\n")
    printed = command("dvc", "status", "train@tiny", cwd=project).stdout
    assert re.search(
        r"train@tiny:\s+changed deps:\s+modified: +src/classifier/models/small.py", printed
    )


def test_a_model_of_a_package_of_the_user_s_own_is_linked(project: Path) -> None:
    package = project / "src" / "own"
    package.mkdir()
    (package / "nets.py").write_text("raise SystemExit('it is not imported')\n")
    choose_small(project, "own.nets.Builder.build")
    (line,) = prepare()
    assert line.startswith("src/classifier/models/small.py: linked to ../../own/nets.py, ")
    link = project / "src" / "classifier" / "models" / "small.py"
    assert link.samefile(package / "nets.py")
    # The YAML file builds another module now: the link follows.
    choose_small(project, "classifier.models.dense.dense")
    assert prepare() != []
    assert link.readlink() == Path("dense.py")


def test_a_model_without_a_module_is_named(project: Path) -> None:
    choose_small(project, "own.build")
    expected = r"conf/model/small\.yaml: no module of _target_ own\.build: put it into src/"
    with pytest.raises(InputError, match=expected):
        prepare()


def test_a_module_of_the_same_name_is_not_replaced(project: Path) -> None:
    choose_small(project)
    module = project / "src" / "classifier" / "models" / "small.py"
    module.write_text("# mine\n")
    with pytest.raises(InputError, match=r"but src/classifier/models/small\.py is another module"):
        prepare()
    assert module.read_text() == "# mine\n"


@pytest.mark.slow
@pytest.mark.fault("a source archive without git", "`make repro` tells DVC, in one line")
def test_dvc_runs_without_git(project: Path) -> None:
    refused = command("dvc", "repro", "download@tiny", cwd=project, check=False)
    assert refused.returncode != 0
    assert "is not a git repository" in refused.stdout
    assert command(PYTHON, "-m", "stages.prepare", cwd=project).stdout == (
        "no git repository here: 'dvc config --local core.no_scm true', "
        "which DVC needs to run without one\n"
    )
    assert "no_scm = true" in (project / ".dvc" / "config.local").read_text()
    command("dvc", "repro", "split@tiny", cwd=project)
    assert (project / "data" / "split" / "tiny.csv").exists()
    assert command(PYTHON, "-m", "stages.prepare", cwd=project).stdout == ""
