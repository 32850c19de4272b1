"""One call of `run`, `run_all` or `adopt`: a store, those who listen, and sessions over both.

Knows: sessions, and who listens to them. May not know: what the user typed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from memento.errors import AggregateException, RunInterrupted, TaskError
from memento.events import RunFinished, Said
from memento.runner.listeners import Listeners
from memento.runner.options import Options
from memento.runner.session import Session
from memento.store.store import Store
from memento.wording import number_of

if TYPE_CHECKING:
    from typing import TypeVar

    from memento.matrix.matrix import Matrix
    from memento.results.results import Results
    from memento.runner.adopting import Adopted

    _Form = TypeVar("_Form")


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
        self._function, self.experiment, self._options = function, experiment, options
        self._path, self._listeners = store, listeners
        self.emit = listeners.emit
        self._made: list[Session] = []

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

    def _session(self, matrix: Matrix) -> Session:
        options = self._options
        if options.max_failures is not None:  # of one call, over all its matrices
            failed = sum(session.failures for session in self._made)
            options = options._replace(max_failures=options.max_failures - failed)
        session = Session(
            self._function,
            self.experiment,
            matrix,
            self.store,
            options,
            self.emit,
            name_tasks=self._listeners.name_tasks,
        )
        self._made.append(session)
        return session

    def session(self, matrix: Matrix, *, announce: bool = True) -> Session:
        """Plan a matrix; say what its checks have to say, if asked."""
        session = self._session(matrix)
        session.announce(of_matrix=announce)
        return session

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
                experiment=self.experiment,
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
                how_to_go_on="\n".join(e.how_to_go_on for e in ended if e.how_to_go_on),
                notes=tuple(dict.fromkeys(note for e in ended for note in e.notes)),
            )
        )


def hand_over(sessions: Sequence[Session], on_error: str, form: Callable[[list[Results]], _Form]) -> _Form:
    """Return what sessions of one call have computed, in this form; raise what the caller has to know of their ends."""
    every = _results_of(sessions)
    for session in sessions:
        if session.full is not None:
            raise session.full
    if any(session.stopped for session in sessions):
        _end_by_signal(sessions)
        left = sum(session.plan.unfinished for session in sessions)
        _interrupt(f"{number_of(left, 'task')} left")
    ended = [(session.finished, results) for session, results in zip(sessions, every, strict=True)]
    failed = [results for finished, results in ended if finished is not None and finished.failed]
    if failed and on_error == "raise":
        errors = [error for results in failed for error in results.errors()]
        report = "\n\n".join(str(results.failures) for results in failed if len(results.failures))
        if not errors:
            # Computed again by force_run and failed: the results from before stand, and it must still be said.
            groups = [group for session in sessions if session.finished for group in session.finished.groups]
            errors = [TaskError(f"{group.title} with {group.config}") for group in groups]
            report = "\n".join(f"{group.count} tasks: {group.title}\n{group.traceback}" for group in groups)
        for session in sessions:
            if session.is_hopeless and session.finished and session.finished.how_to_go_on:
                report += f"\n\n{session.finished.how_to_go_on}"
        raise AggregateException(errors, form(every), report)
    cancelled = sum(session.cancelled for session in sessions)
    if cancelled and on_error == "raise":
        _interrupt(f"{number_of(cancelled, 'task')} cancelled by a command")
    return form(every)


def _results_of(sessions: Sequence[Session]) -> list[Results]:
    """Return the results of sessions, each of which knows those that its tasks took."""
    from memento.results.results import Results

    by_id: dict[str, Results] = {}
    for session in sessions:
        taken = {str(one): by_id[str(one)] for one in session.matrix.dependencies if str(one) in by_id}
        by_id[str(session.matrix.id)] = Results.of_plan(session.store, session.matrix, session.plan, taken)
    return list(by_id.values())


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
