"""One call of `run`, `run_all` or `adopt`: a store, those who listen, and sessions over both.

Knows: sessions, and who listens to them. May not know: what the user typed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from memento.errors import AggregateException, RunInterrupted, TaskError
from memento.events import RunFinished, Said
from memento.runner.listeners import Listeners
from memento.runner.options import Options
from memento.runner.session import Session
from memento.store.store import Store
from memento.wording import number_of

if TYPE_CHECKING:
    from memento.matrix.matrix import Matrix
    from memento.results.results import Results
    from memento.runner.adopting import Adopted
    from memento.store.upstream import UpstreamValue


class Invocation:
    """Opens a store for its `with` block, and makes sessions of one experiment over it."""

    def __init__(
        self,
        function: Callable[..., Any],
        experiment: str,
        options: Options,
        store: str,
        listeners: Listeners,
    ) -> None:
        self._function, self._experiment, self._options = function, experiment, options
        self._path, self._listeners = store, listeners
        self.emit = listeners.emit

    def __enter__(self) -> Invocation:
        self.store = Store.open(self._path)
        if "numpy" in sys.modules:
            from memento.keys.known_contents import keep_in
            from memento.layout import Layout

            keep_in(Layout(self.store.root).known_contents)
        self._listeners.__enter__()
        for note in (*self.store.notes, self._options.note):
            if note:
                self.emit(Said(note, "warning"))
        return self

    def __exit__(self, *error: Any) -> None:
        self._listeners.__exit__(*error)

    def _session(self, matrix: Matrix, options: Options) -> Session:
        return Session(
            self._function,
            self._experiment,
            matrix,
            self.store,
            options,
            self.emit,
            name_tasks=self._listeners.name_tasks,
        )

    def session(self, matrix: Matrix, *, force_run: bool, force_cache: bool, waiting: int = 0) -> Session:
        """Plan a matrix; some of the results that it takes may not be computed yet, in a dry run."""
        options = self._options._replace(force_run=force_run, force_cache=force_cache)
        session = self._session(matrix, options)
        session.announce(of_matrix=not waiting)  # what rules about unknown values match is not known either
        return session

    def adopt(self, matrix: Matrix, verify: int) -> Adopted:
        """Say what has changed in the code, and accept it."""
        from memento.runner.adopting import adopt

        session = self._session(matrix, self._options)
        if session.plan.stale_codes:
            self.emit(Said(session.code.explain(session.plan, "")))
        return adopt(session, verify)

    def upstream(self, session: Session, dry_run: bool) -> list[UpstreamValue]:
        """Return the finished tasks of a session as parameter values of another matrix.

        In a dry run those that are still to be computed are among them, without a value: their keys are known all the
        same, and so are the keys of what depends on them.
        """
        from memento.records import DONE
        from memento.store.upstream import PendingValue, UpstreamValue

        root, plan, tasks = self.store.root, session.plan, session.tasks
        rows = [
            row for row, use in zip(plan.rows, plan.cached, strict=True) if row >= 0 and (use or not dry_run)
        ]
        number_of = {row: number for number, row in enumerate(plan.rows)}
        found = {
            record.id: UpstreamValue(
                record.key, root, record.value, record.id, partial(tasks.parameters, number_of[record.id])
            )
            for record in self.store.index.records(rows)
            if record.status == DONE and record.value is not None
        }
        if not dry_run:
            return [found[row] for row in rows if row in found]
        return [
            (found.get(row) if use else None)
            or PendingValue(tasks.key(number), root, partial(tasks.parameters, number))
            for number, (row, use) in enumerate(zip(plan.rows, plan.cached, strict=True))
        ]

    def skip(self, matrix: Matrix, upstream: object) -> None:
        """Say that a matrix cannot run."""
        text = f"matrix {matrix.id!r} is not run: no task of matrix {upstream!r}, which it needs, succeeded"
        self.emit(Said(text, "warning"))

    def describe(self, session: Session, waiting: int = 0) -> None:
        """Say what would be run: all of it to the log, where somebody keeps one, and a page to people."""
        import logging

        from memento.runner.dry_run import plan_lines

        lines = plan_lines(session, waiting)
        log = logging.getLogger("memento")
        log.info("Running configurations:")
        if log.isEnabledFor(logging.INFO):  # a million configurations that nobody reads are not built
            for number in range(session.plan.total):
                log.info("  %s: %s", session.shown.config(number), session.plan.reason(number))
        log.info("%s", lines[0])
        log.info("Exiting due to dry run")
        self.emit(Said("\n".join([*lines, "Exiting due to dry run"])))

    def sum_up(self, sessions: Sequence[Session]) -> None:
        """Tell the end of several matrices as one."""
        ended = [session.finished for session in sessions if session.finished is not None]
        self.emit(
            RunFinished(
                experiment=self._experiment,
                store=self.store.root,
                total=sum(e.total for e in ended),
                done=sum(e.done for e in ended),
                cached=sum(e.cached for e in ended),
                failed=sum(e.failed for e in ended),
                elapsed=sum(e.elapsed for e in ended),
                interrupted=any(e.interrupted for e in ended),
                left=sum(e.left for e in ended),
                groups=tuple(group for e in ended for group in e.groups),
                warned=tuple(group for e in ended for group in e.warned),
                notes=tuple(dict.fromkeys(note for e in ended for note in e.notes)),
            )
        )


def hand_over(sessions: Sequence[Session], on_error: str) -> list[Results]:
    """Return what sessions of one call have computed; raise what the caller has to know of their ends."""
    from memento.results.results import Results

    every = [Results.of_plan(session.store, session.matrix, session.plan) for session in sessions]
    if any(session.stopped for session in sessions):
        _end_by_signal(sessions)
        left = sum(session.plan.unfinished for session in sessions)
        _interrupt(f"{number_of(left, 'task')} left")
    failed = [results for session, results in zip(sessions, every, strict=True) if session.failed]
    if failed and on_error == "raise":
        errors = [error for results in failed for error in results.errors()]
        report = "\n\n".join(str(results.failures) for results in failed if len(results.failures))
        if not errors:
            # Computed again by force_run and failed: the results from before stand, and it must still be said.
            groups = [group for session in sessions if session.finished for group in session.finished.groups]
            errors = [TaskError(f"{group.title} with {group.config}") for group in groups]
            report = "\n".join(f"{group.count} tasks: {group.title}\n{group.traceback}" for group in groups)
        raise AggregateException(errors, every[0] if len(every) == 1 else every, report)
    cancelled = sum(session.cancelled for session in sessions)
    if cancelled and on_error == "raise":
        _interrupt(f"{number_of(cancelled, 'task')} cancelled by a command")
    return every


def _end_by_signal(sessions: Sequence[Session]) -> None:
    """End as a signal other than that of Ctrl-C would have ended the program."""
    for session in sessions:
        number = session.interrupt.signal if session.interrupt is not None else None
        if number is not None and number.name != "SIGINT":
            raise SystemExit(128 + number)


def _interrupt(what: str) -> NoReturn:
    from memento.runner.signals import end_quietly

    end_quietly()
    raise RunInterrupted(f"{what}; run it again to compute what is missing")
