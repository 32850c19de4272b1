"""A Dask cluster of this machine, as a user has one: two worker processes, each with a nanny."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def dask_client(workers: int = 2, threads: int = 1) -> Iterator[Any]:
    """Make a cluster, and a client of it; skip where Dask is not installed."""
    distributed = pytest.importorskip(
        "distributed", reason="Dask is missing: pip install 'memento-ml[dask]', or run make test-engines"
    )
    with (
        tempfile.TemporaryDirectory(prefix="dask-", ignore_cleanup_errors=True) as folder,
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # None would be port 8787
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            local_directory=folder,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def worker_pids(client: Any) -> dict[str, int]:
    """Return the process of each worker, by its address."""
    return dict(client.run(os.getpid))


def kill_worker(client: Any, address: str) -> None:
    """End a worker as a crash of its host would; its nanny starts another."""
    os.kill(worker_pids(client)[address], signal.SIGKILL)


class KeptCluster(contextlib.ExitStack):
    """A cluster that tests share, of which they kill workers."""

    _client: Any = None

    def whole(self, workers: int = 2) -> Any:
        """Return its client once all workers are there; a nanny may fail to start one again: then it is made anew."""
        if self._client is not None:
            try:
                self._client.wait_for_workers(workers, timeout=60)
                return self._client
            except TimeoutError:
                self.close()
        self._client = self.enter_context(dask_client(workers))
        self._client.wait_for_workers(workers, timeout=300)
        return self._client
