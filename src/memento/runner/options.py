"""How to run: the options of a run, and the checks that refuse wrong ones at once.

Knows: what `Memento` takes. May not know: how any of it is done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.executors.choose import engine_class, is_cluster, is_engine, own_workers
from memento.keys.code_files import Program
from memento.system.limits import usable_cores
from memento.worker.by_name import Arguments

if TYPE_CHECKING:
    from memento.matrix.matrix import Matrix
    from memento.plan.plan import Plan
    from memento.runner.deadline import Deadline

_WHOLE = ("num_workers", "cpus_per_task", "max_tasks_per_worker", "max_failures")


class Options(NamedTuple):
    """How to run; `Memento` fills it from its arguments."""

    num_workers: int
    executor: Any = "processes"
    retries: Any = 0
    timeout: float | None = None
    memory_limit: int | None = None
    on_oom: str = "retry"
    store_limit: int | None = None
    on_code_change: str = "warn"
    order: str = "longest-first"
    cpus_per_task: int = 1
    gpus_per_task: float = 0
    gpu_memory: int | None = None  # bytes
    max_tasks_per_worker: int | None = None
    log_output: bool = True
    max_failures: int | None = None
    force_run: bool = False
    force_cache: bool = False
    sample: float | None = None
    initializer: Callable[[], object] | None = None
    deadline: Deadline | None = None
    # says which tasks are computed; None: all that need it
    only: Callable[[Plan], Iterable[int]] | None = None
    payloads: str | os.PathLike[str] | None = None  # where values, checkpoints and logs go
    note: str = ""  # what of these may not be as it was asked for
    asked_workers: int | None = None  # `num_workers` as somebody asked for it


# Arguments of `Memento` that are for `make_options`.
GIVEN = (
    "num_workers", "executor", "retries", "timeout", "memory_limit", "on_oom", "store_limit", "fail_fast",
    "max_failures", "sample", "on_code_change", "order", "cpus_per_task", "gpus_per_task", "gpu_memory",
    "max_tasks_per_worker", "log_output", "initializer", "payloads",
)  # fmt: skip


def make_options(**given: Any) -> Options:
    """Check what `Memento` was given, and fill in what it was not."""
    check_executor(given["executor"])
    check_choice("on_code_change", given["on_code_change"], ("warn", "rerun", "ignore"))
    check_choice("order", given["order"], ("longest-first", "matrix"))
    if isinstance(given["timeout"], str) or hasattr(given["timeout"], "total_seconds"):
        from memento.wording import seconds_of

        given["timeout"] = seconds_of(given["timeout"], "timeout", short=True)
    for name in ("num_workers", "timeout", "cpus_per_task", "max_tasks_per_worker", "max_failures"):
        check_positive(name, given[name])
    check_gpus(given["gpus_per_task"])
    check_retries(given["retries"])
    check_flag("fail_fast", given["fail_fast"])
    check_sample(given["sample"])
    check_initializer(given["initializer"])
    if given.pop("fail_fast"):
        if given["max_failures"] not in (None, 1):
            most = given["max_failures"]
            raise ValueError(
                f"fail_fast=True is max_failures=1, and max_failures={most} was given too: leave one out"
            )
        given["max_failures"] = 1
    workers, note = workers_of(given["executor"], given["num_workers"], given["cpus_per_task"])
    check_on_oom(given["on_oom"], given["memory_limit"])
    limits = {name: as_bytes(given[name], name) for name in ("memory_limit", "store_limit", "gpu_memory")}
    asked = given["num_workers"]
    return Options(**{**given, **limits, "num_workers": workers, "note": note, "asked_workers": asked})


def workers_of(executor: Any, asked: int | None, cpus_per_task: int) -> tuple[int, str]:
    """Say how many tasks run at once, and what of that a person may not expect."""
    own = own_workers(executor, asked)
    if own is not None:
        what = "one task" if own == 1 else f"{own} tasks"
        note = f"num_workers={asked} has no effect: executor={_short(executor)} runs {what} at a time."
        return own, note if asked and asked != own else ""
    if asked is not None:
        return asked, ""
    return default_workers(cpus_per_task), ""


def _short(executor: Any) -> str:
    return repr(executor) if isinstance(executor, str) else type(executor).__name__


def default_workers(cpus_per_task: int) -> int:
    """Say how many tasks run at once where nobody said it."""
    return max(1, usable_cores(os.environ) // cpus_per_task)


def as_bytes(limit: int | str | None, name: str) -> int | None:
    """Read a size: bytes, or a text like "4GB"."""
    if limit is None or isinstance(limit, int):
        check_positive(name, limit)
        return limit
    from memento.wording import bytes_of

    return bytes_of(limit, name)


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of the choices."""
    if value not in choices:
        from memento.suggest import nearest

        near = nearest(value, choices)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}{hint}")


def check_on_oom(on_oom: object, memory_limit: object) -> None:
    """Refuse what is none of the choices, and to double nothing."""
    check_choice("on_oom", on_oom, ("retry", "double", "fail"))
    if on_oom == "double" and memory_limit is None:
        raise ValueError(
            "on_oom='double' doubles memory_limit for tasks that need more, and there is none: give it, like"
            " Memento(func, memory_limit='8GB', retries=2, on_oom='double')"
        )


def check_func(func: Any) -> None:
    """Refuse at once what would fail in every single task; its arguments are looked at beside a matrix."""
    if type(func) is FunctionType and func.__code__.co_varnames[:1] != ("self",):
        return
    from memento.runner import wrong_usage

    if type(func) is FunctionType and func.__code__.co_argcount:
        raise TypeError(wrong_usage.unbound(func))
    if not callable(func) or _is_memento(func) or (isinstance(func, type) and not _takes_two(func)):
        raise TypeError(wrong_usage.no_function(func))


def _takes_two(cls: type) -> bool:
    """Tell whether a class is made of a context and a config, so that it is an experiment."""
    import inspect  # with all that it imports 5 ms

    try:
        inspect.signature(cls).bind(None, None)
    except (TypeError, ValueError):  # some classes of C tell nothing of themselves
        return False
    return True


def _is_memento(func: Any) -> bool:
    return any(kind.__module__ == "memento.memento" for kind in type(func).__mro__)


def check_names(func: Any, matrix: Matrix) -> Arguments:
    """Say what a function takes of a matrix; refuse one that lacks something, or does not take a parameter."""
    if isinstance(func, Program):
        if not matrix.dependencies or matrix.spec.upstream:  # else it was checked, before there were results
            func.check(matrix)
        return Arguments()
    if type(func) is FunctionType and not vars(func):
        code = func.__code__
        more = code.co_kwonlyargcount or code.co_flags & 8  # ``**kwargs``
        if code.co_varnames[: code.co_argcount] == ("context", "config") and not more:
            return Arguments()  # as most experiments do: without `inspect`, which takes 5 ms
    from memento.runner.signatures import read

    return read(func, matrix)


def check_alone(matrix: Matrix) -> None:
    """Refuse a matrix that takes the results of others: alone, its tasks would lack them."""
    if matrix.dependencies:
        from memento.errors import MatrixError

        names = ", ".join(map(repr, matrix.dependencies))
        raise MatrixError(
            "dependencies",
            f"the results of {names} are not there for a matrix that is run alone.",
            "Give each matrix to add_matrix, then call run_all().",
        )


def check_provider(func: Any, provider: object) -> None:
    """Refuse what tells nobody anything: a matrix, most likely."""
    if provider is not None:
        from memento.runner import wrong_usage

        problem = wrong_usage.no_provider(func, provider)
        if problem:
            raise TypeError(problem)


def check_listeners(listeners: Any) -> None:
    """Refuse what cannot be called with an event."""
    if callable(listeners) or not isinstance(listeners, Sequence) or isinstance(listeners, str):
        raise TypeError(f"listeners must be a list of callables, like listeners=[print], got {listeners!r}")
    for listener in listeners:
        if not callable(listener) and not hasattr(listener, "on_event"):
            raise TypeError(f"a listener is called with each event, and {listener!r} cannot be called")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither true nor false, like a second matrix or a number of workers; `sample` has its own kind."""
    if name == "sample":
        check_sample(value)
        return
    if value is not True and value is not False:
        from memento.config import short_text

        kind = type(value).__name__
        if name == "fail_fast":
            raise TypeError(
                f"fail_fast must be True or False, got {short_text(value)}; max_failures=5 bears four."
            )
        if kind == "int" and value not in (0, 1):
            raise TypeError(
                f"{name} must be True or False, got {value}. The number of workers belongs to Memento:"
                f" Memento(func, num_workers={value})."
            )
        if kind not in ("bool", "bool_", "int"):
            raise TypeError(
                f"{name} must be True or False, got {short_text(value)}."
                " For several matrices: add_matrix(...) each, then run_all()."
            )


def check_initializer(initializer: Any) -> None:
    """Refuse what workers could not call."""
    if initializer is None:
        return
    if not callable(initializer):
        raise TypeError(f"initializer must be a function without arguments, got {initializer!r}")
    import inspect

    try:
        inspect.signature(initializer).bind()
    except ValueError:  # some callables of C tell nothing of themselves
        return
    except TypeError as exc:
        name = getattr(initializer, "__name__", type(initializer).__name__)
        todo = f"Write initializer=functools.partial({name}, ...)"
        raise TypeError(f"initializer is called without arguments, and {name}() is {exc}. {todo}.") from None


def check_sample(sample: Any) -> None:
    """Refuse what is neither a number of tasks nor a share of them."""
    whole = hasattr(sample, "__index__") and not isinstance(sample, bool)  # NumPy's numbers too
    if sample is None or (whole and sample > 0) or (isinstance(sample, float) and 0 < sample <= 1):
        return
    problem = f"sample must be a number of tasks (sample=200) or a share of them (sample=0.1), got {sample!r}"
    if isinstance(sample, float) and sample > 1 and sample.is_integer():
        problem += f"; write sample={int(sample)}"
    raise (ValueError if whole or isinstance(sample, float) else TypeError)(problem)


def check_gpus(count: Any) -> None:
    """Refuse what is neither a whole number of GPUs nor a share of one."""
    if count != 0 or isinstance(count, bool):
        check_positive("gpus_per_task", count)
        if count > 1 and (count == float("inf") or count != int(count)):
            raise ValueError(
                f"gpus_per_task={count}: give a whole number, or a fraction below 1 to share a GPU"
            )


def check_retries(retries: object) -> None:
    """Refuse what says nothing about retries."""
    if type(retries) is not int or retries < 0:
        from memento.runner.retry import RetryPolicy

        RetryPolicy(retries)  # type: ignore[arg-type]  # says what is wrong with it


def executor_name(executor: Any) -> str:
    """Name an executor for people."""
    if is_cluster(executor):
        return "dask"
    return executor if isinstance(executor, str) else str(getattr(executor, "name", type(executor).__name__))


def check_executor(executor: object) -> None:
    """Refuse an unknown name also where everything is cached and nobody would ask for it."""
    if isinstance(executor, str) and not is_engine(executor):
        engine_class(executor)  # says which there are


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
            example = ", or a text like '10min'" if name == "timeout" else ""
            raise TypeError(f"{name} must be a number{example}, got {value!r}")
    if not float(value) > 0:
        rest = "; leave it out to use all cores" if name == "num_workers" else ""
        raise ValueError(f"{name} must be more than 0, got {value!r}{rest}")
    if name in _WHOLE and value != int(value):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
