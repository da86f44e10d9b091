"""The minimum memory of a training step, and the free memory."""

import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from classifier.support.errors import InputError
from classifier.training.memory import check_memory, free_bytes, step_bytes
from conftest import build_model


def test_a_step_holds_weights_gradients_and_every_layer_s_output() -> None:
    model = build_model("dense", 28, units=[8], normalization="none", dropout=0.0)
    weights, image = step_bytes(model)
    assert weights == 2 * 4 * model.count_params()
    assert image == 4 * (4 * 8 + 5)  # the layer, its activation, two dropouts; the probabilities


def test_a_frozen_base_keeps_no_outputs() -> None:
    model = build_model("convnet", 28)
    whole = step_bytes(model)
    for layer in model.layers[:-1]:
        layer.trainable = False
    frozen = step_bytes(model)
    assert frozen[0] < whole[0]
    assert frozen[1] == 4 * 5 < whole[1]


@pytest.mark.parametrize(
    "files",
    [
        {
            "memory.max": "1000",
            "memory.current": "500",
            "memory.stat": "anon 400\ninactive_file 100\n",
        },
        {
            "memory/memory.limit_in_bytes": "1000",
            "memory/memory.usage_in_bytes": "500",
            "memory/memory.stat": "cache 100\ntotal_inactive_file 100\n",
        },
    ],
    ids=["cgroup v2", "cgroup v1"],
)
def test_a_container_s_limit_counts(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "memory").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert free_bytes(tmp_path) == 600
    model = build_model("dense", 28)
    with pytest.raises(InputError, match=r"batch_size is 8: a step takes 0\.0 GB") as raised:
        check_memory(model, 8, tmp_path)
    assert "\n" not in str(raised.value)


def test_no_limit_leaves_what_the_machine_has(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    assert 0 < free_bytes(tmp_path) <= psutil.virtual_memory().total
    check_memory(build_model("dense", 28), 8, tmp_path)


@pytest.mark.slow
def test_the_process_s_own_limit_counts(tmp_path: Path) -> None:
    code = "from pathlib import Path; from classifier.training.memory import free_bytes"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}; print(free_bytes(Path('/nowhere')))"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0 <= int(result.stdout) < 6 * 2**30
