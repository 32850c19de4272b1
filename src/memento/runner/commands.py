"""Carry out what another process asks of a live run, and say what was done and how to undo it.

Knows: the runner's own methods, how tasks are named. May not know: how commands come, who hears of them.

    pause    start nothing more; what runs goes on to its end     resume   undo it
    stop     end the run when what runs has ended; or now: what runs is stopped
    cancel   do not compute these tasks: what runs of them is stopped, they count as not done, the rest goes on
    first    compute these tasks before all others that wait
    resize   run so many tasks at once

Tasks are named by their keys, or beginnings of these that are one task's only, and by their parameters' values; both
together narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from memento.events import CommandTaken, Said
from memento.wording import number_of

if TYPE_CHECKING:
    from memento.executors.base import Executor
    from memento.index.types import Command
    from memento.plan.plan import Plan


_AGAIN = "run it again"
_NAMED = 1_000  # tasks that the account of a command names


class Done(NamedTuple):
    """What became of a command."""

    text: str
    undo: str = ""
    done: bool = True  # False: it was refused
    numbers: Sequence[int] = ()  # of the tasks that it was about


class Steered(Protocol):
    """What commands need of a run: `runner.loop.Runner` has it, and says what each does."""

    plan: Plan
    executor: Executor
    paused_by: str
    cancelled: set[int]

    @property
    def is_stopping(self) -> bool: ...
    def at_work(self) -> Sequence[object]: ...
    def pause(self, by: str) -> None: ...
    def resume(self) -> None: ...
    def stop(self, *, running: bool) -> None: ...
    def cancel(self, numbers: Collection[int], /) -> tuple[list[int], int]: ...
    def put_first(self, numbers: Collection[int], /) -> list[int]: ...
    def resize(self, workers: int, /) -> int: ...


def carry_out(run: Steered, command: Command) -> Done:
    """Do what a command says."""
    action = _ACTIONS.get(command.kind)
    if action is None:
        return _refused(f"there is no command {command.kind!r}; there are: {', '.join(_ACTIONS)}")
    if run.is_stopping and not (command.kind == "stop" and command.arguments.get("now")):
        return _refused("the run is stopping already")
    try:
        return action(run, command)
    except ValueError as problem:  # of what was asked: no such parameter, no such value
        return _refused(str(problem))


def told(command: Command, done: Done, plan: Plan) -> tuple[CommandTaken, Said]:
    """Return what listeners hear of a command, and what people read."""
    few = done.numbers if len(done.numbers) <= _NAMED else ()
    keys = tuple(plan.tasks.key(number).hex() for number in few)
    what = done.text if done.done else f"refused: {done.text}"
    taken = CommandTaken(command.kind, command.sender, done.text, done.undo, done.done, keys)
    return taken, Said(f"Command {_typed(command)} by {command.sender}: {what}")


def _typed(command: Command) -> str:
    """Return a command as it is typed: a stop that waits for nothing is `memento cancel --all`."""
    return "cancel --all" if command.kind == "stop" and command.arguments.get("now") else command.kind


def _refused(why: str) -> Done:
    return Done(why, done=False)


def _pause(run: Steered, command: Command) -> Done:
    if run.paused_by:
        return _refused(f"it is paused already, by {run.paused_by}: `memento resume` has it go on")
    run.pause(command.sender or "somebody")
    running = len(run.at_work())
    rest = f", and {number_of(running, 'running task')} may finish" if running else ""
    return Done(f"paused: nothing more is started{rest}", "resume")


def _resume(run: Steered, _: Command) -> Done:
    if not run.paused_by:
        return _refused("it is not paused")
    run.resume()
    return Done("it goes on", "pause")


def _stop(run: Steered, command: Command) -> Done:
    if not command.arguments.get("now"):
        run.stop(running=False)
        return Done("nothing more is started, and the run ends when what runs has ended", _AGAIN)
    running = len(run.at_work())
    run.stop(running=True)
    rest = f": {number_of(running, 'running task')} may save what there is so far" if running else ""
    return Done(f"the run ends now{rest}", _AGAIN)


def _cancel(run: Steered, command: Command) -> Done:
    chosen = matching(run.plan, command.arguments)
    numbers, running = run.cancel(chosen)
    if not numbers:
        return _refused(_nothing_left(run, chosen))
    stopped = f", {running} of them while at work" if running else ""
    text = f"{number_of(len(numbers), 'task')} cancelled{stopped}: not done in this run, but by the next"
    return Done(text, _AGAIN, numbers=numbers)


def _first(run: Steered, command: Command) -> Done:
    chosen = matching(run.plan, command.arguments)
    numbers = run.put_first(chosen)
    if not numbers:
        elsewhere = "" if run.cancelled.issuperset(chosen) else ", or another run computes them"
        return _refused(f"{_nothing_left(run, chosen)}{elsewhere}")
    return Done(
        f"{number_of(len(numbers), 'task')} put before all others", "first, with others", numbers=numbers
    )


def _nothing_left(run: Steered, chosen: Sequence[int]) -> str:
    """Say why there is nothing to do about these tasks."""
    cancelled = run.cancelled.intersection(chosen)
    if cancelled and len(cancelled) == len(chosen):
        return "all of these tasks were cancelled already: run it again to compute them"
    return f"all of these tasks have finished{' or were cancelled' if cancelled else ''}"


def _resize(run: Steered, command: Command) -> Done:
    workers = command.arguments.get("workers")
    if type(workers) is not int or workers < 1:
        return _refused(f"the number of workers must be a whole number above 0, got {workers!r}")
    if not run.executor.resizable:
        return _refused(f"executor={run.executor.name!r} cannot change its number of workers during a run")
    before = run.resize(workers)
    return Done(f"{number_of(workers, 'worker')} from now on, instead of {before}", f"resize to {before}")


_ACTIONS: dict[str, Callable[[Steered, Command], Done]] = {
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
    first_of = {twin: first for first, twins in plan.twins.items() for twin in twins}
    wanted = {first_of.get(number, number) for number in named(plan, arguments)}
    return [number for number in plan.todo if number in wanted]


def named(plan: Plan, arguments: Mapping[str, Any]) -> Iterable[int]:
    """Return the numbers of all tasks of a plan that are named, finished or not; raises ValueError like `matching`."""
    keys, parameters = arguments.get("keys") or (), arguments.get("parameters") or {}
    texts = arguments.get("texts") or {}  # the same, as somebody has typed it: lists of texts
    if not keys and not parameters and not texts:
        raise ValueError("it does not say which tasks: give keys, or parameters and their values")
    found = range(plan.total) if not keys else _of_keys(plan, keys)
    return _of_parameters(plan, found, parameters, texts) if parameters or texts else found


def _of_keys(plan: Plan, keys: Iterable[str]) -> list[int]:
    beginnings = {key.lower() for key in keys}
    lengths = {len(key) for key in beginnings}
    met: dict[str, set[str]] = {}  # beginning -> the keys that begin so
    found = []
    for number, key in enumerate(plan.tasks.each_key()):
        text = key.hex()
        own = {text[:length] for length in lengths} & beginnings
        if own:
            found.append(number)
            for beginning in own:
                met.setdefault(beginning, set()).add(text)
    for beginning in sorted(beginnings):
        several = sorted(met.get(beginning, ()))
        if not several:
            raise ValueError(f"no task of this run has a key that begins with {beginning!r}")
        if len(several) > 1:
            some = ", ".join(several[:3]) + (", ..." if len(several) > 3 else "")
            raise ValueError(
                f"{len(several)} tasks' keys begin with {beginning!r} ({some}): give more digits"
            )
    return found


def _of_parameters(
    plan: Plan, numbers: Iterable[int], parameters: Mapping[str, Any], texts: Mapping[str, Sequence[str]]
) -> list[int]:
    import numpy as np

    from memento.results.advice import unknown
    from memento.results.filter import matches, matches_texts
    from memento.results.parameters import Tasks

    among = np.fromiter(numbers, dtype=np.int64)
    tasks = Tasks(plan.tasks.matrix, plan.tasks.digests)
    axes = {axis.name: axis for axis in tasks.axes(among)}
    axes.setdefault("repeat", tasks.repeat_axis(among))
    chosen = np.ones(len(among), dtype=bool)
    for name in (*parameters, *texts):
        if name not in axes:
            raise ValueError(unknown("parameter", name, [*axes]))
    for name, value in parameters.items():
        chosen &= matches(axes[name], value)
    for name, several in texts.items():
        chosen &= matches_texts(axes[name], several)
    return [int(number) for number in among[chosen]]
