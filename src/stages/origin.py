"""The origin of a model: the commit, data, parameters and environment that it was made from.

``python -m stages.origin exports/mnist``, or a copy of that folder, or ``models:/mnist@champion``,
or ``runs:/<id>``. The tags of a version or run find the commit: its ``dvc.lock`` has the same
inputs of the stage, and the same weights. For a folder, and for tags of before, the hash of the
model or of its weights finds it: ``dvc.lock`` has the same hash. With ``--remake``, the pipeline of
that commit runs again in a clone, and the outputs are compared.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

from classifier.support.errors import InputError
from stages.dvc_lock import Lock, hash_of_fingerprint, lock_at, outputs, weights_hash
from stages.git import git as run_git
from stages.layout import main_checkout
from stages.one_line import stops_in_one_line
from stages.programs import environment
from stages.provenance import INPUTS, STAGE, inputs_digest
from stages.trained import LINEAGE

SAID = ("git.", "dvc.", *LINEAGE)  # beginnings of the tags that are printed


def git(*words: str) -> str:
    return run_git(*words, folder=main_checkout())


def model_hash(model: str) -> str:
    """The hash of the model as in dvc.lock: MD5 of the folder, or of a registered model's
    ``model.keras``.

    Raises:
        InputError: there is no such model.
    """
    if ":/" in model:
        from classifier.tracking import registered_keras_model

        with registered_keras_model(main_checkout(), model).open("rb") as file:
            return file_digest(file, "md5").hexdigest()
    if not (Path(model) / "saved_model.pb").is_file():
        raise InputError(f"{model} is not an exported model: it has no saved_model.pb")
    # DVC hashes a folder like this.
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    with TemporaryDirectory() as empty:
        files = LocalFileSystem()
        _, _, folder = build(HashFileDB(files, empty), model, files, "md5", dry_run=True)
    return str(folder.hash_info.value)


def find_recorded(tags: Mapping[str, str]) -> tuple[str, str]:
    """The first commit with the inputs and the weights of these tags, and the pipeline.

    Args:
        tags: of a run or of a registered version. Those of before have no digest of the inputs:
            the fingerprint of the weights has to be enough.

    Raises:
        InputError: no commit has them, or these are no tags of a pipeline.
    """
    from classifier.tracking import FINGERPRINT

    if not {"pipeline", FINGERPRINT} <= set(tags):
        raise InputError("it has no tags of a pipeline's trained model")
    pipeline, digest = tags["pipeline"], tags.get(INPUTS)
    weights = hash_of_fingerprint(tags[FINGERPRINT])
    same_inputs = ""
    for commit in _with_changed_lock(weights if digest is None else None):
        lock = lock_at(commit, main_checkout())
        if digest is not None and inputs_digest(lock.get(tags[STAGE], {})) != digest:
            continue
        recorded = weights_hash(lock, pipeline)
        if recorded == weights or (recorded is None and digest):
            return commit, pipeline
        same_inputs = same_inputs or commit
    if same_inputs:
        raise InputError(f"commit {same_inputs[:7]} has the same inputs, but other weights")
    what = f"the inputs {digest}" if digest else f"the weights {tags[FINGERPRINT]}"
    head = f"; made on commit {tags['git.commit'][:7]}" if "git.commit" in tags else ""
    changed = ", whose files were changed (git.diff of the run)" * (tags.get("git.dirty") == "true")
    raise InputError(f"no commit has {what} in its dvc.lock: not committed{head}{changed}")


def find(hash_of_model: str) -> tuple[str, str]:
    """The first commit with the model in its dvc.lock, and the model's pipeline.

    Raises:
        InputError: no commit has the model.
    """
    for commit in _with_changed_lock(hash_of_model):
        for stage, entry in lock_at(commit, main_checkout()).items():
            if hash_of_model in outputs({stage: entry}).values():
                return commit, stage.partition("@")[2]
    raise InputError(
        f"no commit has this model ({hash_of_model}) in its dvc.lock: it was not committed"
    )


def _with_changed_lock(text: str | None) -> Iterator[str]:
    """The commits that changed dvc.lock, the oldest first; only where they added ``text``."""
    added = [f"-S{text}"] if text else []
    log = git("log", "--all", "--reverse", "--format=%H", *added, "--", "dvc.lock")
    yield from log.split()


def of_pipeline(lock: Lock, pipeline: str) -> Lock:
    """The entries of the pipeline's stages."""
    return {name: entry for name, entry in lock.items() if name.endswith(f"@{pipeline}")}


def origin_of(model: str) -> tuple[str, str, dict[str, str]]:
    """The commit and the pipeline of a folder, version or run, and what its tags say of git.

    Raises:
        InputError: there is no such model or run, or no commit has it.
    """
    if ":/" not in model:
        return *find(model_hash(model)), {}
    from classifier.tracking import recorded_tags

    tags = recorded_tags(main_checkout(), model)
    said = {key: text for key, text in tags.items() if key.startswith(SAID)}
    try:
        return *find_recorded(tags), said
    except InputError as error:
        try:
            return *find(model_hash(model)), said
        except InputError:
            raise error from None


def describe(commit: str, pipeline: str) -> str:
    """The origin of the model, one fact per line; parameters as in params.yaml."""
    params = YAML(typ="safe").load(git("show", f"{commit}:./params.yaml"))
    hashes = {
        name: sha256(git("show", f"{commit}:./{name}").encode()).hexdigest()
        for name in ("dvc.lock", "requirements.txt")
    }
    data = outputs(of_pipeline(lock_at(commit, main_checkout()), pipeline))[f"data/raw/{pipeline}"]
    rows = {
        "commit": git("log", "-1", "--format=%H, %cs, %s", commit).strip(),
        "pipeline": pipeline,
        "data": f"md5 {data}",
        **{name: f"sha256 {text}" for name, text in hashes.items()},
        **{
            f"{pipeline}.{stage}": str(section)
            for stage, section in params["pipelines"].get(pipeline, {}).items()
        },
    }
    return "\n".join(f"{name:<20} {text}" for name, text in rows.items())


def remake(commit: str, pipeline: str) -> list[str]:
    """Runs the pipeline of the commit in a clone; returns the outputs with other bytes.

    The clone uses neither DVC's cache nor the MLflow store of this checkout.
    """
    repro = [sys.executable, "-m", "dvc", "repro", "--no-run-cache", f"export@{pipeline}"]
    with TemporaryDirectory() as temporary:
        clone = Path(temporary, "checkout")
        git("clone", "--quiet", "--no-checkout", str(main_checkout()), str(clone))
        # A DVC experiment's commit is on no branch.
        git("-C", str(clone), "fetch", "--quiet", "origin", "+refs/*:refs/original/*")
        git("-C", str(clone), "checkout", "--quiet", commit)
        if subprocess.run(repro, cwd=clone, env=environment()).returncode:
            raise InputError(f"the pipeline of {commit[:7]} cannot be run again: see above")
        made = YAML(typ="safe").load(clone / "dvc.lock")["stages"]
    expected, remade = (
        outputs(of_pipeline(lock_at(commit, main_checkout()), pipeline)),
        outputs(made),
    )
    return sorted(path for path in expected if remade.get(path) != expected[path])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.origin", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "model",
        help="an exported folder, models:/<name>@<alias>, models:/<name>/<version>, or runs:/<id>",
    )
    parser.add_argument("--remake", action="store_true", help="make it again and compare the bytes")
    arguments = parser.parse_args()
    with stops_in_one_line("origin"):
        commit, pipeline, recorded = origin_of(arguments.model)
        print(describe(commit, pipeline))
        for key, text in recorded.items():
            print(f"{f'tag {key}':<20} {text}")
        different = remake(commit, pipeline) if arguments.remake else None
    if different:
        sys.exit(f"made again, with other bytes: {', '.join(different)}")
    if different is not None:
        print("made again: the same bytes")


if __name__ == "__main__":
    main()
