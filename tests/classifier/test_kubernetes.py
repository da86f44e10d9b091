"""The pods of a job become workers: by a Kubernetes API of this test, which lists them."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import mlflow
import pytest
import tensorflow as tf
import yaml
from kubernetes.client import ApiException

from classifier import kubernetes
from classifier.strategies import Workers
from conftest import ROOT, command, free_port, run_stages, without_store, write_project

Pods = list[tuple[str, str, str]]  # name, address, phase
# A configuration for clients, what sets the pods that the server lists, the requests' selectors.
Cluster = tuple[Path, Callable[[Pods], None], list[str]]
DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
HOSTS = ("10.87.0.1", "10.87.0.2")  # of this host, once there is a second one


@pytest.fixture
def second_host() -> Iterator[list[str]]:
    """What begins a command that is to run on another host: a network namespace."""
    host = f"test{os.getpid()}"
    inside = ["ip", "netns", "exec", host]
    try:
        for line in (
            f"netns add {host}",
            f"link add {host} type veth peer name inner netns {host}",
            f"addr add {HOSTS[0]}/24 dev {host}",
            f"link set {host} up",
        ):
            subprocess.run(["ip", *line.split()], check=True)
        for line in (f"addr add {HOSTS[1]}/24 dev inner", "link set inner up", "link set lo up"):
            subprocess.run([*inside, "ip", *line.split()], check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        _remove(host)
        pytest.skip(f"needs the right to make network namespaces: {error}")
    yield inside
    _remove(host)


def _remove(host: str) -> None:
    if shutil.which("ip"):
        subprocess.run(["ip", "netns", "delete", host], stderr=subprocess.DEVNULL)


@pytest.fixture
def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """A Kubernetes API, at a parameter's address or for this host alone."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    pods: Pods = []
    asked: list[str] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            asked.append(query["labelSelector"][0])
            assert query["fieldSelector"] == ["status.phase=Running"]
            items = [
                {
                    "metadata": {"name": name} | (DELETED if phase == "being deleted" else {}),
                    "status": {"hostIP": "10.9.9.9", "podIP": address, "phase": "Running"},
                }
                for name, address, phase in pods
                if phase in ("Running", "being deleted")
            ]
            content = json.dumps({"kind": "PodList", "apiVersion": "v1", "items": items}).encode()
            self.send_response(200 if parts.path == "/api/v1/namespaces/vision/pods" else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    def running(found: Pods) -> None:
        pods[:] = found

    with ThreadingHTTPServer((getattr(request, "param", "127.0.0.1"), 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = "http://{}:{}".format(*server.server_address)
        file = tmp_path / "kubeconfig"
        content = {
            "clusters": [{"name": "test", "cluster": {"server": address}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
            "users": [{"name": "test", "user": {}}],
        }
        file.write_text(yaml.safe_dump(content))
        yield file, running, asked
        server.shutdown()


@pytest.fixture
def joined(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str, int]]:
    """What joins: the workers' addresses, the kind of task, and its number."""
    found: list[tuple[list[str], str, int]] = []

    def join(resolver: tf.distribute.cluster_resolver.ClusterResolver, scaling: str) -> Workers:
        addresses = resolver.cluster_spec().as_dict()["worker"]
        found.append((addresses, resolver.task_type, resolver.task_id))
        return Workers(tf.distribute.get_strategy(), number=resolver.task_id)

    # The client reads the variable when it is imported.
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(cluster[0])
    )
    monkeypatch.setattr(kubernetes, "PAUSE", 0.01)
    monkeypatch.setattr(kubernetes, "join", join)
    return found


def ask(workers: int = 2, timeout: float = 5.0, namespace: str = "vision") -> Workers:
    return kubernetes.kubernetes(
        namespace=namespace,
        selector="job-name=train",
        workers=workers,
        port=8470,
        timeout=timeout,
        scaling="none",
    )


def test_workers_are_numbered_by_their_names(
    cluster: Cluster,
    joined: list,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, running, asked = cluster
    running([("train-1-b", "10.0.0.7", "Running"), ("train-0-x", "10.0.0.9", "Running")])
    for number, address in enumerate(["10.0.0.9", "10.0.0.7"]):
        monkeypatch.setenv("POD_IP", address)
        assert ask().number == number
    addresses = ["10.0.0.9:8470", "10.0.0.7:8470"]
    assert joined == [(addresses, "worker", 0), (addresses, "worker", 1)]
    assert set(asked) == {"job-name=train"}


@pytest.mark.parametrize("phase", ["Failed", "being deleted"])
def test_a_pod_that_goes_is_no_worker(
    cluster: Cluster,
    joined: list,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
) -> None:
    gone = ("train-0-a", "10.0.0.5", phase)
    cluster[1]([gone, ("train-0-b", "10.0.0.9", "Running"), ("train-1-c", "10.0.0.7", "Running")])
    monkeypatch.setenv("POD_IP", "10.0.0.7")
    assert ask().number == 1
    assert joined[0][0] == ["10.0.0.9:8470", "10.0.0.7:8470"]


def test_the_first_waits_for_the_others(
    cluster: Cluster,
    joined: list,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, running, asked = cluster
    monkeypatch.setenv("POD_IP", "10.0.0.9")
    first = ("train-0", "10.0.0.9", "Running")
    steps = iter([[first, ("train-1", "", "Pending")], [first, ("train-1", "10.0.0.7", "Running")]])
    running([first])
    monkeypatch.setattr(kubernetes.time, "sleep", lambda _: running(next(steps)))
    assert ask().number == 0
    assert len(joined[0][0]) == 2
    assert len(asked) >= 3


@pytest.mark.parametrize(
    ("pods", "address", "message"),
    [
        (
            [("train-0", "10.0.0.9", "Running")],
            "10.0.0.9",
            "job-name=train, after 0.1 s: 1 run, not 2",
        ),
        ([("train-0", "10.0.0.9", "Pending")], "10.0.0.9", ": 0 run, not 2"),
        (
            [("train-0", "10.0.0.9", "Running"), ("train-1", "10.0.0.7", "Running")],
            "10.0.0.1",
            "POD_IP is '10.0.0.1', the address of none of the pods 10.0.0.9:8470, 10.0.0.7:8470",
        ),
    ],
)
def test_pods_that_are_not_all_there_or_not_this_one_are_refused(
    cluster: Cluster,
    joined: list,
    monkeypatch: pytest.MonkeyPatch,
    pods: Pods,
    address: str,
    message: str,
) -> None:
    cluster[1](pods)
    monkeypatch.setenv("POD_IP", address)
    with pytest.raises(ValueError, match=message):
        ask(timeout=0.1)
    assert joined == []


def test_a_refusal_ends_the_wait_and_an_outage_does_not(
    cluster: Cluster,
    joined: list,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match=r"the cluster does not list its pods: \(404\)"):
        ask(timeout=60, namespace="another")
    monkeypatch.setattr(kubernetes._Running, "list_pod_for_all_namespaces", _broken)
    with pytest.raises(ValueError, match=r"job-name=train, after 0.1 s: \(503\)"):
        ask(timeout=0.1)


def _broken(*_: object, **__: object) -> None:
    raise ApiException(status=503, reason="Service Unavailable")


def test_a_pod_trains(cluster: Cluster, tmp_path: Path) -> None:
    file, running, _ = cluster
    running([("train-0", "127.0.0.1", "Running")])
    folder = write_project(tmp_path / "project")
    run_stages(folder, "download", "split", "normalize", "augment")
    train = [sys.executable, "-m", "stages.train", "pipeline=tiny", "strategy=kubernetes"]
    train.append("strategy.namespace=vision")
    alone = ["strategy.workers=1", f"strategy.port={free_port()}"]
    output = command(*train, *alone, cwd=folder, KUBECONFIG=str(file), POD_IP="127.0.0.1").stdout
    assert " epochs in " in output
    assert (folder / "models" / "tiny" / "model.keras").exists()

    nowhere = str(tmp_path / "none")
    result = command(*train, *alone, cwd=folder, check=False, KUBECONFIG=nowhere)
    assert result.returncode == 1
    assert "this is no pod of a Kubernetes cluster" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize("cluster", HOSTS[:1], indirect=True)
def test_two_pods_train_one_model(second_host: list[str], cluster: Cluster, tmp_path: Path) -> None:
    file, running, _ = cluster
    running([(f"train-{number}", address, "Running") for number, address in enumerate(HOSTS)])
    folder = write_project(tmp_path / "project")
    run_stages(folder, "download", "split", "normalize", "augment")
    train = [sys.executable, "-m", "stages.train", "pipeline=tiny", "strategy=kubernetes"]
    train += ["strategy.namespace=vision", f"strategy.port={free_port()}", "epochs=3"]
    pods = [
        subprocess.Popen(
            [*before, *train],
            cwd=folder,
            env={**without_store(), "KUBECONFIG": str(file), "POD_IP": address},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for before, address in zip(([], second_host), HOSTS, strict=True)
    ]
    for output in [pod.communicate(timeout=120)[0] for pod in pods]:
        assert "3 epochs in " in output
    assert [pod.returncode for pod in pods] == [0, 0]
    assert (folder / "models" / "tiny" / "model.keras").exists()
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "FINISHED"


def test_the_example_fits_the_strategy() -> None:
    documents = yaml.safe_load_all((ROOT / "examples" / "kubernetes.yaml").read_text("utf-8"))
    job = next(document for document in documents if document["kind"] == "Job")
    config = yaml.safe_load((ROOT / "conf" / "strategy" / "kubernetes.yaml").read_text("utf-8"))
    assert job["metadata"]["namespace"] == config["namespace"]
    assert config["selector"] == f"job-name={job['metadata']['name']}"
    assert config["workers"] == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert job["spec"]["completionMode"] == "Indexed"
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert f"strategy.workers={config['workers']}" in container["command"]
    assert container["ports"] == [{"containerPort": config["port"]}]
    (volume,) = container["volumeMounts"]
    assert container["workingDir"] == volume["mountPath"]
    assert f"PYTHONPATH={volume['mountPath']}/src" in (ROOT / "Dockerfile").read_text("utf-8")
    path = {each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"]}
    assert path == {"POD_IP": "status.podIP"}
