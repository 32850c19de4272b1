"""What this program is to Dask: it may have a cluster within itself, or be a call in one of a cluster's workers.

Knows: `distributed`, which whoever calls has imported. May not know: pilots, tasks.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

from memento.executors.own_folder import own_folder

_FOLDER = "memento-dask-"  # how the folder of a cluster of our own begins


@contextlib.contextmanager
def thread_given_back(distributed: Any) -> Iterator[None]:
    """Where this program is a call in a Dask worker, let that have the thread meanwhile: a pilot may need it."""
    try:
        distributed.get_worker()
        distributed.secede()
    except (ValueError, KeyError):  # it is none, or has done so itself
        yield
        return
    try:
        yield
    finally:
        distributed.rejoin()


@contextlib.contextmanager
def cluster_here(distributed: Any, threads: int) -> Iterator[Any]:
    """Make a cluster of one worker in threads of this process: pilots are processes of their own, so that is enough.

    So nothing imports the program's script, which needs no guard.
    """
    import dask

    with own_folder(_FOLDER, tempfile.gettempdir()) as folder:
        with dask.config.set({"temporary-directory": folder}):  # of the scheduler, too
            cluster = distributed.LocalCluster(
                n_workers=1,
                threads_per_worker=threads,
                processes=False,
                # Nobody needs its pages; a port of its own on loopback is the least that there is.
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                memory_limit=0,  # it would be this program's
            )
        with cluster:
            yield cluster
