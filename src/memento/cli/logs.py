"""`memento logs KEY`: what a task printed, or prints.

Knows: where logs stand, and the board on which workers write what they are at. May not know: how runs work.
"""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Sequence

from memento.cli.choosing import one_key
from memento.cli.open_store import find_key, open_store
from memento.cli.printing import print_safe
from memento.layout import LOGS
from memento.records import DONE, LogSlice, TaskRecord
from memento.store.activity import Working
from memento.store.location import StorePath
from memento.store.store import Store

_LOOK_EVERY = 0.3  # seconds
_RUNS = 100  # the newest; a run that goes on is among them
_PART = 1 << 20  # bytes read at once


def print_log(path: StorePath | None, named: Sequence[str], *, follow: bool) -> None:
    """Print a task's output: of the attempt that runs now, else of the last one and of those from which it went on.

    With `follow` it goes on as the task prints, over all its attempts, until it is done or no run is left that could
    run it.
    """
    with open_store(path) as store:
        task = find_key(store, one_key(store, named))
        now = _at(store, task)
        record, shown = _so_far(store, task)
        if now is not None and _is_shown(now, shown):
            now = None
        if now is not None and not follow:
            printed = _print(_read(store, now.file, now.start, _size(store, now.file)))
        elif now is None:
            printed = record is not None and _print(store.log(record))
        else:
            printed = False
        while follow and (now is not None or _may_still_run(store, _record(store, task))):
            if now is not None and not _is_shown(now, shown):
                printed = _follow(store, now, shown) or printed
            else:
                time.sleep(_LOOK_EVERY)
            now = _at(store, task)
        if follow:
            printed = _print_unseen(store, task, shown) or printed
    if not printed:
        print("it printed nothing, or its output was not kept", file=sys.stderr)


class Lines:
    """Prints a stream of bytes line by line: a line that is whole cannot hide an escape cut in two."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self.printed = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        text = self._rest + self._decoder.decode(data)
        whole, newline, self._rest = text.rpartition("\n")
        self._print(whole + newline)

    def end(self) -> None:
        """Print what stands after the last line's end."""
        text, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        if text:
            self._print(text + "\n")

    def _print(self, text: str) -> None:
        if text:
            self.printed = True
            # A progress bar goes back to the line's beginning; here each of its states is a line.
            print_safe(text.replace("\r\n", "\n").replace("\r", "\n"), end="")


def _print(text: bytes) -> bool:
    lines = Lines()
    lines.feed(text)
    lines.end()
    return lines.printed


def _print_unseen(store: Store, task: bytes, shown: set[LogSlice | None]) -> bool:
    """Print the attempts that came and went between two looks."""
    printed = False
    for attempt in store.index.attempts(task):
        if attempt.log not in shown:
            shown.add(attempt.log)
            printed = _print(store.log(attempt)) or printed
    return printed


def _is_shown(now: Working, shown: set[LogSlice | None]) -> bool:
    """Tell whether this attempt is over and was printed: the board shows it for a moment more."""
    return any(log is not None and log[:2] == (now.file, now.start) for log in shown)


def _follow(store: Store, now: Working, shown: set[LogSlice | None]) -> bool:
    """Print an attempt's output as it grows, to its end; returns whether there was any."""
    before = _print_unseen(store, now.key, shown)
    if _is_shown(now, shown):  # it ended between the looks
        return before
    lines, position = Lines(), now.start
    while True:
        data = _read(store, now.file, position, min(position + _PART, now.end))
        lines.feed(data)
        position += len(data)
        later = _at(store, now.key)
        if later is None or (later.file, later.start) != (now.file, now.start):
            break
        if not data and later.end == now.end:
            if _has_ended(store, now):  # its worker died, and the place is still empty
                break
            time.sleep(_LOOK_EVERY)
        now = later
    while not _has_ended(store, now):  # outcomes are committed in groups, a moment later
        time.sleep(_LOOK_EVERY)
    end = _recorded_end(store, now)
    if end is not None:
        shown.add(LogSlice(now.file, now.start, end))
    lines.feed(_read(store, now.file, position, _size(store, now.file) if end is None else end))
    lines.end()
    return before or lines.printed


def _has_ended(store: Store, now: Working) -> bool:
    """Whether this attempt's outcome is in the index, or never will be."""
    if _recorded_end(store, now) is not None:
        return True
    record = _record(store, now.key)
    if record is not None and record.run == now.run and record.log is None:
        return True
    return not any(run.id == now.run and run.status == "running" for run in store.index.runs(limit=_RUNS))


def _recorded_end(store: Store, now: Working) -> int | None:
    for attempt in store.index.attempts(now.key):
        if attempt.log is not None and attempt.log[:2] == (now.file, now.start):
            return attempt.log.end
    return None


def _may_still_run(store: Store, record: TaskRecord | None) -> bool:
    """Whether a run is going on that may yet come to this task."""
    if record is not None and record.status == DONE:
        return False
    return any(
        run.status == "running"
        and (record is None or (run.info.experiment == record.experiment and run.id != record.run))
        for run in store.index.runs(limit=_RUNS)
    )


def _so_far(store: Store, key: bytes) -> tuple[TaskRecord | None, set[LogSlice | None]]:
    """Return a task's row and its attempts' outputs, of one moment: a run may write both between two looks."""
    record = _record(store, key)
    while True:
        shown = {attempt.log for attempt in store.index.attempts(key)}
        again = _record(store, key)
        if (again and again.id) == (record and record.id):
            return record, shown
        record = again


def _record(store: Store, key: bytes) -> TaskRecord | None:
    found = store.index.find(key.hex())
    return found[0] if found else None


def _at(store: Store, key: bytes) -> Working | None:
    return next((working for working in store.working() if working.key == key), None)


def _size(store: Store, file: str) -> int:
    try:
        return (store.path / LOGS / file).stat().st_size
    except OSError:
        return 0


def _read(store: Store, file: str, start: int, end: int) -> bytes:
    try:
        with open(store.path / LOGS / file, "rb") as stream:
            stream.seek(start)
            return stream.read(max(0, end - start))
    except OSError:
        return b""
