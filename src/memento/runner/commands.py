"""Carry out what another process asks of a live run, and say what was done and how to undo it.

Knows: the runner's own methods, how tasks are named. May not know: how commands come, who hears of them.

    pause    start nothing more; what runs goes on to its end     resume   undo it
    stop     end the run when what runs has ended
    cancel   do not compute these tasks: what runs of them is stopped, they count as not done, the rest goes on
    first    compute these tasks before all others that wait
    resize   run so many tasks at once

Tasks are named by their keys, or beginnings of these, and by their parameters' values; both together narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from memento.wording import number_of

if TYPE_CHECKING:
    from memento.executors.base import Executor
    from memento.index.types import Command
    from memento.plan.plan import Plan


class Done(NamedTuple):
    """What became of a command."""

    text: str
    undo: str = ""
    done: bool = True  # False: it was refused
    numbers: Sequence[int] = ()  # of the tasks that it was about


class Steered(Protocol):
    """What commands need of a run: `runner.loop.Runner` has it."""

    plan: Plan
    executor: Executor
    paused: bool  # nothing more is started, for now

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is started, for good."""

    def pause(self) -> int:
        """Start nothing more; return how many tasks are at work."""

    def resume(self) -> None:
        """Start tasks again."""

    def stop(self, *, running: bool) -> None:
        """Start nothing more, and end; with `running` ask what runs to stop too."""

    def cancel(self, numbers: Collection[int], /) -> tuple[list[int], int]:
        """Take tasks out of the run; return which these are, and how many of them were at work."""

    def put_first(self, numbers: Collection[int], /) -> list[int]:
        """Put tasks that wait before all others; return which these are."""

    def resize(self, workers: int, /) -> int:
        """Run so many tasks at once; return how many it were before."""


def carry_out(run: Steered, command: Command) -> Done:
    """Do what a command says."""
    action = _ACTIONS.get(command.kind)
    if action is None:
        return _refused(f"there is no command {command.kind!r}; there are: {', '.join(_ACTIONS)}")
    if run.is_stopping:
        return _refused("the run is stopping already")
    try:
        return action(run, command.arguments)
    except ValueError as problem:  # of what was asked: no such parameter, no such value
        return _refused(str(problem))


def _refused(why: str) -> Done:
    return Done(why, done=False)


def _pause(run: Steered, _: Mapping[str, Any]) -> Done:
    if run.paused:
        return _refused("it is paused already")
    running = run.pause()
    rest = f", and {number_of(running, 'running task')} may finish" if running else ""
    return Done(f"paused: nothing more is started{rest}", "resume")


def _resume(run: Steered, _: Mapping[str, Any]) -> Done:
    if not run.paused:
        return _refused("it is not paused")
    run.resume()
    return Done("it goes on", "pause")


def _stop(run: Steered, _: Mapping[str, Any]) -> Done:
    run.stop(running=False)
    return Done("nothing more is started, and the run ends when what runs has ended", "run it again")


def _cancel(run: Steered, arguments: Mapping[str, Any]) -> Done:
    numbers, running = run.cancel(matching(run.plan, arguments))
    if not numbers:
        return _refused("all of these tasks have finished")
    stopped = f", {running} of them while at work" if running else ""
    text = f"{number_of(len(numbers), 'task')} cancelled{stopped}: not done in this run, but by the next"
    return Done(text, "run it again", numbers=numbers)


def _first(run: Steered, arguments: Mapping[str, Any]) -> Done:
    numbers = run.put_first(matching(run.plan, arguments))
    if not numbers:
        return _refused("none of these tasks is waiting")
    return Done(
        f"{number_of(len(numbers), 'task')} put before all others", "first, with others", numbers=numbers
    )


def _resize(run: Steered, arguments: Mapping[str, Any]) -> Done:
    workers = arguments.get("workers")
    if type(workers) is not int or workers < 1:
        return _refused(f"the number of workers must be a whole number above 0, got {workers!r}")
    if not run.executor.resizable:
        return _refused(f"executor={run.executor.name!r} cannot change its number of workers during a run")
    before = run.resize(workers)
    return Done(f"{number_of(workers, 'worker')} from now on, instead of {before}", f"resize to {before}")


_ACTIONS: dict[str, Callable[[Steered, Mapping[str, Any]], Done]] = {
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
    "cancel": _cancel,
    "first": _first,
    "resize": _resize,
}


def matching(plan: Plan, arguments: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the tasks that a command names, one for each key, in the plan's order.

    Raises ValueError where no task of the run can be meant.
    """
    keys, parameters = arguments.get("keys") or (), arguments.get("parameters") or {}
    if not keys and not parameters:
        raise ValueError("it does not say which tasks: give keys, or parameters and their values")
    found = range(plan.total) if not keys else _of_keys(plan, keys)
    if parameters:
        found = _of_parameters(plan, found, parameters)
    first_of = {twin: first for first, twins in plan.twins.items() for twin in twins}
    wanted = {first_of.get(number, number) for number in found}
    return [number for number in plan.todo if number in wanted]


def _of_keys(plan: Plan, keys: Iterable[str]) -> list[int]:
    beginnings = {key.lower() for key in keys}
    lengths = {len(key) for key in beginnings}
    met: set[str] = set()
    found = []
    for number, key in enumerate(plan.tasks.each_key()):
        text = key.hex()
        own = {text[:length] for length in lengths} & beginnings
        if own:
            met |= own
            found.append(number)
    for unmet in sorted(beginnings - met):
        raise ValueError(f"no task of this run has a key that begins with {unmet!r}")
    return found


def _of_parameters(plan: Plan, numbers: Iterable[int], parameters: Mapping[str, Any]) -> list[int]:
    import numpy as np

    from memento.results.advice import unknown
    from memento.results.filter import matches
    from memento.results.parameters import Tasks

    among = np.fromiter(numbers, dtype=np.int64)
    tasks = Tasks(plan.tasks.matrix, plan.tasks.digests)
    axes = {axis.name: axis for axis in tasks.axes(among)}
    axes.setdefault("repeat", tasks.repeat_axis(among))
    chosen = np.ones(len(among), dtype=bool)
    for name, value in parameters.items():
        if name not in axes:
            raise ValueError(unknown("parameter", name, [*axes]))
        chosen &= matches(axes[name], value)
    return [int(number) for number in among[chosen]]
