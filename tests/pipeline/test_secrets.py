"""No file contains a secret of the environment."""

from pathlib import Path

import pytest

from conftest import SECRET


@pytest.mark.fault("a secret in the environment", "in no output, log, tag or report")
def test_no_secret_of_the_environment_is_in_any_file(finished: Path) -> None:
    files = [file for file in finished.rglob("*") if file.is_file()]
    assert finished / "mlflow.db" in files
    for file in files:
        assert SECRET.encode() not in file.read_bytes(), file
