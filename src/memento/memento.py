"""The class that users type: `Memento(exp_func).run(matrix)`.

Knows: the user's options, and which rooms serve them. May not know: how any of them works.

Long because users read here what each argument means.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from memento.matrix.arguments import FLAGS, explained, no_such_argument

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from memento.events import Listener
    from memento.matrix.matrix import Matrix
    from memento.notify.base import NotificationProvider
    from memento.results.results import Results
    from memento.runner.adopting import Adopted
    from memento.runner.dry_run import Planned
    from memento.runner.invocation import Invocation, LastRun
    from memento.runner.retry import Retries
    from memento.store.location import Location


class Memento:
    """Runs an experiment over configuration matrices and keeps every result.

    Parameters
    ----------
    func : callable
        ``func(context, config)``, or a function that names the parameters and settings that it takes, like
        ``train(lr, hidden, n_epochs=10)``: a function, method, partial, callable object or coroutine function; or
        ``memento.command(...)``, a program.
    notification_provider : NotificationProvider, optional
        Who is told when tasks fail and when all is done.
    num_workers : int, optional
        How many tasks run at once; by default the machine's cores over `cpus_per_task`.
    name : str, optional
        The experiment's name, part of every key; by default its file's path in the project and its
        qualified name, like ``scripts/train.py:experiment``.
    executor : str or object
        ``"processes"``, ``"threads"``, ``"serial"``, an object of `memento.executors`, or any
        ``concurrent.futures.Executor``.
    store : path or address, optional
        Folder of the results; by default the project's ``memento-store``. ``"postgresql://USER@HOST/DATABASE"`` keeps
        their index in a database: the same script, started on any number of hosts, shares the work.
    payloads : path or address, optional
        Where values, checkpoints, artifacts and logs go: an object store, ``"s3://BUCKET/PREFIX"`` (``gs://``,
        ``az://``), whose credentials are the environment's; or, with an index in a database, a folder that all hosts
        see. By default where the first run has put them, and that is the project's ``memento-store``.
    retries : int, Retry, or dict of exception type to int
        How often a failed attempt is repeated.
    timeout : float, str or timedelta, optional
        Seconds after which a task is ended, or a text like ``"10min"``.
    memory_limit : int or str, optional
        Bytes (or ``"4GB"``) above which a task is ended.
    on_oom : {"retry", "double", "fail"}
        What becomes of a task that has proven to need more memory: it was over `memory_limit`, the kernel ended it for
        want of memory, or it raised MemoryError. It is tried again like any other, as `retries` say; or with twice the
        limit, up to what the machine has, which later runs remember; or not at all.
    store_limit : int or str, optional
        Bytes (or ``"50GB"``) that the store may have. When it has them no more tasks are started, what runs finishes,
        and `StoreLimitReached` says what takes the room; raised at once where the store has them already.
    on_error : {"raise", "return"}
        Whether failures raise `AggregateException` at the end or come back as results.
    fail_fast : bool
        Start no more tasks after the first that has failed, its retries over; the same as ``max_failures=1``.
    max_failures : int, optional
        Start no more tasks once so many of this call have failed. What runs finishes, and all that finished is kept.
    sample : int or float, optional
        Run only so many tasks of each matrix, or that share of them, where `run` is not given another; chosen as there.
    on_code_change : {"warn", "rerun", "ignore"}
        What to do about results that an older version of the code computed.
    order : {"longest-first", "matrix"}
        In which order tasks start.
    cpus_per_task : int
        Cores that a task may use; bounds the threads of BLAS and OpenMP.
    gpus_per_task : float
        GPUs that a task gets; 0.5 lets two tasks share one. It sees no others, and no more tasks run than there are
        GPUs for.
    gpu_memory : int or str, optional
        Bytes (or ``"10GB"``) of a GPU's memory that a task needs: as many tasks share a GPU as have room in what is
        free of it at the start, and no more than `gpus_per_task` says, if that is given.
    max_tasks_per_worker : int, optional
        After how many tasks a worker is replaced.
    log_output : bool
        Keep what tasks print in the store's logs.
    initializer : callable, optional
        Called without arguments once in each worker, before its first task; in this process where tasks run in it. For
        what workers would else lack, where they are fresh processes.
    progress : bool, optional
        Show progress; by default where there is somebody to see it.
    listeners : sequence of callable
        Each is called with every event of `memento.events`, in a thread of its own: what it does or raises never harms
        a run, nor holds it up.

    Examples
    --------
    >>> from memento import Memento
    >>> def experiment(context, config):
    ...     return config.x ** 2
    >>> runs = Memento(experiment, executor="serial", store="memento-store", progress=False)
    >>> [result.inner for result in runs.run({"parameters": {"x": [1, 2, 3]}})]
    [1, 4, 9]
    >>> def train(lr, hidden, n_epochs=10):
    ...     return lr * hidden * n_epochs
    >>> runs = Memento(train, executor="serial", store="memento-store", progress=False)
    >>> [result.inner for result in runs.run({"parameters": {"lr": [1, 2], "hidden": [3]}})]
    [30, 60]
    """

    @explained
    def __init__(
        self,
        func: Callable[..., Any],
        notification_provider: NotificationProvider | None = None,
        num_workers: int | None = None,
        *,
        name: str | None = None,
        executor: Any = "processes",
        store: str | os.PathLike[str] | None = None,
        payloads: str | os.PathLike[str] | None = None,
        retries: Retries = 0,
        timeout: float | str | timedelta | None = None,
        memory_limit: int | str | None = None,
        on_oom: str = "retry",
        store_limit: int | str | None = None,
        on_error: str = "raise",
        fail_fast: bool = False,
        max_failures: int | None = None,
        sample: float | None = None,
        on_code_change: str = "warn",
        order: str = "longest-first",
        cpus_per_task: int = 1,
        gpus_per_task: float = 0,
        gpu_memory: int | str | None = None,
        max_tasks_per_worker: int | None = None,
        log_output: bool = True,
        initializer: Callable[[], object] | None = None,
        progress: bool | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        given = locals()
        from memento.runner import options

        options.check_func(func)
        options.check_provider(func, notification_provider)
        options.check_listeners(listeners)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a text, got {name!r}")
        options.check_choice("on_error", on_error, ("raise", "return"))
        self.func = func
        self._name = name
        self._hear = [one for one in (notification_provider, *listeners) if one is not None]
        self._store, self._folder = store, os.getcwd()  # what is relative stays where it was meant
        self._on_error = on_error
        self._progress = progress
        self._matrices: list[Matrix] = []
        self._options = options.make_options(**{name: given[name] for name in options.GIVEN})

    if not TYPE_CHECKING:  # which says by itself that there is no such thing

        def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
            from memento.runner.wrong_usage import called

            raise TypeError(called(self.func, args))

        def __getattr__(self, name: str) -> NoReturn:
            from memento.runner.wrong_usage import no_attribute

            raise AttributeError(no_attribute(self.__dict__.get("func"), name, dir(type(self))))

    def __memento_key__(self) -> str:
        """How something runs is no part of what it is, where an experiment's own object holds its Memento."""
        return "memento.Memento"

    @property
    def name(self) -> str:
        """The experiment's name, part of every key."""
        if self._name:
            return self._name
        from memento.keys.experiment_names import experiment_name
        from memento.store.location import is_named

        # A store that was found above the script's project may be that of several projects.
        home = None if is_named(self._store) else os.path.dirname(self._locate(None).root)
        return experiment_name(self.func, home)

    def _locate(self, cache_path: str | os.PathLike[str] | None) -> Location:
        from memento.keys.project_files import script_folder
        from memento.store.location import find_store

        files = self._options.payloads
        if cache_path:
            return find_store(cache_path, home=script_folder(), payloads=files)
        home = script_folder() or self._folder
        return find_store(self._store, cwd=self._folder, home=home, payloads=files)

    @explained
    def add_matrix(self, matrix: Any) -> None:
        """Add a matrix for `run_all`; it may name others in ``dependencies``.

        Parameters
        ----------
        matrix : dict, path or Matrix
            With an ``id``. It is never changed.
        """
        from memento.matrix.matrix import Matrix

        self._matrices.append(Matrix.of(matrix))

    @explained
    def run(
        self,
        matrix: Any,
        dry_run: bool = False,
        force_run: bool = False,
        force_cache: bool = False,
        cache_path: str | os.PathLike[str] | None = None,
        notify_on_complete: bool = True,
        sample: float | None = None,
        until: str | datetime | None = None,
        budget: float | str | timedelta | None = None,
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
        sample : int or float, optional
            Run so many tasks of a large matrix, or that share of them: each value of each parameter has its share, and
            a larger sample has all of a smaller one. Configurations are sampled whole, with all their repeats.
        until : str or datetime, optional
            When the run is to have ended: ``"07:00"``, the next such time, or a moment like
            ``"2026-12-01T07:00+01:00"``. Tasks that would not have ended by then are not started, unless they go on
            from checkpoints; at the deadline those are told to save theirs. What is left has the status "missing".
        budget : float, str or timedelta, optional
            The same as a length of time: seconds from now, or a text like ``"8h"``.

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
            Ctrl-C, or another process stopped the run or cancelled tasks of it; what had finished is kept.
        StoreLimitReached
            The store is as large as `store_limit` allows; what had finished is kept.
        """
        __tracebackhide__ = True
        from memento.matrix.matrix import Matrix
        from memento.runner.options import check_alone, check_flag, check_names

        check_flag("sample", sample)
        for name, value in (("dry_run", dry_run), ("force_run", force_run), ("force_cache", force_cache)):
            check_flag(name, value)
        ends = until, budget
        declared = Matrix.of(matrix)
        check_names(self.func, declared)
        check_alone(declared)
        with self._invoke(cache_path, dry_run, force_run, force_cache, sample, *ends) as invocation:
            session = invocation.session(declared)
            if dry_run:
                invocation.describe(session)
                return None
            invocation.run(session, notify_on_complete)
        results: Results = invocation.hand_over(self._on_error)
        return results

    @explained
    def plan(
        self,
        matrix: Any,
        force_run: bool = False,
        sample: float | None = None,
        until: str | datetime | None = None,
        budget: float | str | timedelta | None = None,
    ) -> Planned:
        """Say what `run` would do with a matrix, without doing it.

        Parameters
        ----------
        matrix : dict, path or Matrix
            As for `run`.
        force_run : bool
            As for `run`.
        sample : int or float, optional
            As for `run`.
        until, budget : optional
            As for `run`: says what would fit.

        Returns
        -------
        Planned
            What varies, how many tasks are to be run and why, what they have in common; as a text, a page.

        Examples
        --------
        >>> from memento import Memento
        >>> runs = Memento(lambda context, config: config.x, executor="serial", progress=False)
        >>> planned = runs.plan({"parameters": {"x": [1, 2, 3]}})
        >>> planned.total, [(kind.reason, kind.count) for kind in planned.kinds]
        (3, [('new', 3)])
        """
        from memento.matrix.matrix import Matrix
        from memento.runner.dry_run import Planned
        from memento.runner.options import check_alone, check_flag, check_names

        check_flag("sample", sample)
        check_flag("force_run", force_run)
        declared = Matrix.of(matrix)
        check_names(self.func, declared)
        check_alone(declared)
        with self._invoke(None, False, force_run, False, sample, until, budget) as invocation:
            return Planned(invocation.session(declared))

    @property
    def _last(self) -> LastRun:
        found: LastRun | None = self.__dict__.get("_last_run")
        if found is None:
            from memento.runner.invocation import LastRun

            # One for all threads: what a run keeps in another nobody would find.
            found = self.__dict__.setdefault("_last_run", LastRun(self))
        return found

    @property
    def results(self) -> Any:
        """What there is of the last run, also where it raised: what `run` or `run_all` would have returned.

        What was not computed has the status "missing"; a matrix of `run_all` that did not come to its turn is None.
        A call that is refused before anything runs, or is a dry run, leaves it as it was.

        Raises
        ------
        RuntimeError
            Nothing has been run yet.

        Examples
        --------
        >>> from memento import AggregateException, Memento
        >>> runs = Memento(lambda context, config: 1 / config.x, executor="serial", progress=False)
        >>> try:
        ...     runs.run({"parameters": {"x": [1, 0, 2]}})
        ... except AggregateException:
        ...     [(result.status, result.value) for result in runs.results]
        [('done', 1.0), ('failed', None), ('done', 0.5)]
        """
        return self._last.results()

    def run_all(self, **kwargs: Any) -> dict[Any, Results | None] | None:
        """Run every added matrix, each after those it depends on.

        A matrix that depends on another gets that one's results as a parameter named by its id.

        Parameters
        ----------
        **kwargs
            As for `run`; `sample` is of each matrix, `until` and `budget` of all.

        Returns
        -------
        dict or None
            Results by id; None for a matrix that could not run, since nothing that it depends on succeeded. Tasks whose
            upstream tasks failed are not among them.

        Raises
        ------
        CyclicDependency
            Matrices depend on each other in a circle.
        AggregateException
            Tasks failed; what did not depend on them is finished and kept. Its `results` are what would be returned.
        """
        __tracebackhide__ = True
        from memento.matrix.dependencies import execution_order
        from memento.runner.options import check_flag, check_names
        from memento.runner.stages import Stages

        for name, value in kwargs.items():
            if name not in FLAGS:
                raise TypeError(no_such_argument(self.run_all, name, value, FLAGS))
            if name not in ("cache_path", "until", "budget"):
                check_flag(name, value)
        if not self._matrices:
            raise TypeError(
                "run_all() runs the matrices that add_matrix(...) was given, and there are none."
                " For one matrix write Memento(func).run(matrix)."
            )
        matrices = execution_order(self._matrices)
        for matrix in matrices:
            check_names(self.func, matrix)
        dry_run = kwargs.pop("dry_run", False)
        cache_path = kwargs.pop("cache_path", None)
        notify = kwargs.pop("notify_on_complete", True)
        with self._invoke(cache_path, dry_run, **kwargs, ids=[one.id for one in matrices]) as invocation:
            stages = Stages(invocation, dry_run)
            for declared in matrices:
                session = stages.next(declared)
                if session is None:
                    continue
                if dry_run:
                    invocation.describe(session, stages.waiting(session.matrix))
                    continue
                invocation.run(session)
                if session.stopped or session.is_hopeless:
                    stages.say_what_is_left(matrices)
                    break
            if not dry_run and notify:
                invocation.sum_up()
        if dry_run:
            return None
        every: dict[Any, Results | None] = invocation.hand_over(self._on_error)
        return every

    def adopt(self, matrix: Any, verify: int = 0) -> Adopted:
        """Accept a change of the code: results of older versions count as of the present one from now on.

        Parameters
        ----------
        matrix : dict, path or Matrix
            Whose results to adopt.
        verify : int
            How many of them to compute again first, chosen over all values of all parameters. Nothing is adopted
            unless all are equal.

        Returns
        -------
        Adopted
            How many results, and what was verified; as a text, it says so, with the bound on what may still differ.

        Raises
        ------
        RunInterrupted
            Ctrl-C while results were verified; nothing was adopted.
        """
        from memento.matrix.matrix import Matrix
        from memento.runner.options import check_count

        check_count("verify", verify)
        declared = Matrix.of(matrix)
        if declared.dependencies:
            raise ValueError(
                f"matrix {declared.id!r} depends on others: adopt takes matrices that stand alone;"
                " `memento adopt` on the command line accepts the changes that its last run has seen"
            )
        with self._invoke(None) as invocation:
            return invocation.adopt(declared, verify)

    def _invoke(
        self,
        cache_path: str | os.PathLike[str] | None,
        dry_run: bool = False,
        force_run: bool = False,
        force_cache: bool = False,
        sample: float | None = None,
        until: object = None,
        budget: object = None,
        ids: Sequence[Any] | None = None,
    ) -> Invocation:
        from memento.runner.invocation import Invocation
        from memento.runner.listeners import Listeners

        # A plan that nobody sees is no plan.
        progress = True if dry_run else self._progress
        listeners = Listeners(progress, self._hear, reported=self._on_error == "raise")
        sample = self._options.sample if sample is None else sample
        options = self._options._replace(force_run=force_run, force_cache=force_cache, sample=sample)
        if until is not None or budget is not None:
            from memento.clock import SYSTEM_CLOCK
            from memento.runner.deadline import Deadline

            options = options._replace(deadline=Deadline(until, budget, SYSTEM_CLOCK))
        store = self._locate(cache_path)
        parts = self.func, self.name, options, store, listeners, self._last, ids
        if "MEMENTO_ASKED_FOR" in os.environ:  # the command line runs some tasks of this program alone
            from memento.runner.partial_invocation import partial

            return partial(*parts)
        return Invocation(*parts)
