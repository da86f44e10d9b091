"""Workers on Kubernetes: the running pods of a job, found by a label."""

import os
import time

import tensorflow as tf

from classifier.strategies import Workers, join

PAUSE = 1.0  # seconds between two looks at the pods


def kubernetes(*, selector: str, workers: int, port: int, timeout: float, scaling: str) -> Workers:
    """``MultiWorkerMirroredStrategy`` over the pods that a label selects, in the order of names.

    TensorFlow's ``KubernetesClusterResolver`` lists pods by their nodes' addresses: each needs a
    node of its own and ``hostNetwork``, and the variable ``HOST_IP`` from ``status.hostIP``, by
    which it knows itself. examples/kubernetes.yaml is such a job. The workers share a disk, as
    those of :func:`classifier.strategies.multi_worker` do.

    Args:
        selector: label selector of the pods, ``job-name=...`` for those of a Job.
        workers: how many there are.
        port: that each listens on.
        timeout: seconds to wait until all run.
        scaling: of :func:`classifier.strategies.multi_worker`.

    Raises:
        ValueError: there is no Kubernetes client or cluster, the pods do not all run in time, or
            ``HOST_IP`` is the address of none of them.
    """
    try:
        from kubernetes import client, config
    except ImportError:
        raise ValueError("the Kubernetes client is missing: pip install kubernetes") from None
    try:
        config.load_config()
    except config.ConfigException as error:
        raise ValueError(f"this is no pod of a Kubernetes cluster: {error}") from error
    # Not TensorFlow's own client: inside of a cluster that one looks for a file of a user's.
    resolver = tf.distribute.cluster_resolver.KubernetesClusterResolver(
        {"worker": [selector]}, tf_server_port=port, override_client=client.CoreV1Api()
    )
    addresses = _running(resolver, selector, workers, timeout)
    own = f"{os.environ.get('HOST_IP', '')}:{port}"
    if own not in addresses:
        raise ValueError(
            f"HOST_IP is '{os.environ.get('HOST_IP', '')}', the address of none of the pods "
            f"{', '.join(addresses)}: set it from status.hostIP"
        )
    resolver.task_type, resolver.task_id = "worker", addresses.index(own)
    return join(resolver, scaling)


def _running(
    resolver: tf.distribute.cluster_resolver.KubernetesClusterResolver,
    selector: str,
    workers: int,
    timeout: float,
) -> list[str]:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    end = time.monotonic() + timeout
    while True:
        try:
            found = resolver.cluster_spec().as_dict().get("worker", [])
            reason = f"{len(found)} of {workers} run"
        except RuntimeError as error:  # a pod that is there does not run yet
            found, reason = [], str(error)
        except (ApiException, HTTPError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"the cluster does not list its pods: {reason[:200]}") from error
        if len(found) == workers:
            return list(found)
        if time.monotonic() > end:
            raise ValueError(f"of the pods with {selector}, {reason} after {timeout:g} s")
        time.sleep(PAUSE)
