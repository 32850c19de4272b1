"""Ray on this machine, of one node or several, with nothing left in the home folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_OBJECTS = 100 << 20  # bytes
# A node that does not answer for seconds, on a machine that is busy, is not dead; one that is killed answers at once.
_HEALTH = {"health_check_timeout_ms": 60_000}
_PATIENCE = 300.0  # seconds


@contextlib.contextmanager
def ray_nodes(count: int = 2, cpus: int = 1) -> Iterator[Any]:
    """Start Ray with so many nodes, and connect this process; skip where Ray is not installed.

    The first node, which has the program, has no core: tasks run on the others, which may be ended.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray: Any = pytest.importorskip(
            "ray", reason="Ray is missing: pip install 'memento-ml[ray]', or run make test-engines"
        )
        cluster_utils: Any = pytest.importorskip("ray.cluster_utils")
    # Sockets' names may have 107 letters, so not in pytest's folder.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.environ.update({**ENVIRONMENT, "RAY_TMPDIR": folder})  # where it notes its address, too
        os.mkdir(os.path.join(folder, "ray"))
        head = {
            "num_cpus": 0,
            "object_store_memory": _OBJECTS,
            "include_dashboard": False,
            "temp_dir": folder,
            "_system_config": _HEALTH,
        }
        cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(count):
                cluster.add_node(wait=False, num_cpus=cpus, object_store_memory=_OBJECTS)
            cluster.wait_for_nodes(_PATIENCE)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
            for name in (*ENVIRONMENT, "RAY_TMPDIR"):
                os.environ.pop(name, None)


def add_node(cluster: Any, **what: Any) -> Any:
    """Add a node that has what Ray is told, and wait until Ray knows it."""
    node = cluster.add_node(wait=False, object_store_memory=_OBJECTS, **what)
    cluster.wait_for_nodes(_PATIENCE)
    return node


@contextlib.contextmanager
def added_node(cluster: Any, **what: Any) -> Iterator[Any]:
    """Add a node, and take it away again: until Ray knows that, since the next test would count on it."""
    node = add_node(cluster, **what)
    try:
        yield node
    finally:
        cluster.remove_node(node)
        cluster.wait_for_nodes(_PATIENCE)
