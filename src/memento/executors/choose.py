"""Find the executor that a user named.

Knows: the names, and what each needs. May not know: how any of them works.
"""

from __future__ import annotations

from typing import Any

from memento.executors.base import Executor

_NAMES = ("processes", "threads", "serial")
_LATER = ("dask", "ray", "slurm")
_OTHER_NAMES = {  # as joblib, Dask and others call them
    **dict.fromkeys(("loky", "multiprocessing", "mp", "joblib", "spawn", "fork", "local"), "processes"),
    **dict.fromkeys(("threading", "multithreading"), "threads"),
    **dict.fromkeys(("sequential", "sync", "synchronous", "debug", "single", "inline", "none"), "serial"),
}


def make_executor(spec: Any = "processes", num_workers: int | None = None, **options: Any) -> Executor:
    """Return the executor that `spec` stands for.

    Parameters
    ----------
    spec : str, Executor or concurrent.futures.Executor
        A name, an executor with its own options, or any pool with a `submit`.
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
    if spec is None or spec == "processes":
        from memento.executors.processes import Processes

        return Processes(num_workers, **options)
    if spec == "threads":
        from memento.executors.threads import Threads

        return Threads(num_workers, **options)
    if spec == "serial":
        from memento.executors.serial import Serial

        return Serial(**options)
    if isinstance(spec, str):
        raise ValueError(_no_such_name(spec))
    if all(hasattr(spec, name) for name in ("start", "want", "submit", "poll", "cancel", "close")):
        return spec  # type: ignore[no-any-return]  # a structural check is all that a protocol gives
    if callable(getattr(spec, "submit", None)) and not isinstance(spec, type):
        from memento.executors.futures import Futures

        return Futures(spec, num_workers, **options)
    raise TypeError(
        f"executor={spec!r} is no executor: give one of {', '.join(map(repr, _NAMES))}, an object of"
        " memento.executors, or a concurrent.futures.Executor (made, not its class)"
    )


def _no_such_name(name: str) -> str:
    if name in _LATER:
        return (
            f"executor={name!r} is not part of this release; it has {', '.join(map(repr, _NAMES))}."
            " Any concurrent.futures.Executor works too: for Dask, pass `client.get_executor()`."
        )
    import difflib

    near = _OTHER_NAMES.get(name.casefold()) or next(iter(difflib.get_close_matches(name, _NAMES, 1)), None)
    hint = f" Did you mean {near!r}?" if near else ""
    return f"there is no executor {name!r}; it has {', '.join(map(repr, _NAMES))}.{hint}"
