"""What one call of `run` or `run_all` opens and closes: store, display, notifier.

Knows: sessions, and who listens to them. May not know: what the user typed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.display import make_display
from memento.events import Event, RunFinished, Said
from memento.runner.options import Options
from memento.runner.session import Session
from memento.store import Store

if TYPE_CHECKING:
    from memento.matrix import Matrix
    from memento.notify import NotificationProvider, Notifier
    from memento.runner.adopting import Adopted
    from memento.store.upstream import UpstreamValue


class Cast(NamedTuple):
    """Who runs, and who is told: what `Memento` was made with."""

    function: Callable[..., Any]
    experiment: str
    options: Options
    provider: NotificationProvider | None
    progress: bool | None


class Stage:
    """Opens a store, and tells displays and notifiers what sessions over it do.

    Parameters
    ----------
    cast : Cast
        Who runs, and who is told.
    store : str
        The store's folder.
    """

    def __init__(self, cast: Cast, store: str) -> None:
        self._cast, self._path = cast, store

    def __enter__(self) -> Stage:
        self.store = Store.open(self._path)
        self._display = make_display(self._cast.progress)
        self._display.__enter__()
        self._notifier = None if self._cast.provider is None else self._make_notifier(self._cast.provider)
        for note in (*self.store.notes, self._cast.options.note):
            if note:
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

    def _make_notifier(self, provider: NotificationProvider) -> Notifier:
        from memento.notify import Notifier

        return Notifier(provider)

    def emit(self, event: Event) -> None:
        """Tell everybody."""
        self._display.listen(event)
        if self._notifier is not None:
            self._notifier.listen(event)

    def session(self, matrix: Matrix, *, force_run: bool, force_cache: bool, waiting: int = 0) -> Session:
        """Plan a matrix; some of the results that it takes may not be computed yet, in a dry run."""
        cast = self._cast
        options = cast.options._replace(force_run=force_run, force_cache=force_cache)
        session = Session(cast.function, cast.experiment, matrix, self.store, options, self.emit)
        session.announce(of_matrix=not waiting)  # what rules about unknown values match is not known either
        return session

    def adopt(self, matrix: Matrix, verify: int) -> Adopted:
        """Say what has changed in the code, and accept it."""
        from memento.runner.adopting import adopt

        cast = self._cast
        session = Session(cast.function, cast.experiment, matrix, self.store, cast.options, self.emit)
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

        from memento.runner.planned import logged, plan_lines

        lines = plan_lines(session, waiting)
        log = logging.getLogger("memento")
        log.info("Running configurations:")
        if log.isEnabledFor(logging.INFO):  # a million configurations that nobody reads are not built
            for number in range(session.plan.total):
                log.info("%s", logged(session, number))
        log.info("%s", lines[0])
        log.info("Exiting due to dry run")
        self.emit(Said("\n".join([*lines, "Exiting due to dry run"])))

    def sum_up(self, sessions: Sequence[Session]) -> None:
        """Tell the end of several matrices as one."""
        ended = [session.finished for session in sessions if session.finished is not None]
        self.emit(
            RunFinished(
                experiment=self._cast.experiment,
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
