"""The class that users type: `Memento(exp_func).run(matrix)`.

Knows: the user's options, and which rooms serve them. May not know: how any of them works.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memento.errors import AggregateException, RunInterrupted, TaskError
from memento.events import Event, RunFinished, Said
from memento.wording import duration, number_of

if TYPE_CHECKING:
    from memento.matrix import Matrix
    from memento.notify import NotificationProvider
    from memento.results import Results
    from memento.runner import Retries
    from memento.runner.session import Options, Session

log = logging.getLogger("memento")

_SHOWN_CONFIGS = 50  # how many lines of a dry run go to the terminal; all go to the log
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


class Memento:
    """Runs an experiment over configuration matrices and keeps every result.

    Parameters
    ----------
    func : callable
        ``func(context, config)``: a function, method, partial, callable object or coroutine function.
    notification_provider : NotificationProvider, optional
        Who is told when tasks fail and when all is done.
    num_workers : int, optional
        How many tasks run at once; by default the machine's cores over `cpus_per_task`.
    name : str, optional
        The experiment's name, part of every key; by default ``module:qualname``.
    executor : str or object
        ``"processes"``, ``"threads"``, ``"serial"``, an object of `memento.executors`, or any
        ``concurrent.futures.Executor``.
    store : path, optional
        Folder of the results; by default the project's ``memento-store``.
    retries : int, Retry, or dict of exception type to int
        How often a failed attempt is repeated.
    timeout : float, optional
        Seconds after which a task is ended.
    memory_limit : int or str, optional
        Bytes (or ``"4GB"``) above which a task is ended.
    on_error : {"raise", "return"}
        Whether failures raise `AggregateException` at the end or come back as results.
    on_code_change : {"warn", "rerun", "ignore"}
        What to do about results that an older version of the code computed.
    order : {"longest-first", "matrix"}
        In which order tasks start.
    cpus_per_task : int
        Cores that a task may use; bounds the threads of BLAS and OpenMP.
    gpus_per_task : float
        GPUs that a task gets; 0.5 lets two tasks share one.
    max_tasks_per_worker : int, optional
        After how many tasks a worker is replaced.
    log_output : bool
        Keep what tasks print in the store's logs.
    progress : bool, optional
        Show progress; by default where there is somebody to see it.

    Examples
    --------
    >>> from memento import Memento
    >>> def experiment(context, config):
    ...     return config.x ** 2
    >>> runs = Memento(experiment, executor="serial", store="memento-store", progress=False)
    >>> [result.inner for result in runs.run({"parameters": {"x": [1, 2, 3]}})]
    [1, 4, 9]
    """

    def __init__(
        self,
        func: Callable[..., Any],
        notification_provider: NotificationProvider | None = None,
        num_workers: int | None = None,
        *,
        name: str | None = None,
        executor: Any = "processes",
        store: str | os.PathLike[str] | None = None,
        retries: Retries = 0,
        timeout: float | None = None,
        memory_limit: int | str | None = None,
        on_error: str = "raise",
        on_code_change: str = "warn",
        order: str = "longest-first",
        cpus_per_task: int = 1,
        gpus_per_task: float = 0,
        max_tasks_per_worker: int | None = None,
        log_output: bool = True,
        progress: bool | None = None,
    ) -> None:
        from memento.runner import RetryPolicy
        from memento.runner.session import Options

        _check_func(func)
        _check_executor(executor)
        _one_of("on_error", on_error, ("raise", "return"))
        _one_of("on_code_change", on_code_change, ("warn", "rerun", "ignore"))
        _one_of("order", order, ("longest-first", "matrix"))
        _positive("num_workers", num_workers)
        _positive("timeout", timeout)
        _positive("cpus_per_task", cpus_per_task)
        _positive("max_tasks_per_worker", max_tasks_per_worker)
        RetryPolicy(retries)  # says at once what is wrong with it
        self.func = func
        self._name = name
        self._provider = notification_provider
        self._store = store
        self._on_error = on_error
        self._progress = progress
        self._matrices: list[Matrix] = []
        self._options = Options(
            num_workers=num_workers or _default_workers(executor, cpus_per_task),
            executor=executor,
            retries=retries,
            timeout=timeout,
            memory_limit=_bytes(memory_limit),
            on_code_change=on_code_change,
            order=order,
            cpus_per_task=cpus_per_task,
            gpus_per_task=gpus_per_task,
            max_tasks_per_worker=max_tasks_per_worker,
            log_output=log_output,
        )

    @property
    def name(self) -> str:
        """The experiment's name, part of every key."""
        from memento.keys import experiment_name

        return self._name or experiment_name(self.func)

    def add_matrix(self, matrix: Any) -> None:
        """Add a matrix for `run_all`; it may name others in ``dependencies``.

        Parameters
        ----------
        matrix : dict, path or Matrix
            With an ``id``. It is never changed.
        """
        from memento.matrix import Matrix

        self._matrices.append(Matrix.of(matrix))

    def run(
        self,
        matrix: Any,
        dry_run: bool = False,
        force_run: bool = False,
        force_cache: bool = False,
        cache_path: str | os.PathLike[str] | None = None,
        notify_on_complete: bool = True,
    ) -> Results | None:
        """Run a matrix and return its results; what is in the store is not computed again.

        Parameters
        ----------
        matrix : dict, path or Matrix
            The configurations to run.
        dry_run : bool
            Only say what would be run, and return None.
        force_run : bool
            Compute everything again.
        force_cache : bool
            Compute nothing; raise where a result is missing.
        cache_path : path, optional
            The store, as in 1.2.0; the same as ``Memento(store=...)``.
        notify_on_complete : bool
            Tell the notification provider when all is done.

        Returns
        -------
        Results or None
            One result a task, in the matrix's order.

        Raises
        ------
        AggregateException
            Tasks failed and `on_error` is "raise"; everything else is finished and kept.
        CacheMiss
            `force_cache` and a result is missing.
        RunInterrupted
            Ctrl-C; what had finished is kept.
        """
        from memento.matrix import Matrix

        declared = Matrix.of(matrix)
        flags = {"force_run": force_run, "force_cache": force_cache}
        with _Stage(self, cache_path, dry_run) as stage:
            session = stage.session(declared, flags)
            if dry_run:
                stage.describe(session)
                return None
            session.run(notify_on_complete)
        return self._hand_over([session])[0]

    def run_all(self, **kwargs: Any) -> dict[Any, Results] | None:
        """Run every added matrix, each after those it depends on.

        A matrix that depends on another gets that one's results as a parameter named by its id.

        Parameters
        ----------
        **kwargs
            As for `run`.

        Returns
        -------
        dict or None
            Results by id.

        Raises
        ------
        CyclicDependency
            Matrices depend on each other in a circle.
        AggregateException
            Tasks failed; what did not depend on them is finished and kept.
        """
        from memento.matrix import execution_order

        dry_run = kwargs.pop("dry_run", False)
        cache_path = kwargs.pop("cache_path", None)
        notify = kwargs.pop("notify_on_complete", True)
        flags = {name: kwargs.pop(name, False) for name in ("force_run", "force_cache")}
        if kwargs:
            raise TypeError(f"run_all() got an unexpected argument {next(iter(kwargs))!r}")
        sessions: dict[Any, Session] = {}
        with _Stage(self, cache_path, dry_run) as stage:
            for declared in execution_order(self._matrices):
                matrix = declared
                for upstream in declared.dependencies:
                    matrix = matrix.with_parameter(str(upstream), stage.upstream(sessions[upstream], dry_run))
                session = sessions[declared.id] = stage.session(matrix, flags)
                if dry_run:
                    stage.describe(session)
                    continue
                session.run(notify=False)
                if session.interrupted is not None and session.interrupted.count:
                    break
            if not dry_run and notify:
                stage.emit(_total(list(sessions.values()), stage))
        if dry_run:
            return None
        results = self._hand_over(list(sessions.values()))
        return dict(zip(sessions, results, strict=True))

    def _hand_over(self, sessions: Sequence[Session]) -> list[Results]:
        from memento.results import Results, failure_report
        from memento.runner.signals import end_quietly

        every = [Results.of_plan(session.store, session.matrix, session.plan) for session in sessions]
        stopped = next((s.interrupted for s in sessions if s.interrupted and s.interrupted.count), None)
        if stopped is not None:
            left = sum(int((session.plan.rows < 0).sum()) for session in sessions)
            if stopped.signal is not None and stopped.signal.name != "SIGINT":
                raise SystemExit(128 + stopped.signal)
            end_quietly()
            raise RunInterrupted(f"{number_of(left, 'task')} left; run it again to compute what is missing")
        failed = [results for session, results in zip(sessions, every, strict=True) if session.failed]
        if failed and self._on_error == "raise":
            errors = [error for results in failed for error in results.errors()]
            report = "\n\n".join(filter(None, map(failure_report, failed)))
            if not errors:
                # Computed again by force_run and failed: the results from before stand, and it must still be said.
                groups = [
                    group for session in sessions if session.finished for group in session.finished.groups
                ]
                errors = [TaskError(f"{group.title} with {group.config}") for group in groups]
                report = "\n".join(
                    f"{group.count} tasks: {group.title}\n{group.traceback}" for group in groups
                )
            raise AggregateException(errors, every[0] if len(every) == 1 else every, report)
        return every


class _Stage:
    """What one call of `run` or `run_all` opens and closes: store, display, notifier."""

    def __init__(self, owner: Memento, cache_path: str | os.PathLike[str] | None, dry_run: bool) -> None:
        self._owner = owner
        self._cache_path = cache_path
        self._dry_run = dry_run

    def __enter__(self) -> _Stage:
        from memento.display import make_display
        from memento.notify import Notifier
        from memento.store import Store, find_store

        owner = self._owner
        path = find_store(self._cache_path or owner._store)
        self.store = Store.open(path)
        self._display = make_display(owner._progress)
        self._display.__enter__()
        self._notifier = None if owner._provider is None else Notifier(owner._provider)
        for note in self.store.notes:
            self.emit(Said(note, "warning"))
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if self._notifier is not None:
                self._notifier.close()
                for problem in self._notifier.problems:
                    self._display.listen(Said(problem, "warning"))
        finally:
            self._display.__exit__(*error)

    def emit(self, event: Event) -> None:
        self._display.listen(event)
        if self._notifier is not None:
            self._notifier.listen(event)

    def session(self, matrix: Matrix, flags: dict[str, bool]) -> Session:
        from dataclasses import replace

        from memento.runner.session import Session

        owner = self._owner
        options: Options = replace(
            owner._options, force_run=flags["force_run"], force_cache=flags["force_cache"]
        )
        session = Session(owner.func, owner.name, matrix, self.store, options, self.emit)
        session.announce()
        return session

    def upstream(self, session: Session, dry_run: bool) -> list[Any]:
        """The finished tasks of a session as parameter values of another."""
        from memento.store.records import DONE, Encoded
        from memento.store.upstream import UpstreamValue

        root = str(Path(self.store.path).absolute())
        rows = session.plan.rows.tolist()
        if dry_run:
            nothing = Encoded("json", b"null", None, 4, "builtins:NoneType")
            return [UpstreamValue(session.tasks.key(n), root, nothing) for n in range(len(rows))]
        values = []
        for record in self.store.records([row for row in rows if row >= 0]):
            if record.status == DONE and record.value is not None:
                values.append(UpstreamValue(record.key, root, record.value))
        if not values:
            raise AggregateException(
                [],
                None,
                f"No task of matrix {session.matrix.id!r} succeeded, so nothing that depends on it can run.",
            )
        return values

    def describe(self, session: Session) -> None:
        """Log what would be run."""
        plan = session.plan
        lines = [
            f"  {session.tasks.config(n)}: {plan.reason(n)}" for n in range(min(plan.total, _SHOWN_CONFIGS))
        ]
        log.info("Running configurations:")
        for number in range(plan.total):
            log.info("  %s: %s", session.tasks.config(number), plan.reason(number))
        cached, failed = int(plan.cached.sum()), int(plan.failed_before.sum())
        new = plan.total - cached - failed
        head = f"{plan.total} configurations: {cached} cached, {failed} failed before, {new} new"
        if plan.forecast is not None:
            workers = session.options.num_workers
            head += f"; about {duration(plan.forecast / workers)} on {number_of(workers, 'worker')}"
        log.info(head)
        log.info("Exiting due to dry run")
        more = [f"  ... and {plan.total - len(lines)} more"] if plan.total > len(lines) else []
        self.emit(Said("\n".join([head, *lines, *more, "Exiting due to dry run"])))


def _total(sessions: Sequence[Session], stage: _Stage) -> RunFinished:
    """One message for several matrices."""
    ended = [session.finished for session in sessions if session.finished is not None]
    return RunFinished(
        experiment=stage._owner.name,
        store=str(stage.store.path),
        total=sum(e.total for e in ended),
        done=sum(e.done for e in ended),
        cached=sum(e.cached for e in ended),
        failed=sum(e.failed for e in ended),
        elapsed=sum(e.elapsed for e in ended),
        interrupted=any(e.interrupted for e in ended),
        left=sum(e.left for e in ended),
        groups=tuple(group for e in ended for group in e.groups),
    )


def _default_workers(executor: Any, cpus_per_task: int) -> int:
    if executor == "serial":
        return 1
    workers = getattr(executor, "_max_workers", None)  # a concurrent.futures pool knows its size
    if isinstance(workers, int):
        return workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // cpus_per_task)


def _bytes(limit: int | str | None) -> int | None:
    if limit is None or isinstance(limit, int):
        _positive("memory_limit", limit)
        return limit
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]i?)?b?\s*", str(limit).lower())
    if match is None:
        raise ValueError(f"memory_limit must be bytes or a text like '4GB' or '512MiB', got {limit!r}")
    return int(float(match[1]) * _UNITS[match[2] or ""])


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def _check_func(func: object) -> None:
    """Refuse at once what would fail in every single task."""
    import inspect

    if not callable(func):
        raise TypeError(f"func must be callable as func(context, config), got {type(func).__qualname__}")
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


def _check_executor(executor: object) -> None:
    """Refuse an unknown name also where everything is cached and nobody would ask for it."""
    if isinstance(executor, str) and executor not in ("processes", "threads", "serial"):
        from memento.executors import make_executor

        make_executor(executor)  # says which there are


def _positive(name: str, value: Any) -> None:
    import numbers

    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not float(value) > 0:
        raise ValueError(f"{name} must be more than 0, got {value!r}")
