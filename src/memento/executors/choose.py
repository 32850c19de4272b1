"""Find the executor that a user named.

Knows: the names of engines, here and in other packages. May not know: how any of them works.

An engine of another package is found by an entry point of the group "memento.executors": a name, and the class, which
takes the number of workers first or by the name `num_workers`. Ours stand in the table below, so that they need no
look at what is installed, and work from a source tree.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import WorkerStartError

if TYPE_CHECKING:
    from memento.executors.base import Executor

GROUP = "memento.executors"
DEFAULT = "processes"


class Engine(NamedTuple):
    """Where an engine's class is."""

    module: str
    attribute: str
    # As its class says: asking that costs 45 ms of imports, which a warm run need not pay.
    in_process: bool = False
    at_once: int | None = None  # as its class says: how many tasks it has room for; None: as this machine has

    def load(self) -> type[Executor]:
        """Import the class."""
        __import__(self.module)
        found: type[Executor] = getattr(sys.modules[self.module], self.attribute)
        return found


ENGINES = {
    "processes": Engine("memento.executors.processes", "Processes"),
    "threads": Engine("memento.executors.threads", "Threads"),
    "serial": Engine("memento.executors.serial", "Serial", in_process=True),
    "dask": Engine("memento.executors.dask", "Dask"),
    "ray": Engine("memento.executors.ray", "Ray"),
    "slurm": Engine("memento.executors.slurm.engine", "Slurm", at_once=40),
}
_OTHER_NAMES = {  # as joblib, Dask and others call them
    "processes": "loky multiprocessing mp joblib spawn fork local",
    "threads": "threading multithreading",
    "serial": "sequential sync synchronous debug single inline none",
}
_SCHEMES = {  # of an address, which names a cluster
    **dict.fromkeys(("tcp", "tls", "ucx", "ws", "wss", "inproc"), "dask"),
    "ray": "ray",
}
# Objects of Dask that are clusters: their class, by where it is defined.
_CLUSTERS = {("distributed.client", "Client"), ("distributed.deploy.cluster", "Cluster")}


def make_executor(spec: Any = DEFAULT, num_workers: int | None = None, **options: Any) -> Executor:
    """Return the executor that `spec` stands for.

    Parameters
    ----------
    spec : str, Executor, distributed.Client or concurrent.futures.Executor
        A name, the address of a cluster ("tcp://host:8786"), an executor with its own options, a client or cluster of
        Dask, or any pool with a `submit`.
    num_workers : int, optional
        How many tasks run at once; by default what the run asks for, or the pool's own size.
    **options
        What the named executor takes beside.

    Returns
    -------
    Executor
        Not started.

    Raises
    ------
    ValueError
        There is no executor of that name.
    TypeError
        It is neither a name nor an executor.

    Examples
    --------
    >>> make_executor("serial").name
    'serial'
    """
    from memento.executors.base import Executor

    if isinstance(spec, Executor):
        return spec
    if spec is None or isinstance(spec, str) or is_cluster(spec):
        made: Any = engine_class("dask" if is_cluster(spec) else spec or DEFAULT)
        where = () if spec is None or is_plain_name(spec) else (spec,)
        return made(*where, num_workers=num_workers, **options)  # type: ignore[no-any-return]  # each class has its own options
    if _is_pool(spec):
        from memento.executors.futures import Futures

        return Futures(spec, num_workers, **options)
    raise TypeError(
        f"executor={spec!r} is no executor: give one of {_list(_names())}, an object of"
        " memento.executors, or a concurrent.futures.Executor (made, not its class)"
    )


_serving: dict[tuple[int, int], object] = {}  # process and id of each executor that serves a run


@contextmanager
def serving(executor: Executor) -> Iterator[None]:
    """Have an executor serve one run at a time: two would take each other's outcomes for those of their own tasks."""
    key, mark = (os.getpid(), id(executor)), object()
    if _serving.setdefault(key, mark) is not mark:
        raise WorkerStartError(
            f"this {type(executor).__name__} object is at work for another run just now: let one run begin after the"
            " other has ended, or give each an executor of its own"
        )
    try:
        yield
    finally:
        _serving.pop(key, None)


def engine_class(name: str) -> type[Executor]:
    """Return the class of the engine of that name or address; raises ValueError, with the names that there are."""
    name = name if is_plain_name(name) else _SCHEMES.get(name.partition("://")[0], name)
    if name in ENGINES:
        return ENGINES[name].load()
    found = _installed().get(name)
    if found is None:
        raise ValueError(_no_such_name(name))
    loaded: type[Executor] = found.load()
    return loaded


def is_engine(name: str) -> bool:
    """Tell whether there is an engine of that name or address."""
    return name in ENGINES or name in _installed() or name.partition("://")[0] in _SCHEMES


def is_plain_name(spec: Any) -> bool:
    """Tell whether this is a name, and no address."""
    return isinstance(spec, str) and "://" not in spec


def is_cluster(spec: Any) -> bool:
    """Tell whether this is a client or a cluster of Dask; nothing is imported for it."""
    return any((kind.__module__, kind.__name__) in _CLUSTERS for kind in type(spec).__mro__)


def runs_here(spec: Any) -> bool:
    """Tell whether an executor runs tasks in the caller's own thread; a name of ours is not loaded for it."""
    if isinstance(spec, str):
        known = ENGINES.get(spec)
        return known.in_process if known is not None else engine_class(spec).in_process
    return bool(getattr(spec, "in_process", False))


def own_workers(spec: Any, asked: int | None) -> int | None:
    """Return how many tasks an executor runs at once where it does not run as many as are asked for."""
    if runs_here(spec):
        return 1
    if isinstance(spec, str):
        if spec not in ENGINES:
            return engine_class(spec).workers
        size = ENGINES[spec].at_once
    elif is_cluster(spec):
        return None
    elif not _is_pool(spec):
        own: int | None = getattr(spec, "workers", None)
        if own is not None:
            return own
        size = getattr(spec, "at_once", None)
    else:  # of all pools of the standard library, and of those made like them
        size = getattr(spec, "_max_workers", None)
    return size if isinstance(size, int) and (asked is None or asked > size) else None


def _is_pool(spec: Any) -> bool:
    from_runner = hasattr(spec, "poll")  # an executor of ours
    return callable(getattr(spec, "submit", None)) and not isinstance(spec, type) and not from_runner


def _installed() -> dict[str, Any]:
    """Return the entry points of engines, ours among them where this package is installed."""
    from importlib.metadata import entry_points  # 15 ms, for other packages' engines and unknown names

    return {found.name: found for found in entry_points(group=GROUP)}


def _names() -> list[str]:
    return [*ENGINES, *sorted(_installed().keys() - ENGINES.keys())]


def _no_such_name(name: str) -> str:
    from memento.suggest import in_other_words, nearest

    names = _names()
    near = in_other_words(name, _OTHER_NAMES) or next(iter(nearest(name, names)), None)
    hint = f" Did you mean {near!r}?" if near else ""
    if not near:
        hint = " Any concurrent.futures.Executor works too."
    return f"there is no executor {name!r}; there are {_list(names)}.{hint}"


def _list(names: list[str]) -> str:
    return ", ".join(map(repr, names))
