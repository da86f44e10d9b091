"""Workers on Kubernetes: the running pods of a job, found by a label."""

import os
import time
from typing import Any

import tensorflow as tf

from classifier.strategies import Workers, join

PAUSE = 1.0  # seconds between two looks at the pods
REQUEST_SECONDS = 10  # that an answer may take
REFUSED = (401, 403, 404)  # HTTP statuses that no waiting mends


def kubernetes(
    *, namespace: str, selector: str, workers: int, port: int, timeout: float, scaling: str
) -> Workers:
    """``MultiWorkerMirroredStrategy`` over the pods that a label selects, in the order of names.

    A pod knows itself by the variable ``POD_IP``, from ``status.podIP``; examples/kubernetes.yaml
    is such a job. The workers share a disk, as those of
    :func:`classifier.strategies.multi_worker` do, and trust whoever reaches their port.

    Args:
        namespace: of the pods.
        selector: label selector of the pods, ``job-name=...`` for those of a Job.
        workers: how many there are.
        port: that each listens on.
        timeout: seconds to wait until all run.
        scaling: of :func:`classifier.strategies.multi_worker`.

    Raises:
        ValueError: there is no Kubernetes client or cluster, the pods do not all run in time, or
            ``POD_IP`` is the address of none of them.
    """
    try:
        from kubernetes import config
    except ImportError:
        raise ValueError("the Kubernetes client is missing: pip install kubernetes") from None
    try:
        # Outside of a cluster there may be a user's configuration, with a way to its pods.
        inside = "KUBERNETES_SERVICE_HOST" in os.environ
        config.load_incluster_config() if inside else config.load_kube_config()
    except config.ConfigException as error:
        raise ValueError(f"this is no pod of a Kubernetes cluster: {error}") from error
    addresses = _running(namespace, selector, workers, port, timeout)
    own = f"{os.environ.get('POD_IP', '')}:{port}"
    if own not in addresses:
        raise ValueError(
            f"POD_IP is '{os.environ.get('POD_IP', '')}', the address of none of the pods "
            f"{', '.join(addresses)}: set it from status.podIP"
        )
    # Not the resolver that listed them: it would list them anew, and its index is of this list.
    agreed = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=addresses.index(own),
        num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
        rpc_layer="grpc",
    )
    return join(agreed, scaling)


class _Running:
    """A client that lists a namespace's running pods for TensorFlow's resolver.

    That one would list all pods of the cluster, and reach them by their nodes' addresses.
    """

    def __init__(self, namespace: str):
        from kubernetes.client import CoreV1Api

        self._namespace = namespace
        self._api = CoreV1Api()

    def list_pod_for_all_namespaces(self, label_selector: str) -> Any:
        found = self._api.list_namespaced_pod(
            self._namespace,
            label_selector=label_selector,
            field_selector="status.phase=Running",
            _request_timeout=REQUEST_SECONDS,
        )
        # A pod that is being deleted runs until it has gone.
        found.items = [pod for pod in found.items if pod.metadata.deletion_timestamp is None]
        for pod in found.items:
            pod.status.host_ip = pod.status.pod_ip
        return found


def _running(namespace: str, selector: str, workers: int, port: int, timeout: float) -> list[str]:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    resolver = tf.distribute.cluster_resolver.KubernetesClusterResolver(
        {"worker": [selector]}, tf_server_port=port, override_client=_Running(namespace)
    )
    end = time.monotonic() + timeout
    while True:
        try:
            found = list(resolver.cluster_spec().as_dict().get("worker", []))
            reason = f"{len(found)} run, not {workers}"
        except (ApiException, HTTPError) as error:
            found, reason = [], " ".join(str(error).split())[:200]
            if isinstance(error, ApiException) and error.status in REFUSED:
                raise ValueError(f"the cluster does not list its pods: {reason}") from error
        if len(found) == workers:
            return found
        if time.monotonic() > end:
            raise ValueError(f"of the pods with {selector}, after {timeout:g} s: {reason}")
        time.sleep(PAUSE)
