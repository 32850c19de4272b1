"""One call of `run`, `run_all` or `adopt`: a store, those who listen, sessions over both, and what is kept of them.

Knows: sessions, and who listens to them. May not know: what the user typed.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import AggregateException, RunInterrupted, TaskError
from memento.events import RunFinished, Said
from memento.runner.listeners import Listeners
from memento.runner.options import Options
from memento.runner.session import BY_DEADLINE, Session
from memento.store.location import advice
from memento.store.store import Store
from memento.wording import number_of

if TYPE_CHECKING:
    from array import array

    from memento.matrix.matrix import Matrix
    from memento.plan.keyed_tasks import KeyedTasks
    from memento.results.results import Results
    from memento.runner.adopting import Adopted
    from memento.store.location import Location


class Invocation:
    """Opens a store for its `with` block, and makes and runs sessions of one experiment over it.

    `last` keeps what they have come to, however the block ends; `ids` are those of all matrices of `run_all`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        experiment: str,
        options: Options,
        store: Location,
        listeners: Listeners,
        last: LastRun,
        ids: Sequence[Any] | None = None,
    ) -> None:
        self._function, self.experiment, self._options = function, experiment, options
        self._location, self._listeners = store, listeners
        self._last, self._ids = last, ids
        self._sessions: list[Session] = []  # those that ran
        self._kept: Kept | None = None
        self.emit = listeners.emit

    def __enter__(self) -> Invocation:
        self.store = Store.open(self._location)
        self._listeners.__enter__()
        for note in (*self.store.notes, self._options.note):
            if note:
                self.emit(Said(note, "warning"))
        told = advice(self.store.location)
        if told:
            self.emit(Said(told))
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._sessions:
            self._kept = self._last.keep(self._sessions, self._ids)
            if error is not None and any(max(one.plan.rows, default=-1) >= 0 for one in self._sessions):
                from memento.results.remote import note

                note(error, self._last.where(of_error=False))
        self._listeners.__exit__(kind, error, trace)

    def _session(self, matrix: Matrix) -> Session:
        options = self._options
        if options.max_failures is not None:  # of one call, over all its matrices
            failed = sum(session.failures for session in self._sessions)
            options = options._replace(max_failures=options.max_failures - failed)
        return Session(
            self._function,
            self.experiment,
            matrix,
            self.store,
            options,
            self.emit,
            name_tasks=self._listeners.name_tasks,
            best_by=self._listeners.best_by,
        )

    def session(self, matrix: Matrix, *, announce: bool = True) -> Session:
        """Plan a matrix; say what its checks have to say, if asked."""
        session = self._session(matrix)
        session.announce(of_matrix=announce)
        own, whole = len(session.tasks), session.tasks.whole
        if own < whole:
            session.emit(Said(f"A sample: {own:,} of {whole:,} tasks."))
        return session

    def run(self, session: Session, notify: bool = False) -> None:
        """Carry out a session's plan."""
        self._sessions.append(session)
        session.run(notify)

    def adopt(self, matrix: Matrix, verify: int) -> Adopted:
        """Say what has changed in the code, and accept it."""
        from memento.runner.adopting import adopt

        session = self._session(matrix)
        if session.plan.stale_codes:
            self.emit(Said(session.code.explain(session.plan, "")))
        return adopt(session, verify)

    def say(self, text: str) -> None:
        """Tell everybody something that they should know."""
        self.emit(Said(text, "warning"))

    def describe(self, session: Session, waiting: int = 0) -> None:
        """Say what would be run: all of it to the log, where somebody keeps one, and a page to people."""
        import logging

        from memento.runner.dry_run import Planned

        lines = Planned(session, waiting).lines()
        log = logging.getLogger("memento")
        log.info("Running configurations:")
        if log.isEnabledFor(logging.INFO):  # a million configurations that nobody reads are not built
            for number in range(session.plan.total):
                log.info("  %s: %s", session.shown.config(number), session.plan.reason(number))
        log.info("%s", lines[0])
        log.info("Exiting due to dry run")
        self.emit(Said("\n".join([*lines, "Exiting due to dry run"])))

    def sum_up(self) -> None:
        """Tell the end of several matrices as one."""
        ended = [session.finished for session in self._sessions if session.finished is not None]
        self.emit(
            RunFinished(
                experiment=self.experiment,
                store=str(self.store.location),
                total=sum(e.total for e in ended),
                done=sum(e.done for e in ended),
                cached=sum(e.cached for e in ended),
                failed=sum(e.failed for e in ended),
                elapsed=sum(e.elapsed for e in ended),
                interrupted=any(e.interrupted for e in ended),
                left=sum(e.left for e in ended),
                groups=tuple(group for e in ended for group in e.groups),
                warned=tuple(group for e in ended for group in e.warned),
                how_to_go_on="\n".join(e.how_to_go_on for e in ended if e.how_to_go_on),
                notes=tuple(dict.fromkeys(note for e in ended for note in e.notes)),
                best=tuple(one for e in ended for one in e.best),
            )
        )

    def hand_over(self, on_error: str) -> Any:
        """Return what was computed; raise what the caller has to know of how it ended. After the `with` block."""
        __tracebackhide__ = True  # what IPython shows of an exception are the user's lines, and the report
        sessions, last = self._sessions, self._last
        assert self._kept is not None
        results = self._kept.results(self.store)
        for session in sessions:
            if session.full is not None:
                from memento.results.remote import note

                note(session.full, last.where(of_error=False))
                raise session.full
        if any(session.stopped not in ("", BY_DEADLINE) for session in sessions):
            _end_by_signal(sessions)
            left = sum(session.plan.unfinished for session in sessions)
            raise self._interrupted(f"{number_of(left, 'task')} left", results)
        failed = sum(session.finished.failed for session in sessions if session.finished is not None)
        if failed and on_error == "raise":
            from memento.runner.signals import show_users_frames

            show_users_frames()
            errors, report = self._failures(results)
            raise AggregateException(errors, results, report, last.where())
        cancelled = sum(session.cancelled for session in sessions)
        if cancelled and on_error == "raise":
            raise self._interrupted(f"{number_of(cancelled, 'task')} cancelled by a command", results)
        return results

    def _failures(self, results: Any) -> tuple[list[BaseException], str]:
        """Return what failed tasks raised, and what to say of them."""
        every: list[Results] = [results] if self._ids is None else [one for one in results.values() if one]
        errors = [error for one in every for error in one.errors()]
        report = "\n\n".join(str(one.failures) for one in every if len(one.failures))
        if not errors:
            # Computed again by force_run and failed: the results from before stand, and it must still be said.
            ended = [session.finished for session in self._sessions if session.finished is not None]
            groups = [group for finished in ended for group in finished.groups]
            errors = [TaskError(f"{group.title} with {group.config}") for group in groups]
            report = "\n".join(f"{group.count} tasks: {group.title}\n{group.traceback}" for group in groups)
        for session in self._sessions:
            if session.is_hopeless and session.finished and session.finished.how_to_go_on:
                report += f"\n\n{session.finished.how_to_go_on}"
        return errors, report

    def _interrupted(self, what: str, results: Any) -> RunInterrupted:
        from memento.runner.signals import end_quietly

        end_quietly(told=self._listeners.displays)
        told = f"{what}; run it again to compute what is missing"
        return RunInterrupted(told, results, self._last.where())


def _end_by_signal(sessions: Sequence[Session]) -> None:
    """End as a signal other than that of Ctrl-C would have ended the program."""
    for session in sessions:
        number = session.interrupt.signal if session.interrupt is not None else None
        if number is not None and number.name != "SIGINT":
            from memento.runner.signals import drop_last_words

            drop_last_words()
            raise SystemExit(128 + number)


class _Carried(NamedTuple):
    """What of a plan results are made from, once it has been carried out."""

    matrix: Matrix
    tasks: KeyedTasks
    rows: array[int]
    cached: bytearray


class Kept:
    """The results of one run, whole or not, in some bytes a task; `ids` are those of the matrices of `run_all`.

    No store stays open for it: once nobody holds the results any more, they are made again, from a store that is
    opened again, when somebody asks.
    """

    def __init__(self, sessions: Sequence[Session], ids: Sequence[Any] | None) -> None:
        plans = [(session.matrix, session.plan) for session in sessions]
        self._parts = [_Carried(matrix, plan.tasks, plan.rows, plan.cached) for matrix, plan in plans]
        self._location, self._ids = sessions[0].store.location, ids
        self._made: weakref.WeakValueDictionary[str, Results] = weakref.WeakValueDictionary()

    def results(self, store: Store | None = None) -> Any:
        """Return them: of `run` as `Results`, of `run_all` by id, None for a matrix that did not come to its turn."""
        from memento.results.results import Results

        # One by one: another thread may add to it, or let go of some, while it is looked through.
        asked = ((name, self._made.get(name)) for name in (str(part.matrix.id) for part in self._parts))
        found = {name: made for name, made in asked if made is not None}
        if len(found) < len(self._parts):
            store = store or Store.open(self._location, create=False, readonly=True)
            for part in self._parts:
                names = map(str, part.matrix.dependencies)
                taken = {name: found[name] for name in names if name in found}
                found[str(part.matrix.id)] = Results.of_plan(store, part.matrix, part, taken)
            self._made.update(found)
        if self._ids is None:
            return found[str(self._parts[0].matrix.id)]
        return {one: found.get(str(one)) for one in self._ids}


class LastRun:
    """What the last run of a `Memento`, its owner, has come to."""

    def __init__(self, owner: object = None) -> None:
        self._owner = None if owner is None else weakref.ref(owner)
        self._kept: Kept | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return LastRun, ()  # a Memento that an experiment refers to may travel to workers

    def keep(self, sessions: Sequence[Session], ids: Sequence[Any] | None) -> Kept:
        """Keep what these sessions have come to, in place of what was kept before."""
        kept = self._kept = Kept(sessions, ids)
        return kept

    def results(self) -> Any:
        """Return the results of the last run."""
        if self._kept is None:
            raise RuntimeError(
                "this Memento has not run anything yet. Write results = runs.run(matrix); or memento.load(path) for"
                " what a store has."
            )
        return self._kept.results()

    def where(self, of_error: bool = True) -> str:
        """Say how to get at them where `run` has raised: the line to type, where somebody can type one.

        `of_error` tells whether what was raised has `results` itself.
        """
        owner = self._owner() if self._owner is not None else None
        variables = vars(sys.modules["__main__"]).copy()  # other threads add to them
        name = next((name for name, value in variables.items() if value is owner and name[:1] != "_"), None)
        if name is not None:
            return f"What there is: {name}.results"
        # IPython and its kernels set the former.
        if of_error and (hasattr(sys, "ps1") or sys.flags.interactive):
            return "What there is: import sys; sys.last_value.results"
        return f"What there is: `.results` of this {'exception' if of_error else 'Memento'}"
