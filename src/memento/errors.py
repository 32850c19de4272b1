"""Every error that Memento raises, and what to do about each.

Knows: the fields that an error needs to explain itself. May not know: any other room.
Long because whoever looks for an error finds all of them here.

    MementoError
    ├── MatrixError (ValueError)            the declaration is wrong: says where, and what would be right
    │   └── MatrixTypeError (TypeError)     ... because something has the wrong type
    ├── UnkeyableValue (TypeError)          a value has no identity that is certain
    │   └── UnkeyableArgument               ... which a shared step was given
    ├── StepFailed (RuntimeError)           a shared step has failed in another task of the run
    ├── Unsendable (TypeError)              the experiment or a value cannot be sent to workers
    ├── StoreError
    │   ├── NotAStore                       the path holds something else
    │   ├── StoreTooNew                     written by a later release
    │   ├── StoreDamaged                    the index or a payload is not what was written
    │   │   ├── PayloadDamaged
    │   │   └── StreamDamaged               what a pilot told was altered
    │   ├── StoreUnwritable (OSError)       disk full, read-only, no permission
    │   ├── ValueUnreadable                 a stored value is whole, and cannot be loaded here
    │   └── UntrustedStore                  reading would unpickle a stranger's data
    ├── TaskError                           one task failed without an exception of its own to show
    │   ├── WorkerDied                      its process ended: signal or exit code
    │   ├── TaskLost                        its place was taken away, again and again
    │   ├── TaskTimeout (TimeoutError)
    │   ├── MemoryLimitExceeded (MemoryError)
    │   ├── CommandFailed                   the program that is the experiment ended with a failure
    │   ├── UnsavableResult (TypeError)     it returned what cannot be stored
    │   └── RemoteError                     its exception could not travel; carries its text
    ├── UpstreamPending (LookupError)       a plan asks for a result that is not computed yet
    ├── UpstreamParameterMissing (LookupError)  a task asks for another's parameter that is too large to be sent
    ├── WorkerStartError                    no worker can start: nothing was blamed on a task
    │   └── WorkersDiffer                   fresh workers would not see what the program sees
    ├── CommandRefused                      a live run did not do what another process asked of it, or is not alive
    └── MissingExtra (ImportError)          an optional package is not installed
    AggregateException, CacheMiss, CyclicDependency     the names of 1.2.0, MementoErrors too
    RunInterrupted (KeyboardInterrupt)      Ctrl-C; what was finished is kept
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class MementoError(Exception):
    """Base of all errors of Memento; `todo` is the line that says what to do."""

    todo: str = ""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        from memento.uncaught import in_ipython

        return in_ipython(self, report=False)


class MatrixError(MementoError, ValueError):
    """The matrix is wrong: `where` is the faulty place, like ``exclude[2]['modle']``, `todo` what would be right."""

    def __init__(self, where: str, problem: str, todo: str = "") -> None:
        super().__init__(where, problem, todo)
        self.where, self.problem, self.todo = where, problem, todo

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.problem}" + (f" {self.todo}" if self.todo else "")


class MatrixTypeError(MatrixError, TypeError):
    """Something in the matrix has the wrong type."""


class UnkeyableValue(MementoError, TypeError):
    """A value cannot be identified with certainty, so no key can stand for it; says where, its kind, and why."""

    todo = (
        "Ways out: pass something that describes it (a path, a name, its parameters) and build it inside the"
        " task; give its class a `__memento_key__()`; teach Memento the type with"
        " `memento.register_key(type, func)`; or list the name under 'volatile' if results do not depend on it."
    )

    def __init__(self, where: str, kind: str, reason: str) -> None:
        super().__init__(where, kind, reason)
        self.where, self.kind, self.reason = where, kind, reason

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}cannot make a key from a value of type {self.kind}: {self.reason}. {self.todo}"


class UnkeyableArgument(UnkeyableValue):
    """An argument of a shared step, or the step itself, cannot be identified with certainty."""

    todo = (
        "Ways out: give the step what describes it (a path, a name, its parameters) and make it inside; give its class"
        " a `__memento_key__()`; or teach Memento the type with `memento.register_key(type, func)`."
    )


class StepFailed(MementoError, RuntimeError):
    """A shared step has failed in another task of this run, so it was not computed again for this one."""


class Unsendable(MementoError, TypeError):
    """The experiment, or a value of the matrix, cannot be pickled for the workers."""

    todo = (
        "Pass something that describes it (a path, a name, its parameters) and build it inside the task;"
        " executor='threads' and 'serial' need no sending."
    )

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        # What a pickler says may end with a full stop of its own.
        return f"{self.where} cannot be sent to workers: {self.reason.rstrip('.')}. {self.todo}"


class StoreError(MementoError):
    """Base of what can be wrong with a store, or with the file in it at `path`."""

    def __init__(self, path: str, problem: str, todo: str = "") -> None:
        super().__init__(path, problem, todo)
        self.path, self.problem = path, problem
        self.todo = todo or type(self).todo

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" + (f" {self.todo}" if self.todo else "")


class NotAStore(StoreError):
    """The path exists and holds something that Memento did not write."""


class StoreTooNew(StoreError):
    """The store was written by a later release of Memento."""


class StoreDamaged(StoreError):
    """The store is not what was written to it."""


class PayloadDamaged(StoreDamaged):
    """A stored value is torn, altered or gone; its task counts as not done."""


class StreamDamaged(StoreDamaged):
    """What a pilot or its coordinator told through a file is not what was written; all before it was read."""

    todo = "Its tasks are run again elsewhere."


class StoreUnwritable(StoreError, OSError):
    """The store cannot be written: disk full, read-only or not permitted."""


class StoreLimitReached(StoreError):
    """The store is as large as `store_limit` allows; what had finished is kept, the rest is not computed."""


class ValueUnreadable(StoreError):
    """A stored value is whole, and cannot be loaded here: its class or library is missing, or another version."""


class UntrustedStore(StoreError):
    """The value is a pickle, and this store was opened with `trusted=False`."""


class TaskError(MementoError):
    """A task failed and has no exception of its own to show."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class WorkerDied(TaskError):
    """The process that ran the task ended under it."""


class TaskLost(TaskError):
    """The task's place was taken away from it (a node, a container), more often than is borne."""


class TaskTimeout(TaskError, TimeoutError):
    """The task ran longer than `timeout` and was ended."""


class MemoryLimitExceeded(TaskError, MemoryError):
    """The task used more memory than `memory_limit` and was ended."""


class CommandFailed(TaskError):
    """The program of a `memento.command` could not be started, ended with a failure, or left no result.

    Parameters
    ----------
    message : str
        What happened, in one line.
    command : str
        The program and its arguments, as one would paste them into a shell.
    output : str
        The last lines of its output.
    code : int or None
        How it ended: an exit code, or a signal's number below 0; None where it was not started.
    """

    def __init__(self, message: str, command: str = "", output: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.args = (message, command, output, code)
        self.command, self.output, self.code = command, output, code


class UnsavableResult(TaskError, TypeError):
    """The task returned something that cannot be stored."""


class RemoteError(TaskError):
    """The task raised an exception that cannot be unpickled here; this carries its text."""


class WorkerStartError(MementoError):
    """Workers cannot start, so no task can run; the text shows what they printed."""


class WorkersDiffer(WorkerStartError):
    """Workers are fresh processes, and have not what the program has changed since its imports; no task was run.

    `found` has what differs: its name, what the program has, what workers have; `why` workers are fresh processes.
    """

    todo = (
        "Set it where it is imported (or, where each import makes another one, as of a time or of weights that no"
        " seed sets: make it in the experiment); or make it a setting or a parameter of the matrix; or set it in each"
        " worker: Memento(..., initializer=function); or use executor='threads' or 'serial', which share the program's"
        " memory."
    )

    def __init__(self, found: Sequence[tuple[str, str, str]], why: str = "") -> None:
        super().__init__(found, why)
        self.found, self.why = list(found), why

    def __str__(self) -> str:
        since = f", since {self.why}" if self.why else ""
        head = f"no task was run: workers are fresh processes{since}, and do not see what the program sees:"
        lines = [
            f"    {name}: {there} in the program, {here} in workers" if there and here else f"    {name}"
            for name, there, here in self.found
        ]
        return "\n".join([head, *lines, self.todo])


class CommandRefused(MementoError):
    """A run did not do what another process asked of it, or is not alive; the text says why."""


class MissingExtra(MementoError, ImportError):
    """`what` needs an optional package that is not installed; the `extra` of ``memento-ml`` brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, extra)
        self.what, self.extra = what, extra

    def __str__(self) -> str:
        return f"{self.what} needs a package that is not installed: pip install 'memento-ml[{self.extra}]'"


class AggregateException(MementoError):
    """One or more tasks failed; everything else finished and is kept.

    Parameters
    ----------
    exceptions : sequence of Exception
        What each failed task raised, in the matrix's order.
    results : Results, dict of id to Results, or None
        All results of the run, failed ones included: what `run` or `run_all` would have returned.
    report : str
        The failures grouped by cause, as `results.failures` prints them.
    where : str
        How to get at the results now.
    """

    def __init__(
        self, exceptions: Sequence[BaseException], results: Any = None, report: str = "", where: str = ""
    ) -> None:
        super().__init__(exceptions, results, report)
        self.exceptions = list(exceptions)
        self.results = results
        self.report, self.where = report, where

    def __str__(self) -> str:
        if self.report:
            return f"{self.report}\n\n{self.where}".rstrip()
        lines = ",\n\t".join(f"{type(e).__name__}: {e}" for e in self.exceptions)
        return f"One or more exceptions were encountered:\n\t{lines}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.exceptions, None, str(self))

    def _render_traceback_(self) -> list[str]:
        from memento.uncaught import in_ipython

        return in_ipython(self, report=True)


class CacheMiss(MementoError):
    """`force_cache=True` was asked, and a task has no result in the store.

    Parameters
    ----------
    config : Config
        The first configuration that is missing.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.config = config

    def __str__(self) -> str:
        return (
            f"Config {self.config} was not found in the cache. Run it without force_cache=True to compute it."
        )


class UpstreamPending(MementoError, LookupError):
    """A plan asks for the result of a task that has not been computed yet."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"the result of task {self.key[:12]} is not computed yet"


class UpstreamParameterMissing(MementoError, LookupError):
    """A parameter of an upstream task, named in `what`, is not taken along to workers."""

    todo = "Return it from that task, or make it a parameter or setting of this matrix too."

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return (
            f"{self.what}: a parameter of another matrix is taken along to tasks only where its pickle has at most"
            f" 64 KiB, and this one is larger or cannot be pickled. {self.todo}"
        )


class CyclicDependency(MementoError):
    """Matrices depend on each other in a circle.

    Parameters
    ----------
    cycle : sequence of object
        The ids along the circle, when known.
    """

    def __init__(self, cycle: Sequence[Any] = ()) -> None:
        super().__init__(tuple(cycle))
        self.cycle = tuple(cycle)

    def __str__(self) -> str:
        if not self.cycle:
            return "Cyclic dependency detected"
        chain = " -> ".join(repr(i) for i in (*self.cycle, self.cycle[0]))
        return f"Cyclic dependency detected: {chain}. Remove one of these from 'dependencies'."


class RunInterrupted(KeyboardInterrupt):
    """A run was stopped by Ctrl-C or a signal; what had finished is kept.

    Parameters
    ----------
    summary : str
        What is kept and how to go on.
    results : Results, dict of id to Results, or None
        What there is of the run, with status "missing" for what was not computed.
    where : str
        How to get at the results now.
    """

    def __init__(self, summary: str = "", results: Any = None, where: str = "") -> None:
        super().__init__(summary)
        self.summary, self.results, self.where = summary, results, where

    def __str__(self) -> str:
        return f"{self.summary}. {self.where}" if self.where else self.summary

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.summary,)

    def _render_traceback_(self) -> list[str]:
        from memento.uncaught import in_ipython

        return in_ipython(self, report=True)
