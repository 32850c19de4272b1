"""Remember within a run which steps have failed, so that not each task that needs one tries it again.

Knows: files, exceptions. May not know: keys, values, who waits.

``steps/failed/<key>.json`` is written by who holds the step's lock; what another run has written there says nothing:

    begun     it is being computed; where the lock is free and this is still there, its process has ended
    failed    it raised: the exception, pickled, and its traceback as text, for the other tasks

Each attempt number tries once: tasks in their first attempt share the failure of the first, and where tasks are
retried, the first of the second attempts computes the step again. Processes that ended are counted up to a few.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import traceback
from typing import Any, NamedTuple

from memento.errors import StepFailed
from memento.layout import Layout
from memento.values import pickling

_MOST_DEATHS = 3  # of processes in one step, before nobody tries it again without a retry
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep  # the frames between a task and its steps


class Remembered(NamedTuple):
    """What is known of a step in this run."""

    run: str  # its name
    attempt: int = 0  # the highest number of an attempt that has tried it
    deaths: int = 0
    begun: bool = False
    task: str = ""  # key of the task that tried it last, in hexadecimal
    type: str = ""  # of the exception; "" where it has not failed
    message: str = ""
    trace: str = ""
    pickled: str = ""


class InAnotherTask(Exception):
    """Carries the traceback of another task, as text; stands as the cause of what is raised again."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class StepFailures:
    """What one run remembers of one step. Use it only while holding the step's lock."""

    def __init__(self, store: str, run: str, key: str, step: str) -> None:
        """`step` names it for people."""
        self._folder, self._run, self._step = Layout(store).step_failures, run, step
        self._path = os.path.join(self._folder, f"{key}.json")
        self._known = Remembered(run)

    def begin(self, task: str, attempt: int) -> None:
        """Note that a task begins to compute the step; raise what it failed of, where that is not to be tried again."""
        known = self._read()
        if known.begun:
            known = known._replace(begun=False, deaths=known.deaths + 1)
        if known.attempt >= attempt:
            if known.type:
                raise self._again(known)
            if known.deaths >= _MOST_DEATHS:
                self._write(known)
                raise StepFailed(
                    f"{known.deaths} tasks ended (killed, out of time or memory) while they computed the step"
                    f" {self._step}, the last of them task {known.task[:8]}; it is not tried again in this run."
                    " Their failures say how. Give the step less to do, or more time or memory."
                )
        highest = max(attempt, known.attempt)
        self._write(Remembered(self._run, highest, known.deaths, begun=True, task=task))

    def failed(self, error: BaseException) -> None:
        """Remember what the step raised."""
        marked(error, self._step)
        try:
            text = str(error)
        except Exception as exc:  # a user's __str__ must not hide what failed
            text = f"<its text cannot be shown: {type(exc).__name__}>"
        pickled = base64.b64encode(pickling.dumps_exception(error) or b"").decode()
        self._write(
            self._known._replace(
                begun=False, type=type(error).__name__, message=text, trace=_printed(error), pickled=pickled
            )
        )

    def stopped(self) -> None:
        """Note that the step was left for no fault of its own: the run stops, or the store cannot be written."""
        self._write(self._known._replace(begun=False))

    def done(self) -> None:
        """Forget: the step is computed."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _again(self, known: Remembered) -> BaseException:
        """Return the exception that the step raised in another task, with the traceback from there."""
        error: BaseException = StepFailed(f"{known.type}: {known.message}")
        with contextlib.suppress(Exception):
            error = pickling.loads_value(base64.b64decode(known.pickled)) if known.pickled else error
        error.__cause__ = InAnotherTask(
            f'\n"""\nIn task {known.task[:8]}, which computed the step {self._step}:\n{known.trace}"""'
        )
        marked(error, self._step)
        return error

    def _read(self) -> Remembered:
        try:
            with open(self._path, "rb") as file:
                known = Remembered(**json.loads(file.read()))
        except (OSError, ValueError, TypeError):
            known = Remembered("")
        self._known = known if known.run == self._run else Remembered(self._run)
        return self._known

    def _write(self, known: Remembered) -> None:
        self._known = known
        with contextlib.suppress(OSError):  # then it is tried again by each; what fails the task is not this
            os.makedirs(self._folder, exist_ok=True)
            temporary = f"{self._path}.{os.getpid()}"
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(known._asdict(), file)
            os.replace(temporary, self._path)


def marked(error: Any, step: str) -> None:
    """Let an exception say in which step it was raised: in the innermost, where it passes through several."""
    with contextlib.suppress(Exception):
        if not getattr(error, "__memento_step__", ""):
            error.__memento_step__ = step


def _printed(error: BaseException) -> str:
    """Print a traceback without our frames, from the step on."""
    try:
        told = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
        told.stack = traceback.StackSummary.from_list(
            [f for f in told.stack if not f.filename.startswith(_OURS)]
        )
        return "".join(told.format())
    except Exception as exc:  # a broken __str__ or source file must not hide what failed
        return f"{type(error).__name__}: <its traceback cannot be shown: {type(exc).__name__}>\n"
