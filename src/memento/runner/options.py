"""How to run: the options of a run, and the checks that refuse wrong ones at once.

Knows: what `Memento` takes. May not know: how any of it is done.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import CodeType, FunctionType, MappingProxyType

from memento.hints import Any, NamedTuple

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}


class Options(NamedTuple):
    """How to run; `Memento` fills it from its arguments."""

    num_workers: int
    executor: Any = "processes"
    retries: Any = 0
    timeout: float | None = None
    memory_limit: int | None = None
    on_code_change: str = "warn"
    order: str = "longest-first"
    cpus_per_task: int = 1
    gpus_per_task: float = 0
    max_tasks_per_worker: int | None = None
    log_output: bool = True
    force_run: bool = False
    force_cache: bool = False
    environment: Mapping[str, str] = MappingProxyType({})


def make_options(
    *,
    executor: Any,
    num_workers: int | None,
    retries: Any,
    timeout: float | None,
    memory_limit: int | str | None,
    on_code_change: str,
    order: str,
    cpus_per_task: int,
    gpus_per_task: float,
    max_tasks_per_worker: int | None,
    log_output: bool,
) -> Options:
    """Check what `Memento` was given and fill in what it was not."""
    check_executor(executor)
    check_choice("on_code_change", on_code_change, ("warn", "rerun", "ignore"))
    check_choice("order", order, ("longest-first", "matrix"))
    check_positive("num_workers", num_workers)
    check_positive("timeout", timeout)
    check_positive("cpus_per_task", cpus_per_task)
    check_positive("max_tasks_per_worker", max_tasks_per_worker)
    check_retries(retries)
    return Options(
        num_workers=num_workers or default_workers(executor, cpus_per_task),
        executor=executor,
        retries=retries,
        timeout=timeout,
        memory_limit=as_bytes(memory_limit),
        on_code_change=on_code_change,
        order=order,
        cpus_per_task=cpus_per_task,
        gpus_per_task=gpus_per_task,
        max_tasks_per_worker=max_tasks_per_worker,
        log_output=log_output,
    )


def default_workers(executor: Any, cpus_per_task: int) -> int:
    """Say how many tasks run at once where nobody said it."""
    if executor == "serial":
        return 1
    workers = getattr(executor, "_max_workers", None)  # a concurrent.futures pool knows its size
    if isinstance(workers, int):
        return workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // cpus_per_task)


def as_bytes(limit: int | str | None) -> int | None:
    """Read a size: bytes, or a text like "4GB"."""
    if limit is None or isinstance(limit, int):
        check_positive("memory_limit", limit)
        return limit
    import re

    match = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]i?)?b?\s*", str(limit).lower())
    if match is None:
        raise ValueError(f"memory_limit must be bytes or a text like '4GB' or '512MiB', got {limit!r}")
    return int(float(match[1]) * _UNITS[match[2] or ""])


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def check_func(func: Any) -> None:
    """Refuse at once what would fail in every single task."""
    if not callable(func):
        raise TypeError(f"func must be callable as func(context, config), got {type(func).__qualname__}")
    if type(func) is FunctionType and not vars(func) and _takes_two(func.__code__):
        return
    import inspect  # with all that it imports 5 ms, for what is not plain, and to say what is wrong

    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):  # some callables of C tell nothing of themselves
        return
    what = f"{getattr(func, '__qualname__', type(func).__qualname__)}{signature}"
    try:
        signature.bind(None, None)
    except TypeError as exc:
        raise TypeError(
            f"{what} cannot be called as func(context, config): {exc}."
            " Memento gives each task these two; bind what else it needs with functools.partial."
        ) from None
    if list(signature.parameters)[:2] == ["config", "context"]:
        raise TypeError(f"{what}: the context comes first, then the config. Swap the two.")


def _takes_two(code: CodeType) -> bool:
    """Tell whether a function has two arguments and no more, in the right order."""
    taken = code.co_varnames[:2]
    return code.co_argcount == 2 and not code.co_kwonlyargcount and taken != ("config", "context")


def check_retries(retries: object) -> None:
    """Refuse what says nothing about retries."""
    if type(retries) is not int or retries < 0:
        from memento.runner.retry import RetryPolicy

        RetryPolicy(retries)  # type: ignore[arg-type]  # says what is wrong with it


def check_executor(executor: object) -> None:
    """Refuse an unknown name also where everything is cached and nobody would ask for it."""
    if isinstance(executor, str) and executor not in ("processes", "threads", "serial"):
        from memento.executors import make_executor

        make_executor(executor)  # says which there are


def check_count(name: str, value: object) -> None:
    """Refuse what is no number of things."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} must be a whole number, 0 or more, got {value!r}")


def check_positive(name: str, value: Any) -> None:
    """Refuse what is no number above 0; None is left to its default."""
    if value is None:
        return
    if type(value) not in (int, float):
        import numbers

        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"{name} must be a number, got {value!r}")
    if not float(value) > 0:
        raise ValueError(f"{name} must be more than 0, got {value!r}")
