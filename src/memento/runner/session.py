"""One run of one matrix, from plan to results: opens what is needed, in order, and closes it again.

Knows: every room below the public class. May not know: what the user typed.

    Session.plan()   matrix + store -> Plan (reads only)
    Session.run()    Plan -> finished rows; begins a store run only when there is something to compute

Long because all that a run opens is opened and closed here, in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import CacheMiss, StoreLimitReached
from memento.events import CommandTaken, Event, FailureGroup, RunFinished, RunStarted, Said, TaskRetried
from memento.executors.choose import runs_here
from memento.layout import Layout
from memento.plan.keyed_tasks import KeyedTasks, check_volatile
from memento.plan.plan import Past, Plan, expected_costs, make_plan
from memento.runner.code_changes import SessionCode
from memento.runner.options import Options, check_names, executor_name
from memento.store.store import Store

if TYPE_CHECKING:
    from array import array
    from contextlib import ExitStack

    from memento.executors.base import Executor
    from memento.index.run_contract import Run
    from memento.matrix.matrix import Matrix
    from memento.results.parameters import Tasks
    from memento.runner.loop import Runner
    from memento.runner.memory_limits import MemoryLimits
    from memento.runner.queue import TaskQueue
    from memento.runner.signals import Interrupt
    from memento.runner.store_room import StoreRoom
    from memento.values.shared_files import SharedFiles

_TOLD = (Said, TaskRetried, CommandTaken)  # events that no row tells
_BY_LIMIT = "by the store's limit"  # why a run was stopped
BY_DEADLINE = "at its deadline"
_PAST_RUNS = 20_000  # runtimes that the forecast looks at


class Session:
    """Plans and runs one matrix over one store.

    `plan` is made at once. `finished` is how the run ended, `stopped` why it ended before all was done ("" if it did
    not), `cancelled` how many tasks a command took out of it, and `is_hopeless` whether as many failed as are borne.
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
        *,
        name_tasks: bool = False,
        best_by: Sequence[tuple[str | None, bool]] = (),
    ) -> None:
        self.function, self.experiment = function, experiment
        self.store, self.options, self.clock = store, options, clock
        self._emit, self._name_tasks, self._best_by = emit, name_tasks, best_by
        self._run: Run | None = None
        self._over: list[bytes] = []  # tasks that are done, and may have checkpoints in an object store
        self._known_dead: set[str] = set()  # runs whose workers may go on
        self._untold: list[Event] = []  # what was told before the run had begun
        self.arguments = check_names(function, matrix)
        self.tasks = KeyedTasks(matrix, experiment, self.arguments.defaults, options.sample)
        self.matrix = self.tasks.matrix
        check_volatile(self.tasks)
        self.code = SessionCode(function, self.tasks, store)
        self.interrupt: Interrupt | None = None
        self.stopped = ""
        self.full: StoreLimitReached | None = None
        self.cancelled, self.failures, self.is_hopeless = 0, 0, False
        self.finished: RunFinished | None = None
        self.plan = self._plan()
        if self.plan.stale_codes and options.on_code_change != "ignore" and self.code.accept_moves(self.plan):
            self.plan = self._plan()

    @cached_property
    def shown(self) -> Tasks:
        """The tasks as people see them: their values told apart."""
        from memento.results.parameters import Tasks

        return Tasks(self.matrix, self.tasks.digests)

    def emit(self, event: Event) -> None:
        """Tell everybody, with the run that it is about; what no row tells goes to the index too."""
        self._emit(event._replace(run=self._run.name) if self._run is not None else event)
        if isinstance(event, _TOLD):
            self._untold.append(event)
        if self._run is not None:
            for one in self._untold:
                data = one._asdict()
                del data["run"], data["time"]  # the index knows them
                self._run.tell(type(one).__name__, data)
            self._untold.clear()

    def announce(self, of_matrix: bool = True) -> None:
        """Tell what the matrix's checks, if asked, and the code's history have to say."""
        warnings = [*self.matrix.warnings, *self.tasks.twins(), *self.arguments.notes] if of_matrix else []
        for warning in dict.fromkeys(warnings):
            self.emit(Said(warning, "warning"))
        for (name, then), count in self.plan.otherwise.items():
            from memento.plan.changed_defaults import of_another_default

            where = f"defaults[{name!r}]" if name in self.matrix.defaults else f"the default of {name}"
            self.emit(Said(of_another_default(where, name, then, count), "warning"))
        self._say_how_it_is_named()
        policy, plan = self.options.on_code_change, self.plan
        if plan.stale_codes and policy != "ignore":
            again = policy == "rerun" or self.options.force_run
            self.emit(Said(self.code.explain(plan, "computed again" if again else "used"), "warning"))
        used = "not used" if policy == "rerun" else "used"
        if len(plan.todo) and policy != "ignore" and (told := self.code.explain_states(plan, used)):
            self.emit(Said(told, "warning"))

    def _say_how_it_is_named(self) -> None:
        """Say where a name depends on code, and where results stand under another one."""
        if self._has_past or not len(self.tasks):
            return
        from memento.keys.experiment_names import is_named_by_code
        from memento.wording import short_name

        if is_named_by_code(self.experiment):
            told = f"{short_name(self.experiment)} comes from no file, so its code is part of its name: an edit makes"
            self.emit(Said(f'{told} it another experiment. Memento(..., name="...") keeps its results.'))
        from memento.runner.former_name import former_name

        if hint := former_name(self.store, self.tasks, self.code.present.versions):
            self.emit(Said(hint, "warning"))

    def run(self, notify: bool) -> None:
        """Compute what is missing; on return, `plan.rows` names a row for every task that finished."""
        options = self.options
        if len(self.plan.todo) and not options.force_run and self._take_in():
            self.plan = self._plan()
        plan = self.plan
        if options.force_cache and len(plan.todo):
            raise CacheMiss(self.shown.config(min(plan.todo)))
        began = self.clock.monotonic()
        self._sweep()
        if self._is_late():
            self.stopped = BY_DEADLINE
        runner = self._compute() if len(plan.todo) and not self.stopped else None
        if runner is None:
            self._tell_start()
            if plan.total:
                self.code.note(plan)
            if self.tasks.labels or self.store.index.labels(self.experiment):
                from memento.plan.declare_values import relabel

                relabel(self.tasks, self.store.index)
        if runner is not None and runner.others.other_codes and options.on_code_change != "ignore":
            # Not computed again even where that is asked for: the two runs would take turns at it.
            self.emit(Said(self.code.explain_others(runner.others.other_codes), "warning"))
        self.finished = self._how_it_ended(runner, self.clock.monotonic() - began, notify)
        self.emit(self.finished)

    def _is_late(self) -> bool:
        """Tell whether the deadline is past before anything has begun; else get ready for it."""
        deadline = self.options.deadline
        if deadline is None or not len(self.plan.todo):
            return False
        from memento.runner.tasks_that_fit import has_any

        if has_any(self.code.present.versions, ".loop(", ".stopping", ".checkpoint("):
            deadline.let_save()
        return deadline.left_for_tasks() <= 0

    def _tell_start(self, workers: int | None = None, *, grows: bool = False) -> None:
        if workers:  # a cluster knows only when it is there how many tasks it runs at once
            self.options = self.options._replace(num_workers=workers)
        plan, options = self.plan, self.options
        self.emit(
            RunStarted(
                experiment=self.experiment,
                store=str(self.store.location),
                total=plan.size,
                cached=plan.hits,
                todo=len(plan.todo),
                workers=options.num_workers,
                forecast=plan.time_on(options.num_workers),
                executor=executor_name(options.executor),
                in_process=runs_here(options.executor),
                matrix="" if self.matrix.id is None else str(self.matrix.id),
                grows=grows,
            )
        )

    def _how_it_ended(self, runner: Runner | None, elapsed: float, notify: bool) -> RunFinished:
        plan = self.plan
        progress = runner.progress if runner else None
        computed = progress.finished if progress else 0
        left = plan.size - plan.hits - computed
        finished = RunFinished(
            experiment=self.experiment,
            store=str(self.store.location),
            total=plan.size,
            done=progress.done + progress.shared if progress else 0,
            cached=plan.hits,
            failed=progress.failed if progress else 0,
            elapsed=elapsed,
            interrupted=self.stopped not in ("", BY_DEADLINE),
            left=left,
            groups=self._groups(runner) if runner and runner.progress.failed else (),
            notify=notify,
        )
        if self.stopped == _BY_LIMIT:
            from memento.runner.store_room import limit_reached

            self.full = limit_reached(self.store, self.options.store_limit or 0, left)
            finished = finished._replace(how_to_go_on=str(self.full))
        elif self.stopped == BY_DEADLINE:
            from memento.runner.tasks_that_fit import what_is_left

            told = what_is_left(plan, self.options, self.costs, left)
            finished = finished._replace(how_to_go_on=told)
        elif self.stopped or self.cancelled or (self.is_hopeless and left):
            from memento.runner.closing_notes import how_to_go_on

            go_on = how_to_go_on(left, 0 if self.stopped else self.failures)
            finished = finished._replace(how_to_go_on=go_on)
        empty = self.store.index.all_returned_nothing(plan.rows)
        if computed or empty:
            from memento.runner.closing_notes import note_of_none, warned

            notes = note_of_none(empty, plan, self.function)
            finished = finished._replace(warned=warned(self.store, self.matrix, plan), notes=notes)
        if self._best_by:
            from memento.runner.closing_notes import best_of

            best, why_not = best_of(self.store, self.matrix, plan, self._best_by)
            finished = finished._replace(best=best, notes=finished.notes + why_not)
        return finished

    def _groups(self, runner: Runner) -> tuple[FailureGroup, ...]:
        """The failures by cause, with what they have in common."""
        from memento.results.results import Results

        groups = Results.of_plan(self.store, self.matrix, self.plan).failures.groups
        return groups or tuple(runner.commits.failures.groups())

    def _take_in(self) -> bool:
        """Commit what workers that outlived an earlier run have left of the tasks; tell whether there was any."""
        from memento.worker.handover import runs_with_outcomes  # a run with all its results needs none

        if not runs_with_outcomes(self.store.root):
            return False
        from memento.runner.inherited import take_in

        return take_in(self.store, self.plan, self.code, self.emit)

    def _sweep(self) -> None:
        """Remove what killed runs have left: half of a file, checkpoints of tasks that are done."""
        from memento.store.leftovers import sweep
        from memento.store.task_folders import drop_older_states, keys_with_states

        sweep(self.store.root, self.store.index)
        numbers = self.tasks.numbers_of(keys_with_states(self.store.root))
        rows = [self.plan.rows[number] for number in numbers if self.plan.cached[number]]
        if rows and self.store.far is None:
            drop_older_states(self.store.path, self.store.index.records(rows))
        elif rows:
            self._over = [record.key for record in self.store.index.records(rows)]

    def _compute(self) -> Runner:
        import contextlib  # here, since a run whose results are all there needs none of it

        from memento.executors.choose import make_executor, serving
        from memento.values.shared_files import sweep

        sweep(self.store.root)
        room = self._watched()
        asked = self.options.asked_workers and self.options.num_workers
        executor = make_executor(self.options.executor, asked)
        with serving(executor):
            return self._carry_out(executor, room, contextlib.ExitStack())

    def _carry_out(self, executor: Executor, room: StoreRoom, signals: ExitStack) -> Runner:
        from memento.runner.packing import run_info
        from memento.values.shared_files import SharedFiles

        self._fit_to_gpus(executor)
        run = self.store.begin(run_info(self.tasks)._replace(tasks=self.plan.size), self.plan.hits)
        self._run = run
        status = "died"
        runner: Runner | None = None
        try:
            run.previous = dict(self.plan.previous)
            files = SharedFiles(
                self.store.root, run.name, same_host=executor.same_host, outlives=executor.outlives
            )
            try:
                runner = self._start(run, executor, signals, files, room)
                try:
                    assert self.interrupt is not None
                    runner.loop(self.interrupt)
                finally:
                    executor.close()
                    runner.commits.commit()
                    if told := executor.closing_words():
                        self.emit(Said(told))
                    if os.path.isdir(Layout(self.store.root).work(run.name)):  # what workers were handed
                        from memento.runner.inherited import drop_committed

                        drop_committed(self.store.root, run.name, self.plan)
            finally:
                executor.close()
                files.close()
            for ref, reason in runner.faults.damaged.items():
                self.store.discard_payload(ref, reason)
            status = self._status(runner)
            return runner
        finally:
            counts = {"cached": self.plan.hits}
            if runner is not None:
                counts |= {"done": runner.progress.done, "failed": runner.progress.failed}
            with signals:  # until now: a second Ctrl-C must not cut off what the first one asked for
                try:
                    run.finish(status, counts)
                except BaseException:
                    from memento.index.lease import note_ended

                    note_ended(run.name)
                    raise

    def _fit_to_gpus(self, executor: Executor) -> None:
        """Run no more tasks at once than there are GPUs for; raises WorkerStartError where there are none for one."""
        if self.options.gpus_per_task or self.options.gpu_memory:
            from memento.runner.gpu_places import fitted

            self.options, note = fitted(self.options, executor, len(self.plan.todo))
            if note:
                self.emit(Said(note, "warning"))

    def _watched(self) -> StoreRoom:
        """Return what minds how large the store gets; raises StoreLimitReached where it is too large already."""
        from memento.runner.store_room import StoreRoom, limit_reached

        limit = self.options.store_limit
        room = StoreRoom(self.store.root, limit, self.emit, self.clock)
        if limit is not None and room.is_over():
            raise limit_reached(self.store, limit, len(self.plan.todo))
        return room

    def _start(
        self, run: Run, executor: Executor, signals: ExitStack, files: SharedFiles, room: StoreRoom
    ) -> Runner:
        """Start the workers, and get everything else ready meanwhile."""
        from memento.context.reach import shared_generators
        from memento.runner.packing import make_work

        # The random generators that tasks would draw from in turn: their names, and where they are.
        values = [v for slots in self.tasks.table.values for v in slots if callable(v)]
        found, origins = shared_generators([self.function, *values])
        root, options, by_name = self.store.root, self.options, self.arguments.by_name
        far = self.store.far.address if self.store.far else ""
        elsewhere = not executor.shares_memory
        work = make_work(
            run.name, self.plan, self.code, options, root, origins, files, by_name, far, elsewhere=elsewhere
        )
        if executor.outlives:
            self._known_dead.update(self._left_workers(run))
            former, outdated = self._dead()
            work = work._replace(former=former, outdated=outdated)
        try:
            executor.start(work)
        except BaseException:
            from memento.runner.inherited import drop_folder

            executor.close()  # who has begun reads there no more
            drop_folder(root, run.name)
            raise
        self._tell_start(executor.workers, grows=executor.grows)
        if self.store.far is not None:  # now that workers need no copy of this process any more
            self._begin_far(run, signals)
        self._say_what_is_shared(executor, found)
        self._say_what_is_too_long(executor)
        # While workers start: what they do not need, and what has to be on disk.
        from memento.index.heartbeat import Heartbeat
        from memento.plan.declare_values import declare
        from memento.runner.signals import Interrupt

        declare(self.tasks, run)
        runner = self._runner(run, executor, room)
        # Only now: workers may be copies of this process, which are made as long as it has one thread.
        signals.enter_context(Heartbeat(run.heartbeat))
        insist = executor.interrupt if executor.in_process else None
        self.interrupt = signals.enter_context(Interrupt(executor.wake, insist))
        return runner

    def _runner(self, run: Run, executor: Executor, room: StoreRoom) -> Runner:
        """Make what runs the plan on an executor that has been started."""
        from memento.runner.loop import Runner
        from memento.runner.retry import RetryPolicy
        from memento.store.task_folders import has_fences

        runner = Runner(
            self.plan,
            run,
            executor,
            retry=RetryPolicy(self.options.retries),
            codes=self.code.note(self.plan, run.id),
            emit=self.emit,
            clock=self.clock,
            workers=self.options.num_workers,
            store=self.store.root,
            room=room,
            name_tasks=self._name_tasks,
            max_failures=self.options.max_failures,
            left_workers=lambda: self._left_workers(run),
            inherit=lambda: executor.outlives and self._inherit(run, executor),
            limits=self._memory_limits(executor),
            queue=self._queue(executor),
        )
        if has_fences(self.store.root) or self._left_workers(run):
            runner.expect_copies()
        runner.progress.deadline = self.options.deadline
        runner.others.written = self.store.index.written
        runner.faults.elsewhere = self.store.far.address if self.store.far is not None else ""
        return runner

    def _queue(self, executor: Executor) -> TaskQueue | None:
        """Return the tasks to run as a deadline has them handed out; None where there is none."""
        options = self.options
        if options.deadline is None:
            return None
        from memento.runner.tasks_that_fit import TasksThatFit, resumes

        def may_resume() -> bool:  # where one that runs can be told to stop
            return not executor.in_process and resumes(self.plan, self.store.root, self.code.present.versions)

        longest_first = options.order == "longest-first"
        plan, deadline, workers = self.plan, options.deadline, options.num_workers
        return TasksThatFit(plan, deadline, self.costs, may_resume, workers, longest_first=longest_first)

    def _left_workers(self, run: Run) -> list[str]:
        """Name the dead runs whose workers may go on."""
        from memento.store.leftovers import runs_that_may_go_on

        return runs_that_may_go_on(self.store.root, self.store.index, run.name)

    def _dead(self) -> tuple[list[str], Mapping[str, Collection[int]]]:
        """Return the dead runs that may have left something, and what is not taken from each: see `Work`."""
        from memento.runner.inherited import dead_runs, outdated

        dead = dead_runs(self.store)
        return dead, outdated(self.store, self.plan, dead, all_of_it=self.options.force_run)

    def _inherit(self, run: Run, executor: Executor) -> bool:
        """Tell the executor of runs beside this one that died since the last call; return whether there are any."""
        found = set(self._left_workers(run)) - self._known_dead
        if found:
            self._known_dead |= found
            executor.take_over(*self._dead())
        return bool(found)

    def _begin_far(self, run: Run, signals: ExitStack) -> None:
        """See that the object store with the values can be used, and begin what is done there beside the run."""
        from memento.runner.far_errands import FarErrands
        from memento.store.far import begin

        assert self.store.far is not None
        begin(self.store.root, self.store.far)
        errands = signals.enter_context(FarErrands(self.store.root, run.name, self.store.far.address))
        errands.drop(self._over)
        self.store.drop_far = errands.drop

    def _memory_limits(self, executor: Executor) -> MemoryLimits | None:
        """Return what tasks may use, where anything depends on that."""
        options = self.options
        if options.memory_limit is None and options.on_oom == "retry":
            return None
        from memento.runner.memory_limits import MemoryLimits, memory_there

        limits = MemoryLimits(options.memory_limit, options.on_oom, lambda: memory_there(executor))
        if more := limits.recall(self.plan, self.store.index):
            told = "1 task begins" if more == 1 else f"{more:,} tasks begin"
            self.emit(Said(f"{told} with more than memory_limit: so much did not do before."))
        return limits

    def _status(self, runner: Runner) -> str:
        """Return how the run ended, for the store; note what of it the caller has to know."""
        assert self.interrupt is not None
        self.failures, self.is_hopeless = runner.commits.failed, runner.is_hopeless
        if self.interrupt.count:
            self.stopped = "by a signal"
        elif runner.room is not None and runner.room.is_full:
            self.stopped = _BY_LIMIT if self.plan.size > self.plan.hits + runner.progress.finished else ""
        elif runner.queue.unfit or runner.queue.is_over:
            self.stopped = BY_DEADLINE if self.plan.size > self.plan.hits + runner.progress.finished else ""
        elif runner.is_stopping and not runner.is_hopeless:
            self.stopped = "by a command"
        self.cancelled = len(runner.cancelled & runner.left)
        if self.stopped or (self.cancelled and not runner.progress.failed):
            return "interrupted"  # some tasks have no result
        return "failed" if runner.progress.failed else "done"

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

    def _say_what_is_too_long(self, executor: Executor) -> None:
        """Say before anything begins which tasks fit no place of an executor; each fails when its turn comes."""
        most, costs = executor.most_cost, self.plan.costs
        count = 0 if most is None or costs is None else sum(costs[number] > most for number in self.plan.todo)
        if count:
            from memento.wording import number_of, verb

            told = (
                f"{number_of(count, 'task')} {verb(count, 'take')} longer than a job lasts, by the forecast"
            )
            self.emit(
                Said(
                    f"{told}, and {verb(count, 'save')} no checkpoint: such a task fails unstarted", "warning"
                )
            )

    def _plan(self) -> Plan:
        options, store = self.options, self.store
        past = Past(store.index.known_columns(self.experiment))
        self._has_past = len(past) > 0
        if self._has_past and self.matrix.defaults:
            from memento.plan.declare_values import recall

            recall(self.tasks, store.index.axes(self.experiment))
        plan = make_plan(
            self.tasks,
            past,
            current=self.code.current(),
            itself=self.code.itself(),
            versions=self.code.present.of,
            force_run=options.force_run,
            rerun_changed=options.on_code_change == "rerun",
            costs=self.costs if len(past) else None,
            longest_first=options.order == "longest-first",
            written=store.index.written,
        )
        if options.only is None:
            return plan
        return plan.narrowed(options.only(plan), rerun_changed=options.on_code_change == "rerun")

    def costs(self, numbers: Iterable[int]) -> tuple[array[float], array[float]] | None:
        """Expect of tasks, by number, what is known by now: seconds, and those that nine of ten stay below."""
        from memento.plan.runtime_forecast import fit_costs

        fragments = [self.tasks.fragments(column) for column in range(len(self.tasks.names))]
        past = self.store.index.runtimes(self.experiment, _PAST_RUNS)
        return expected_costs(self.tasks, fit_costs(past, self.tasks.names, fragments), numbers)
