"""Where a model comes from: the commit, data, parameters and environment that made it.

``python -m stages.origin exports/mnist``, or a copy of that folder, or ``models:/mnist@champion``.
A model is known by its bytes: by the hash that ``dvc.lock`` has of it in one of the commits. With
``--remake`` that commit's pipeline runs once more, in a clone, and its outputs are compared.
"""

import argparse
import os
import subprocess
import sys
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

from classifier.errors import InputError
from stages.layout import main_checkout

Lock = dict[str, Any]  # what dvc.lock says of each stage


def git(*words: str) -> str:
    result = subprocess.run(["git", *words], cwd=main_checkout(), capture_output=True, text=True)
    if result.returncode:
        raise InputError(f"git {words[0]}: {result.stderr.strip().splitlines()[-1]}")
    return result.stdout


def model_hash(model: str) -> str:
    """The hash by which dvc.lock would know the model: of a folder, or of a registered one's file.

    Raises:
        InputError: there is no such model.
    """
    if ":/" in model:
        from classifier.tracking import registered_keras_model

        with registered_keras_model(main_checkout(), model).open("rb") as file:
            return file_digest(file, "md5").hexdigest()
    if not (Path(model) / "saved_model.pb").is_file():
        raise InputError(f"{model} is no exported model: it has no saved_model.pb")
    # DVC's own way to hash a folder.
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    with TemporaryDirectory() as nothing:
        files = LocalFileSystem()
        _, _, folder = build(HashFileDB(files, nothing), model, files, "md5", dry_run=True)
    return str(folder.hash_info.value)


def find(hash_of_model: str) -> tuple[str, str]:
    """The first commit whose dvc.lock has the model, and the pipeline that made it.

    Raises:
        InputError: no commit has it.
    """
    commits = git(
        "log", "--all", "--reverse", "--format=%H", f"-S{hash_of_model}", "--", "dvc.lock"
    )
    for commit in commits.split():
        for stage, entry in lock_at(commit).items():
            if hash_of_model in outputs({stage: entry}).values():
                return commit, stage.partition("@")[2]
    raise InputError(
        f"no commit's dvc.lock has this model ({hash_of_model}): what made it was not committed"
    )


def lock_at(commit: str) -> Lock:
    return YAML(typ="safe").load(git("show", f"{commit}:dvc.lock"))["stages"]


def outputs(lock: Lock) -> dict[str, str]:
    """The hash of each output, by its path."""
    return {out["path"]: out["md5"] for entry in lock.values() for out in entry.get("outs", ())}


def of_pipeline(lock: Lock, pipeline: str) -> Lock:
    """The pipeline's stages."""
    return {name: entry for name, entry in lock.items() if name.endswith(f"@{pipeline}")}


def describe(commit: str, pipeline: str) -> str:
    """What made the model, a line each; the parameters as in params.yaml."""
    params = YAML(typ="safe").load(git("show", f"{commit}:params.yaml"))
    hashes = {
        name: sha256(git("show", f"{commit}:{name}").encode()).hexdigest()
        for name in ("dvc.lock", "requirements.txt")
    }
    data = outputs(of_pipeline(lock_at(commit), pipeline))[f"data/raw/{pipeline}"]
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
    """Runs the pipeline of the commit in a clone; returns the outputs whose bytes are others.

    Nothing is taken from DVC's cache, and the clone's MLflow store is its own.
    """
    environment = {key: text for key, text in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    repro = [sys.executable, "-m", "dvc", "repro", "--no-run-cache", f"export@{pipeline}"]
    with TemporaryDirectory() as temporary:
        clone = Path(temporary, "checkout")
        git("clone", "--quiet", "--no-checkout", str(main_checkout()), str(clone))
        # A DVC experiment's commit is on no branch.
        git("-C", str(clone), "fetch", "--quiet", "origin", "+refs/*:refs/original/*")
        git("-C", str(clone), "checkout", "--quiet", commit)
        if subprocess.run(repro, cwd=clone, env=environment).returncode:
            raise InputError(f"the pipeline of {commit[:7]} cannot be run again: see above")
        made = YAML(typ="safe").load(clone / "dvc.lock")["stages"]
    expected, found = outputs(of_pipeline(lock_at(commit), pipeline)), outputs(made)
    return sorted(path for path in expected if found.get(path) != expected[path])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.origin", description=__doc__.splitlines()[0]
    )
    parser.add_argument("model", help="an exported folder, or models:/<name>@<alias or version>")
    parser.add_argument("--remake", action="store_true", help="make it again and compare the bytes")
    arguments = parser.parse_args()
    try:
        commit, pipeline = find(model_hash(arguments.model))
        print(describe(commit, pipeline))
        different = remake(commit, pipeline) if arguments.remake else None
    except InputError as error:
        sys.exit(f"origin: {error}")
    if different:
        sys.exit(f"made again, with other bytes: {', '.join(different)}")
    if different is not None:
        print("made again: the same bytes")


if __name__ == "__main__":
    main()
