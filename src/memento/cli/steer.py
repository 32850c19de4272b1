"""`memento pause`, `resume`, `stop`, `cancel`, `first`, `resize`: steer a run that goes on in another process.

Knows: how a run is asked, and what it answers. May not know: how it does what it is asked.

Exit codes: 0 it was done, 1 it was refused, or the run has not answered in time, 2 wrong usage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memento.cli.choosing import Wanted, wanted
from memento.cli.exit_codes import UsageError, wrong_usage
from memento.cli.live_run import Which, command_line, line_about, live_run
from memento.cli.open_store import place
from memento.cli.printing import print_json, print_safe
from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import CommandRefused
from memento.store.store import Store
from memento.wording import one_line, seconds_of, short_name

if TYPE_CHECKING:
    from memento.index.types import Answer
    from memento.records import RunRecord
    from memento.runner.remote_control import Control

AGAIN = "run it again"  # as runs answer
_KEY = re.compile(r"[0-9a-fA-F]{3,32}")


def steer(
    kind: str,
    which: Which,
    wait: str,
    *,
    as_json: bool,
    tasks: Sequence[str] | None = None,
    everything: bool = False,
    workers: int = 0,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Ask a run to do something, and say what became of that and how to undo it.

    `kind` is one of `memento.index.types.COMMANDS`; `wait` says how long to wait for the answer. `tasks` are for
    `cancel` and `first`, `everything` for `cancel`, `workers` for `resize`.
    """
    with wrong_usage():
        seconds = seconds_of(wait, "--wait", short=True)
    asked = _tasks(kind, tasks, everything, which) if kind in ("cancel", "first") else Wanted()
    with Store.open(place(which.store), create=False, trusted=False) as store:
        run = live_run(store, which, kind, clock)
        from memento.runner.remote_control import Control  # `--help` need not know it

        control = Control(store.index, run, clock)
        control.timeout = seconds
        refused = ""
        try:
            answer = _ask(control, kind, asked, everything, workers)
        except CommandRefused as error:
            answer, refused = None, str(error)
            if not as_json:
                raise
    undo = _undo(answer.undo, run, which) if answer is not None else ""
    late = (
        f"no answer within {wait}, so it takes the command later. A run looks twice a second; where tasks run in its"
        " own thread (--executor serial), between two tasks."
    )
    text = answer.text if answer is not None else refused or late
    if as_json:
        told = {"run": run.id, "experiment": run.info.experiment, "done": answer is not None}
        answered = answer is not None or bool(refused)
        print_json(kind, {**told, "answered": answered, "answer": text, "undo": undo or None})
    else:
        print_safe(f"run {run.id}, {one_line(short_name(run.info.experiment))}: {text}")
        if undo and answer is not None:
            again = f"Run it again to compute what is left: {undo}"
            print_safe(again if answer.undo == AGAIN else f"`{undo}` undoes it.")
    if answer is None:
        raise SystemExit(1)


def _tasks(kind: str, tasks: Sequence[str] | None, everything: bool, which: Which) -> Wanted:
    """Read which tasks are meant; to mean none, or all by mistake, is wrong usage."""
    asked = wanted(tasks)
    if everything:
        if asked.says_which:
            raise UsageError("--all and tasks contradict each other.")
        return asked
    if not asked.says_which:
        rest = f"; `{line_about('cancel --all', which)}` ends the run now" if kind == "cancel" else ""
        raise UsageError(f"say which tasks: a KEY, or NAME=VALUE as in model=SVC{rest}.")
    for key in asked.keys:
        if not _KEY.fullmatch(key):
            raise UsageError(
                f"{key!r} is no key, and no NAME=VALUE: a key is 3 to 32 hexadecimal digits, as"
                " `memento ls` and `memento status` print them."
            )
    return asked


def _ask(control: Control, kind: str, asked: Wanted, everything: bool, workers: int) -> Answer | None:
    if kind == "cancel" and everything:
        return control.stop(now=True)
    if kind in ("cancel", "first"):
        from memento.runner.remote_control import Typed

        texts: dict[str, list[Typed]] = {}
        for name, text in asked.parameters:
            texts.setdefault(name, []).append(Typed(text))
        return (control.cancel if kind == "cancel" else control.first)(*asked.keys, **texts)
    if kind == "resize":
        return control.resize(workers)
    return {"pause": control.pause, "resume": control.resume, "stop": control.stop}[kind]()


def _undo(undo: str, run: RunRecord, which: Which) -> str:
    """Return the line that undoes what was done; "" where nothing does in one line."""
    if undo == AGAIN:
        return command_line(run)
    return "" if undo == "first, with others" else line_about(undo.replace("resize to", "resize"), which)
