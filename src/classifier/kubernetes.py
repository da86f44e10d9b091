"""Workers on Kubernetes: the running pods of a job, found by a label."""

import os
import time
from typing import Any

import tensorflow as tf

from classifier.strategies import Workers, join

PAUSE = 1.0  # seconds between two looks at the pods


def kubernetes(
    *, namespace: str, selector: str, workers: int, port: int, timeout: float, scaling: str
) -> Workers:
    """``MultiWorkerMirroredStrategy`` over the pods that a label selects, in the order of names.

    TensorFlow's ``KubernetesClusterResolver`` lists pods by their nodes' addresses: each needs a
    node of its own and ``hostNetwork``, and the variable ``HOST_IP`` from ``status.hostIP``, by
    which it knows itself. examples/kubernetes.yaml is such a job. The workers share a disk, as
    those of :func:`classifier.strategies.multi_worker` do.

    Args:
        namespace: of the pods.
        selector: label selector of the pods, ``job-name=...`` for those of a Job.
        workers: how many there are.
        port: that each listens on.
        timeout: seconds to wait until all run.
        scaling: of :func:`classifier.strategies.multi_worker`.

    Raises:
        ValueError: there is no Kubernetes client or cluster, the pods do not all run in time, two
            are on one node, or ``HOST_IP`` is the address of none of them.
    """
    try:
        from kubernetes import config
    except ImportError:
        raise ValueError("the Kubernetes client is missing: pip install kubernetes") from None
    try:
        try:
            config.load_incluster_config()
        except config.ConfigException:
            config.load_kube_config()
    except config.ConfigException as error:
        raise ValueError(f"this is no pod of a Kubernetes cluster: {error}") from error
    addresses = _running(namespace, selector, workers, port, timeout)
    if len(set(addresses)) < workers:
        raise ValueError(
            f"two pods are on one node, {', '.join(addresses)}: give them podAntiAffinity"
        )
    own = f"{os.environ.get('HOST_IP', '')}:{port}"
    if own not in addresses:
        raise ValueError(
            f"HOST_IP is '{os.environ.get('HOST_IP', '')}', the address of none of the pods "
            f"{', '.join(addresses)}: set it from status.hostIP"
        )
    # Not the resolver that listed them: it would list them anew, and its index is of this list.
    agreed = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=addresses.index(own),
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    return join(agreed, scaling)


class _Running:
    """Lists a namespace's running pods where TensorFlow's resolver would list all pods."""

    def __init__(self, namespace: str):
        from kubernetes.client import CoreV1Api

        self._namespace = namespace
        self._api = CoreV1Api()

    def list_pod_for_all_namespaces(self, label_selector: str) -> Any:
        return self._api.list_namespaced_pod(
            self._namespace, label_selector=label_selector, field_selector="status.phase=Running"
        )


def _running(namespace: str, selector: str, workers: int, port: int, timeout: float) -> list[str]:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    resolver = tf.distribute.cluster_resolver.KubernetesClusterResolver(
        {"worker": [selector]}, tf_server_port=port, override_client=_Running(namespace)
    )
    end = time.monotonic() + timeout
    while True:
        try:
            found = resolver.cluster_spec().as_dict().get("worker", [])
        except (ApiException, HTTPError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"the cluster does not list its pods: {reason[:200]}") from error
        if len(found) == workers:
            return list(found)
        if time.monotonic() > end:
            raise ValueError(
                f"{len(found)} of {workers} pods with {selector} run after {timeout:g} s"
            )
        time.sleep(PAUSE)
