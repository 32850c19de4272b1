"""What one call of `run` or `run_all` opens and closes: store, display, notifier.

Knows: sessions, and who listens to them. May not know: what the user typed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from memento.display import make_display
from memento.events import Event, RunFinished, Said
from memento.hints import TYPE_CHECKING, Any, NamedTuple
from memento.runner.options import Options
from memento.runner.session import Session
from memento.store import Store

if TYPE_CHECKING:
    from memento.matrix import Matrix
    from memento.notify import NotificationProvider, Notifier
    from memento.store.upstream import UpstreamValue

_SHOWN_CONFIGS = 50  # how many lines of a dry run go to the terminal; all go to the log


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

    def _make_notifier(self, provider: NotificationProvider) -> Notifier:
        from memento.notify import Notifier

        return Notifier(provider)

    def emit(self, event: Event) -> None:
        """Tell everybody."""
        self._display.listen(event)
        if self._notifier is not None:
            self._notifier.listen(event)

    def session(self, matrix: Matrix, *, force_run: bool, force_cache: bool) -> Session:
        """Plan a matrix."""
        cast = self._cast
        options = cast.options._replace(force_run=force_run, force_cache=force_cache)
        session = Session(cast.function, cast.experiment, matrix, self.store, options, self.emit)
        session.announce()
        return session

    def upstream(self, session: Session, dry_run: bool) -> list[UpstreamValue]:
        """Return the finished tasks of a session as parameter values of another matrix.

        A dry run has no values; each task's key is known all the same, and so are the keys of what depends on it.
        """
        from memento.store.records import DONE, Encoded
        from memento.store.upstream import UpstreamValue

        root, tasks = self.store.root, session.tasks
        if dry_run:
            nothing = Encoded("json", b"null", None, 4, "builtins:NoneType")
            return [
                UpstreamValue(tasks.key(n), root, nothing, parameters=partial(tasks.parameters, n))
                for n in range(len(tasks))
            ]
        rows = [row for row in session.plan.rows if row >= 0]
        number_of = {row: number for number, row in enumerate(session.plan.rows)}
        return [
            UpstreamValue(
                record.key, root, record.value, record.id, partial(tasks.parameters, number_of[record.id])
            )
            for record in self.store.records(rows)
            if record.status == DONE and record.value is not None
        ]

    def skip(self, matrix: Matrix, upstream: object) -> None:
        """Say that a matrix cannot run."""
        text = f"matrix {matrix.id!r} is not run: no task of matrix {upstream!r}, which it needs, succeeded"
        self.emit(Said(text, "warning"))

    def describe(self, session: Session) -> None:
        """Log what would be run."""
        import logging

        from memento.results.axes import Tasks
        from memento.wording import duration, number_of

        log = logging.getLogger("memento")
        plan = session.plan
        log.info("Running configurations:")
        lines, tasks = [], Tasks(session.matrix)
        listed = plan.total if log.isEnabledFor(logging.INFO) else min(plan.total, _SHOWN_CONFIGS)
        for number in range(listed):  # a million configurations that nobody reads are not built
            line = f"  {tasks.config(number)}: {plan.reason(number)}"
            log.info("%s", line)
            if number < _SHOWN_CONFIGS:
                lines.append(line)
        cached, failed = plan.hits, plan.failed_before
        new = plan.total - cached - failed
        head = f"{plan.total} configurations: {cached} cached, {failed} failed before, {new} new"
        if plan.forecast is not None:
            workers = session.options.num_workers
            head += f"; about {duration(plan.forecast / workers)} on {number_of(workers, 'worker')}"
        log.info("%s", head)
        log.info("Exiting due to dry run")
        more = [f"  ... and {plan.total - len(lines)} more"] if plan.total > len(lines) else []
        self.emit(Said("\n".join([head, *lines, *more, "Exiting due to dry run"])))

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
            )
        )
