"""One run of one matrix, from plan to results: opens what is needed, in order, and closes it again.

Knows: every room below the public class. May not know: what the user typed.

    Session.plan()   matrix + store -> Plan (reads only)
    Session.run()    Plan -> finished rows; begins a store run only when there is something to compute
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import CacheMiss
from memento.events import Event, FailureGroup, RunFinished, RunStarted, Said
from memento.executors.choose import runs_here
from memento.plan import KeyedTasks, Past, Plan, make_plan
from memento.runner.options import Options
from memento.runner.versions import SessionCode, numbers_of
from memento.store import Store

if TYPE_CHECKING:
    from array import array

    from memento.executors.base import Executor
    from memento.matrix import Matrix
    from memento.records import RunInfo
    from memento.results.parameters import Tasks
    from memento.runner.loop import Runner
    from memento.runner.signals import Interrupt
    from memento.worker.work import Work

_PAST_RUNS = 20_000  # runtimes that the forecast looks at
_UPDATES = 2_000  # a second, of all tasks together: they cost the coordinator a hundredth of its core


class Session:
    """Plans and runs one matrix over one store.

    Parameters
    ----------
    function : callable
        The experiment.
    experiment : str
        Its name.
    matrix : Matrix
        Validated.
    store : Store
        Open.
    options : Options
        How to run.
    emit : callable
        Receives every event.
    clock : Clock
        Where time comes from.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        experiment: str,
        matrix: Matrix,
        store: Store,
        options: Options,
        emit: Callable[[Event], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.function, self.experiment, self.matrix = function, experiment, matrix
        self.store, self.options, self.emit, self.clock = store, options, emit, clock
        self.tasks = KeyedTasks(matrix, experiment)
        if matrix.volatile:
            from memento.plan.volatile import check_volatile

            check_volatile(self.tasks)
        self.code = SessionCode(function, self.tasks, store)
        self.interrupted: Interrupt | None = None
        self.finished: RunFinished | None = None
        self.plan = self._plan()
        if self.plan.stale_codes and options.on_code_change != "ignore" and self.code.accept_moves(self.plan):
            self.plan = self._plan()

    @cached_property
    def shown(self) -> Tasks:
        """The tasks as people see them: their values told apart."""
        from memento.results.parameters import Tasks

        return Tasks(self.matrix, self.tasks.digests)

    @property
    def failed(self) -> int:
        """How many tasks failed in this run."""
        return self.finished.failed if self.finished is not None else 0

    def announce(self, of_matrix: bool = True) -> None:
        """Tell what the matrix's checks, if asked, and the code's history have to say."""
        for warning in self.matrix.warnings if of_matrix else ():
            self.emit(Said(warning, "warning"))
        for (name, then), count in self.plan.otherwise.items():
            self.emit(Said(_of_another_default(name, then, count), "warning"))
        self._say_how_it_is_named()
        policy, plan = self.options.on_code_change, self.plan
        if plan.stale_codes and policy != "ignore":
            again = policy == "rerun" or self.options.force_run
            self.emit(Said(self.code.explain(plan, "computed again" if again else "used"), "warning"))
        if len(plan.todo) and policy != "ignore":
            told = self.code.explain_states(plan, "not used" if policy == "rerun" else "used")
            if told:
                self.emit(Said(told, "warning"))

    def _say_how_it_is_named(self) -> None:
        """Say where a name depends on code, and where results stand under another one."""
        if self._has_past or not len(self.tasks):
            return
        from memento.keys import is_named_by_code
        from memento.wording import short_name

        if is_named_by_code(self.experiment):
            self.emit(
                Said(
                    f"{short_name(self.experiment)} comes from no file, so its code is part of its name: an edit makes"
                    ' it another experiment. Memento(..., name="...") keeps its results.',
                )
            )
        from memento.runner.renamed import former_name, hint

        former = former_name(self.store, self.tasks, self.code.tasks.versions)
        if former is not None:
            self.emit(Said(hint(former, self.experiment, self.store.root), "warning"))

    def run(self, notify: bool) -> None:
        """Compute what is missing; on return, `plan.rows` names a row for every task that finished.

        Raises
        ------
        CacheMiss
            `force_cache` was asked and something is missing.
        WorkerStartError
            No worker could be started.
        """
        plan, options = self.plan, self.options
        if options.force_cache and len(plan.todo):
            raise CacheMiss(self.shown.config(min(plan.todo)))
        began = self.clock.monotonic()
        self.emit(
            RunStarted(
                experiment=self.experiment,
                store=self.store.root,
                total=plan.total,
                cached=plan.hits,
                todo=len(plan.todo),
                workers=options.num_workers,
                forecast=plan.time_on(options.num_workers),
                executor=executor_name(options.executor),
                in_process=runs_here(options.executor),
            )
        )
        self._sweep()
        runner = self._compute() if len(plan.todo) else None
        if runner is None:
            if plan.total:
                self.code.note(plan)
        elif runner.other_codes and options.on_code_change != "ignore":
            # Not computed again even where that is asked for: the two runs would take turns at it.
            self.emit(Said(self.code.explain_others(runner.other_codes), "warning"))
        stopped = self.interrupted is not None and self.interrupted.count > 0
        progress = runner.progress if runner else None
        finished = progress.finished if progress else 0
        left = plan.total - plan.hits - finished
        go_on = f"Everything that finished is kept. Run it again to compute the {left} that are left."
        self.finished = RunFinished(
            experiment=self.experiment,
            store=self.store.root,
            total=plan.total,
            done=progress.done + progress.shared if progress else 0,
            cached=plan.hits,
            failed=progress.failed if progress else 0,
            elapsed=self.clock.monotonic() - began,
            interrupted=stopped,
            left=left,
            groups=self._groups(runner) if runner and runner.progress.failed else (),
            notify=notify,
            how_to_go_on=go_on if stopped else "",
        )
        empty = self.store.all_returned_nothing(plan.rows)
        if finished or empty:
            from memento.runner.ending import note_of_none, warned

            self.finished = self.finished._replace(
                warned=warned(self.store, self.matrix, plan),
                notes=note_of_none(empty, plan, self.function),
            )
        self.emit(self.finished)

    def _groups(self, runner: Runner) -> tuple[FailureGroup, ...]:
        """The failures by cause, with what they have in common."""
        from memento.results import Results

        groups = Results.of_plan(self.store, self.matrix, self.plan).failures.groups
        return groups or tuple(runner.failures.groups())

    def _sweep(self) -> None:
        """Remove the checkpoints that a killed run left of tasks that are done."""
        from memento.store.states import drop_older_states, keys_with_states

        numbers = numbers_of(self.tasks, keys_with_states(self.store.root))
        rows = [self.plan.rows[number] for number in numbers if self.plan.cached[number]]
        if rows:
            drop_older_states(self.store.path, self.store.records(rows))

    def _compute(self) -> Runner:
        # Here, since a run whose results are all there needs none of it.
        import contextlib

        from memento.executors import make_executor

        run = self.store.begin(self._run_info(), self.plan.hits)
        status = "died"
        runner: Runner | None = None
        signals = contextlib.ExitStack()
        try:
            run.previous = dict(self.plan.previous)
            executor = make_executor(self.options.executor, self.options.num_workers)
            try:
                shared, origins = self._shared_generators()
                executor.start(self._work(run.name)._replace(generators=origins))
                self._say_what_is_shared(executor, shared)
                # While workers start: what they do not need, and what has to be on disk.
                from memento.plan.declared import declare
                from memento.runner.loop import Runner
                from memento.runner.retry import RetryPolicy
                from memento.runner.signals import Interrupt
                from memento.store.heart import Heart

                declare(self.tasks, run)
                codes = self.code.note(self.plan, run.id)
                runner = Runner(
                    self.plan,
                    run,
                    executor,
                    retry=RetryPolicy(self.options.retries),
                    codes=codes,
                    emit=self.emit,
                    clock=self.clock,
                    workers=self.options.num_workers,
                    store=self.store.root,
                )
                # Only now: workers may be copies of this process, which are made as long as it has one thread.
                signals.enter_context(Heart(run.heartbeat))
                insist = executor.interrupt if executor.in_process else None
                interrupt = self.interrupted = signals.enter_context(Interrupt(executor.wake, insist))
                try:
                    runner.loop(interrupt)
                finally:
                    executor.close()
                    runner.commit()
            finally:
                executor.close()
            for ref, reason in runner.damaged.items():
                self.store.discard_payload(ref, reason)
            if interrupt.count:
                status = "interrupted"
            else:
                status = "failed" if runner.progress.failed else "done"
            return runner
        finally:
            counts = {"cached": self.plan.hits}
            if runner is not None:
                counts |= {"done": runner.progress.done, "failed": runner.progress.failed}
            with signals:  # until now: a second Ctrl-C must not cut off what the first one asked for
                try:
                    run.finish(status, counts)
                except BaseException:
                    from memento.store.liveness import note_ended

                    note_ended(run.name)
                    raise

    def _shared_generators(self) -> tuple[list[str], dict[str, bytes]]:
        """Find the random generators that tasks would draw from in turn: their names, and where they are."""
        from memento.context.reach import shared_generators

        values = [v for slots in self.tasks.table.values for v in slots if callable(v)]
        return shared_generators([self.function, *values])

    def _say_what_is_shared(self, executor: Executor, found: list[str]) -> None:
        if not found:
            return
        one = len(found) == 1
        what = f"{', '.join(found)} {'is a generator' if one else 'are generators'} that tasks share: "
        if executor.alone:
            told = f"each task gets a child of {'its' if one else 'their'} own by its key"
        else:
            told = "tasks in threads draw from it in no fixed order. Draw from context.rng"
        self.emit(Said(what + told, "info"))

    def _plan(self) -> Plan:
        options, store = self.options, self.store
        past = Past(store.known_columns(self.experiment))
        self._has_past = len(past) > 0
        if self._has_past and self.matrix.defaults:
            from memento.plan.declared import recall

            recall(self.tasks, store.axes(self.experiment))
        return make_plan(
            self.tasks,
            past,
            current=self.code.current(),
            versions=self.code.tasks.of,
            force_run=options.force_run,
            rerun_changed=options.on_code_change == "rerun",
            costs=self._costs if len(past) else None,
            longest_first=options.order == "longest-first",
            written=store.written,
        )

    def _costs(self, numbers: Iterable[int]) -> array[float] | None:
        from memento.plan import expected_costs, fit_costs

        fragments = [self.tasks.fragments(column) for column in range(len(self.tasks.names))]
        past = self.store.runtimes(self.experiment, _PAST_RUNS)
        return expected_costs(self.tasks, fit_costs(past, self.tasks.names, fragments), numbers)

    def _run_info(self) -> RunInfo:
        from memento import system
        from memento.keys import json_fragment
        from memento.records import RunInfo
        from memento.store import provenance

        return RunInfo(
            experiment=self.experiment,
            tasks=len(self.tasks),
            settings=json_fragment(dict(self.matrix.settings)),
            matrix_id="" if self.matrix.id is None else str(self.matrix.id),
            host=system.hostname(),
            pid=os.getpid(),
            process_started=system.process_start(os.getpid()) or "",
            boot_id=system.boot_identity(),
            argv=tuple(provenance.redact(sys.argv)),
            provenance=provenance.gather(os.getcwd()),
        )

    def _work(self, run_name: str) -> Work:
        from memento.keys import script
        from memento.worker.sending import Portable
        from memento.worker.sources import modules, sources
        from memento.worker.work import LIVE_EVERY, Work

        options, begin = self.options, self.options.initializer
        return Work(
            run=run_name,
            experiment=self.experiment,
            function=Portable(self.function, f"the experiment {self.experiment}"),
            settings=Portable(dict(self.matrix.settings), "settings"),
            layouts=self.tasks.layouts,
            values=_PickledValues(self.tasks),
            store=self.store.root,
            script=script(),
            sys_path=[path or os.getcwd() for path in sys.path],
            cwd=os.getcwd(),
            num_workers=options.num_workers,
            cpus_per_task=options.cpus_per_task,
            gpus_per_task=options.gpus_per_task,
            timeout=options.timeout,
            memory_limit=options.memory_limit,
            max_tasks_per_worker=options.max_tasks_per_worker,
            log_output=options.log_output,
            live_every=max(LIVE_EVERY, options.num_workers / _UPDATES),
            environment=dict(options.environment),
            initializer=begin and Portable(begin, "the initializer"),
            sources={**sources(), **modules(self.code.names())},
            codes=self.code.accepted(self.plan),
            on_code_change=options.on_code_change,
        )


class _PickledValues(Sequence[bytes]):
    """The matrix's values as workers get them, each pickled when it is first asked for."""

    _KEEP = 1_000_000  # bytes; larger ones are pickled again rather than kept twice in memory

    def __init__(self, tasks: KeyedTasks) -> None:
        self._tasks = tasks
        self._kept: dict[int, bytes] = {}

    def __len__(self) -> int:
        return self._tasks.value_count

    def here(self, number: int) -> Any:
        """Return a value as the program has it."""
        return self._tasks.value(number)

    def __getitem__(self, number: Any) -> Any:
        data = self._kept.get(number)
        if data is None:
            from memento.worker.sending import sendable

            data = sendable(
                self._tasks.value(number), f"a value of parameter {self._tasks.name_of_value(number)!r}"
            )
            if len(data) <= self._KEEP:
                self._kept[number] = data
        return data


def executor_name(executor: Any) -> str:
    """Name an executor for people."""
    return executor if isinstance(executor, str) else str(getattr(executor, "name", type(executor).__name__))


def _of_another_default(name: str, then: str, count: int) -> str:
    results = "1 result was" if count == 1 else f"{count} results were"
    return f"defaults[{name!r}] has changed: {results} computed with {name}={then:.80} and will be computed again."
