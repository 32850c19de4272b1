"""What coordinator and pilot say to each other, and the folder of files in which they say it.

Knows: names of files, messages. May not know: engines, processes, the loop of either side.

    work/<run>/pilots/<pilot>/charter.json    what it is to be; plain text, so that any Python can read it
                              from-1          records of its first instance; from-2 of the second (it was started again)
                              to-1-1          what its first instance is told; to-1-2 by who has taken the pilot over
                              taken-1-2       the run that has taken it over: made before to-1-2, by one alone; who
                                              dies in between has told nothing, and the next one is the third
                              instance-1      made by its first instance, before anything else

What a pilot says may be read by a coordinator that did not start it, from a store that came from anywhere: reading it
runs nothing, for of all classes only those of `memento.records` and of this file are known to it.
"""

import io
import pickle
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from memento import records
from memento.executors import base
from memento.executors.base import Lost, Note, Running, Update
from memento.worker.batch_runner import Batch
from memento.worker.handover import Left
from memento.worker.work import Task

# -- to a pilot


class Do(NamedTuple):
    """Run these tasks."""

    batch: Batch


class Cancel(NamedTuple):
    """Give back what has not begun of these tasks, or of all; with `running`, stop what has."""

    numbers: tuple[int, ...] | None
    running: bool


class Resize(NamedTuple):
    """Run so many tasks at once from now on."""

    width: int


class Alive(NamedTuple):
    """The coordinator lives."""


class Leave(NamedTuple):
    """End: now, or when what runs has ended."""

    now: bool


class Serve(NamedTuple):
    """When what runs has ended, work for another run: the coordinator of the one before is gone."""

    folder: str  # of that run, in work
    width: int  # tasks at once: the coordinator before may have changed that


# -- from a pilot


class Here(NamedTuple):
    """A pilot's instance begins."""

    host: str
    pid: int
    width: int  # how many tasks it runs at once
    left: float | None  # seconds until its place ends; None: it does not
    place: str = ""  # what its engine calls its place: a job's number, a worker's address
    run: str = ""  # whose tasks it runs from now on


class Beat(NamedTuple):
    """A pilot lives."""

    running: tuple[Running, ...]
    left: float | None  # seconds until its place ends
    leaving: bool = False  # it ends with what it has


class Ended(NamedTuple):
    """An attempt has ended."""

    left: Left


class Told(NamedTuple):
    """Something that its local executor said: a live update, a note, an attempt without an outcome."""

    message: Update | Note | Lost


class Broken(NamedTuple):
    """It can run nothing: why, for people."""

    why: str
    # Something has killed what starts its workers: that may be its place, or the experiment.
    sudden: bool = False


class Leaving(NamedTuple):
    """It takes nothing more and ends."""

    why: str


ToPilot = Do | Cancel | Resize | Alive | Leave | Serve
FromPilot = Here | Beat | Ended | Told | Broken | Leaving

_OURS = frozenset(kind.__name__ for kind in get_args(FromPilot))
_OF_BASE = frozenset({"Update", "Note", "Lost", "Running"})
_RECORDS = frozenset({"Encoded", "Failure", "LogSlice", "Outcome", "Piece", "Series"})
_KNOWN = {
    __name__: _OURS,
    base.__name__: _OF_BASE,
    records.__name__: _RECORDS,
    Left.__module__: frozenset({"Left"}),
}

_GIVEN = {__name__: {"Do"}, Batch.__module__: {"Batch"}, Task.__module__: {"Task"}}


def pack(message: ToPilot) -> bytes:
    """Make a record of a message."""
    return pickle.dumps(message, protocol=5)


def pack_all(messages: Sequence[FromPilot]) -> bytes:
    """Make a record of what a pilot says at once: what outcomes have in common is in it once, and read once."""
    return pickle.dumps(tuple(messages), protocol=5)


def heard(data: bytes) -> list[FromPilot]:
    """Read what a pilot said, without what is no message of a pilot."""
    try:
        messages = _Known(io.BytesIO(data)).load()
    except Exception:  # whatever unpickling raises: somebody else has written it
        return []
    if not isinstance(messages, tuple):
        return []
    return [message for message in messages if isinstance(message, FromPilot) and _is_whole(message)]


def told(data: bytes) -> ToPilot:
    """Read what the coordinator said: it is who started this process, so it may name any class."""
    message: ToPilot = pickle.loads(data)
    return message


def _is_whole(message: object) -> bool:
    """Tell whether a message is made of what it should be, as far as who reads it relies on that."""
    if isinstance(message, Ended):
        left: Any = message.left  # whatever a stranger has written
        return isinstance(left, Left) and _is_of_task(left.key, left.outcome, records.Outcome)
    if isinstance(message, Told):
        return _are(Note, message.message) or _is_of_task(b"", message.message, Update | Lost)
    if isinstance(message, Beat):
        return _are(tuple, message.running) and _are(Running, *message.running) and _is_time(message.left)
    if isinstance(message, Here):
        return _are(str, message.place, message.run) and _is_time(message.left)
    return True


def _is_time(left: object) -> bool:
    return left is None or isinstance(left, (int, float))


def _is_of_task(key: object, numbered: Any, kind: Any) -> bool:
    return isinstance(key, bytes) and isinstance(numbered, kind) and isinstance(numbered.number, int)


def _are(kind: Any, *things: object) -> bool:
    return all(isinstance(thing, kind) for thing in things)


def tasks_given(data: bytes) -> tuple[str, tuple[Task, ...]]:
    """Read which tasks a coordinator, perhaps a dead one of a stranger's store, gave with a message; runs nothing.

    The name of the run whose tasks they are comes first.
    """
    try:
        message = _Known(io.BytesIO(data), _GIVEN).load()
    except Exception:  # whatever unpickling raises: it is another message, or somebody else has written it
        return "", ()
    batch = message.batch if isinstance(message, Do) else None
    if not (_are(Batch, batch) and batch and _are(tuple, batch.tasks) and _are(str, batch.folder)):
        return "", ()
    sound = tuple(task for task in batch.tasks if _are(Task, task) and _is_of_task(task.key, task, Task))
    return Path(batch.folder).name, sound


class _Known(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, known: Mapping[str, Collection[str]] = _KNOWN) -> None:
        super().__init__(file)
        self._known = known

    def find_class(self, module: str, name: str) -> Any:
        if name in self._known.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a pilot says nothing of {module}.{name}")
