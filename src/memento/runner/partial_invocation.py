"""A call of `run` or `run_all` in a process that was started for some of its tasks alone.

Knows: what is asked for, sessions. May not know: who asks.

A script gets from each run what it would get from a usual one, as long as there is all of that. It is ended after the
run that has had the last of the tasks asked for, where other tasks have no results: what a script does with half of a
table, be it an error or a figure that looks whole, helps nobody. Runs before that one return what there is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from memento.errors import MementoError
from memento.runner.asked_for import Answer, AskedFor, Nothing, Selection, asked_for
from memento.runner.invocation import Invocation, LastRun
from memento.runner.listeners import Listeners
from memento.runner.options import Options
from memento.runner.session import Session
from memento.store.location import Location

if TYPE_CHECKING:
    from memento.plan.plan import Plan


def partial(
    function: Callable[..., Any],
    experiment: str,
    options: Options,
    store: Location,
    listeners: Listeners,
    last: LastRun,
    ids: Sequence[Any] | None = None,
) -> Invocation:
    """Return an invocation that computes what this process is asked for; everything, where nothing is."""
    asked = asked_for()
    if isinstance(asked, AskedFor):
        return PartialInvocation(asked, function, experiment, options, store, listeners, last, ids)
    if isinstance(asked, Nothing):
        asked.choose()  # refuses, before a store is made
    if isinstance(asked, Selection):
        options = options._replace(only=asked.choose)
    return Invocation(function, experiment, options, store, listeners, last, ids)


class Ended(MementoError):
    """The script is ended here, in a thread or process of its own, where `SystemExit` might be lost."""


def _can_end_here() -> bool:
    """Tell whether `SystemExit` ends the script: in workers of a pool it ends only these, and the pool waits on."""
    import multiprocessing

    is_main = threading.current_thread() is threading.main_thread()
    return is_main and multiprocessing.parent_process() is None


class PartialInvocation(Invocation):
    """Computes the tasks that are asked for, and no other."""

    def __init__(
        self,
        asked: AskedFor,
        function: Callable[..., Any],
        experiment: str,
        options: Options,
        store: Location,
        listeners: Listeners,
        last: LastRun,
        ids: Sequence[Any] | None = None,
    ) -> None:
        self._asked, self._had = asked, list[Session]()
        options = asked.applied(options)._replace(only=self._choose)
        if asked.request.look:
            from memento.executors.serial import Serial
            from memento.worker.post_mortem import caught

            # Its output is the terminal's, and nothing ends it while somebody looks at it.
            options = options._replace(
                executor=Serial(caught=caught(debug=asked.request.debug)),
                num_workers=1,
                retries=0,
                timeout=None,
                log_output=False,
                force_run=False,  # a result that is there stays, whatever the script would do with it
                on_code_change="warn" if options.on_code_change == "rerun" else options.on_code_change,
            )
            listeners = Listeners(False)
        self._executor = options.executor
        super().__init__(function, experiment, options, store, listeners, last, ids)

    def _choose(self, plan: Plan) -> Iterable[int]:
        """Return the numbers of a plan's tasks that are asked for: none over another store."""
        is_meant = os.path.realpath(self.store.root) == os.path.realpath(self._asked.request.store)
        return self._asked.choose(plan) if is_meant else ()

    def __enter__(self) -> Invocation:
        self._asked.begin(self._executor)
        try:
            return super().__enter__()
        except BaseException:
            self._asked.end()
            raise

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._asked.end()
            self._tell()

    def run(self, session: Session, notify: bool = False) -> None:
        """Carry out a session's plan; where its task is there and only to be looked at, beside the store."""
        self._had.append(session)
        plan = session.plan
        there = [number for number in range(plan.total) if plan.asked and plan.asked[number]]
        if not self._asked.request.look or not there or not plan.cached[there[0]]:
            super().run(session, notify)
            return
        from memento.runner.adopting import computed_again

        differences = list(computed_again(session, there[:1], lambda event: None))
        told = {"before": differences[0].before, "now": differences[0].now} if differences else {}
        self._asked.tell(Answer(compared=told))
        session.plan = plan._replace(todo=plan.todo[:0])
        super().run(session, False)

    def hand_over(self, on_error: str) -> Any:
        """Return what a usual call would, if there is all of that; else end the script, or return what there is."""
        __tracebackhide__ = True
        if not self._left_out and not self._asked.request.look:
            return super().hand_over(on_error)
        results = super().hand_over("return")
        if self._asked.is_over:
            failed = any(session.finished.failed for session in self._had if session.finished is not None)
            self._tell(ended=True)
            if _can_end_here():
                raise SystemExit(1 if failed else 0)
            raise Ended("the tasks that are asked for are computed, and this script is ended here.")
        return results

    @property
    def _left_out(self) -> int:
        return sum(session.plan.left_out for session in self._had)

    def _tell(self, *, ended: bool = False) -> None:
        compared = self._asked.answer.compared
        self._asked.tell(Answer(left_out=self._left_out, ended=ended, compared=compared))
