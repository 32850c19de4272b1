"""Say what a run would do: what varies, how many tasks of each kind, what these have in common, some of each.

Knows: sessions and their plans. May not know: who reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress, islice, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.config import config_text, short_text
from memento.wording import duration, number_of, one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.results.parameters import Axis
    from memento.runner.session import Session

_LINES = 30  # a plan that scrolls away tells nothing
_WIDTH = 200  # characters of a line
# Parameters that are told, values of one that are told in full, else the first.
_AXES, _VALUES, _FIRST = (12, 12, 3)
_EXAMPLES = 4  # tasks of each kind


class Varies(NamedTuple):
    """A parameter of which tasks have different values."""

    name: str
    count: int  # type: ignore[assignment]  # of values; hides tuple.count
    texts: tuple[str, ...]  # of the first values
    given: str = ""  # how they were declared, where that says more


class Kind(NamedTuple):
    """Tasks that will, or will not, be run for one reason."""

    reason: str
    count: int  # type: ignore[assignment]
    rule: str  # what they have in common, and no others; "" where nothing tells
    is_run: bool
    numbers: Callable[[], Iterator[int]]


class Planned:
    """What a run would do; as a text, a page that says so.

    Attributes
    ----------
    headline : str
        How many tasks there are of each kind, and how long they may take.
    total : int
        How many tasks there are.
    kinds : list of Kind
        The reasons for which tasks are run or not; what is run comes first.
    axes : list of Varies
        What varies.
    constants : dict
        What is the same in all tasks.
    seconds : float or None
        How long it may take on so many `workers`; None where that is not known.
    fits : int or None
        How many tasks would have ended at the deadline that was given; None without one, or where nothing tells.
    """

    def __init__(self, session: Session, waiting: int = 0) -> None:
        self._session, self._waiting = session, waiting
        plan, options = session.plan, session.options
        self._gpus = ""  # what is to be said of those that tasks need
        if len(plan.todo) and (options.gpus_per_task or options.gpu_memory):
            from memento.runner.gpu_places import planned

            options, self._gpus = planned(options, len(plan.todo))
        self.total, self.workers = plan.size, options.num_workers
        self.seconds = plan.time_on(self.workers)
        self.fits: int | None = None
        if session.options.deadline is not None and len(plan.todo):
            from memento.runner.tasks_that_fit import what_fits

            self.fits = what_fits(plan, session.options)
        self.axes, self.constants, finder = self._varies()
        self.kinds = list(self._kinds(finder))
        self.headline = self._head()

    def _numbers(self) -> Iterator[int]:
        """Yield the tasks that the plan is about."""
        plan = self._session.plan
        return compress(range(plan.total), plan.asked or repeat(1))

    # -- what varies

    def _varies(self) -> tuple[list[Varies], dict[str, str], list[Axis]]:
        import numpy as np

        tasks, numbers = self._session.shown, np.fromiter(self._numbers(), dtype=np.int64)
        shown = set(tasks.shown)
        axes = [axis for axis in tasks.axes(numbers) if axis.name in shown]
        axes += [tasks.repeat_axis(numbers)] if tasks.repeats > 1 else []
        varies, constants = [], {}
        for axis in axes:
            used = np.unique(axis.codes)
            values = used[used >= 0]
            many = len(values) > _VALUES
            texts = tuple(self._text(axis, int(slot)) for slot in (values[:_FIRST] if many else values))
            texts += ("...", self._text(axis, int(values[-1]))) if many else ()
            if len(used) > 1:
                varies.append(Varies(axis.name, len(values), texts, self._given(axis, values)))
            elif texts:
                constants[axis.name] = texts[0]
        return varies, constants, axes

    def _given(self, axis: Axis, slots: NDArray[np.int32]) -> str:
        """Name the range or scale that all these values of a parameter come from; "" where there is none."""
        for name, numbers in self._session.matrix.ranges:
            if name == axis.name:
                own = {(type(number), number) for number in numbers}
                values = (axis.values[slot] for slot in slots)
                if all(isinstance(v, (int, float)) and (type(v), v) in own for v in values):
                    return repr(numbers)
        return ""

    @staticmethod
    def _text(axis: Axis, slot: int) -> str:
        return one_line(axis.parameter.text(slot), 60)

    # -- of which kinds there are how many

    def _kinds(self, axes: Sequence[Axis]) -> Iterator[Kind]:
        plan = self._session.plan
        kinds = bytes(state + 128 * cached for state, cached in zip(plan.states, plan.cached, strict=True))
        own = bytes(compress(kinds, plan.asked)) if plan.asked is not None else kinds
        counts: dict[str, list[int]] = {}
        for kind in sorted(set(own)):
            counts.setdefault(plan.reason(kinds.index(kind)), []).append(kind)
        rules = _Rules(axes, own) if len(counts) > 1 else None
        for reason, of in counts.items():
            total = sum(map(own.count, of))
            rule = rules.of(of) if rules is not None and total > 1 else ""

            def numbers(of: Sequence[int] = of) -> Iterator[int]:
                return (number for number in self._numbers() if kinds[number] in of)

            yield Kind(reason, total, rule, of[0] < 128, numbers)

    def _head(self) -> str:
        session, workers = self._session, self.workers
        plan = session.plan
        usual = {"cached": plan.hits, "failed before": 0, "new": 0}  # told also where there are none
        usual |= {kind.reason: kind.count for kind in self.kinds if kind.is_run}
        parts = [f"{total:,} {reason}" for reason, total in usual.items()]
        name = session.matrix.id
        of = "" if name is None else f" of matrix {short_text(name, 40)!r}"
        told, whole = number_of(plan.size, "configuration"), session.tasks.whole
        if plan.asked is not None:
            told = f"{plan.size:,} of {number_of(plan.total, 'configuration')} (chosen)"
        elif whole > plan.total:
            told = f"{plan.total:,} of {number_of(whole, 'configuration')} (sample)"
        text = f"{told}{of}: {', '.join(parts)}"
        if self.seconds is not None:
            text += f"; about {duration(self.seconds)} on {number_of(workers, 'worker')}"
        elif len(plan.todo):
            text += f"; on {number_of(workers, 'worker')}, how long is not known yet"
        return text

    def _told_deadline(self) -> Iterator[str]:
        deadline, todo = self._session.options.deadline, len(self._session.plan.todo)
        if deadline is None or not todo:
            return
        if deadline.left_for_tasks() <= 0:
            yield f"  deadline: {deadline.text()} is past, so nothing would be run"
            return
        rest = "how many tasks fit is not known yet, so all of them may be started"
        if self.fits is not None:
            rest = f"about {self.fits:,} of {number_of(todo, 'task')} fit"
        yield f"  deadline: {deadline.text()}, in {duration(deadline.left())}; {rest}"

    # -- as lines

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, *, every: bool = False) -> list[str]:
        """Return it as at most 30 lines, the first of which sums it up; with `every`, all tasks instead of a few."""
        gpus = [f"  GPUs: {self._gpus}"] if self._gpus else []
        lines = [self.headline, *self._told_deadline(), *gpus, *self._told_axes()]
        if self._waiting:
            lines.append(
                f"  {number_of(self._waiting, 'result')} that it needs of other matrices: not computed yet,"
            )
            lines.append("  so rules about what they return are left out here")
        room = _LINES - len(lines) - sum(2 + bool(kind.rule) for kind in self.kinds) - 1
        for left, kind in zip(range(len(self.kinds), 0, -1), self.kinds, strict=True):
            shown = kind.count if every else min(kind.count, max(min(room // left, _EXAMPLES), 1))
            room -= shown
            lines.append(f"  {kind.reason}: {kind.count:,}")
            lines += [f"    {one_line(kind.rule, _WIDTH)}"] if kind.rule else []
            lines += [f"    {self.named(number)}" for number in islice(kind.numbers(), shown)]
            lines += [f"    ... and {kind.count - shown:,} more"] if kind.count > shown else []
        return lines

    def named(self, number: int) -> str:
        """Name a task by its parameters."""
        return one_line(config_text(self._session.shown.config(number)), _WIDTH)

    def _told_axes(self) -> Iterator[str]:
        for name, values, texts, given in self.axes[:_AXES]:
            of = f" of {given}" if given else ""
            told = f"{name}: {', '.join(texts)} ({number_of(values, 'value')}{of})"
            yield f"  {one_line(told, _WIDTH)}"
        if len(self.axes) > _AXES:
            yield f"  and {number_of(len(self.axes) - _AXES, 'other parameter')} that vary"
        if self.constants and self.axes:
            same = ", ".join(f"{name}={text}" for name, text in self.constants.items())
            yield f"  the same in all: {one_line(same, _WIDTH)}"

    def as_dict(self, *, every: bool = False) -> dict[str, Any]:
        """Return it as plain data, with some tasks of each kind, or every one."""
        session = self._session
        changes = session.code.explain(session.plan, "") if session.plan.stale_codes else ""
        return {
            "experiment": session.experiment,
            "store": str(session.store.location),
            "total": self.total,
            "whole": session.tasks.whole,
            "cached": session.plan.hits,
            "to_run": len(session.plan.todo),
            "workers": self.workers,
            "seconds": self.seconds,
            "deadline": None if session.options.deadline is None else session.options.deadline.moment,
            "fits": self.fits,
            "varies": [axis._asdict() for axis in self.axes],
            "constants": self.constants,
            "kinds": [self._kind_as_dict(kind, None if every else _EXAMPLES) for kind in self.kinds],
            "code_changes": changes or None,
            "gpus": self._gpus or None,
        }

    def _kind_as_dict(self, kind: Kind, most: int | None) -> dict[str, Any]:
        numbers = list(islice(kind.numbers(), most))
        keys = self._session.tasks.keys_of(numbers)
        return {
            "reason": kind.reason,
            "runs": kind.is_run,
            "count": kind.count,
            "rule": kind.rule or None,
            "tasks": [
                {"key": key.hex(), "parameters": self.named(number)}
                for key, number in zip(keys, numbers, strict=True)
            ],
        }


class _Rules:
    """Says what tasks of some kinds have in common against all others."""

    def __init__(self, axes: Sequence[Axis], kinds: bytes) -> None:
        import numpy as np

        self._axes, self._kinds = axes, np.frombuffer(kinds, dtype=np.uint8)

    def of(self, kinds: Sequence[int]) -> str:
        """Return the rule; "" where nothing tells."""
        import numpy as np

        from memento.results.rules import RuleFinder

        own: NDArray[np.bool_] = np.isin(self._kinds, kinds)
        rule = RuleFinder(self._axes, ~own, ("other task", "other tasks")).rule(np.flatnonzero(own))
        return "" if rule is None else str(rule)
