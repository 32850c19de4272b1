"""Find what really failed, where an exception only carries it from another process or stands for several.

Knows: exceptions, tracebacks as text. May not know: tasks, how failures are stored.

    the exception itself     with the traceback of another process attached: pools of processes, joblib
    a text in its message    torch's DataLoader and `spawn`, scikit-learn's failed fits: the traceback as it was printed
    an exception group       the first of its exceptions, and how many there are

What a user's own code raises `from` another exception is what it says: it is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple

from memento.worker.user_lines import Lines, Printed, is_users, lines_of_text, lines_of_traceback

_HEADER = "Traceback (most recent call last):"
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
_QUOTES = '"""'  # around the traceback of another process
_RULE = "-----"  # between the failures that scikit-learn lists
_LOOKED_AT = 100_000  # characters of a text, from its end
_LEAVES = 1_000  # exceptions of a group that are counted


class Cause(NamedTuple):
    """What a failure's headline says."""

    type: str
    message: str
    lines: Lines


class _Block(NamedTuple):
    """One traceback of a text."""

    type: str
    message: str
    frames: Sequence[Printed]
    quoted: bool  # it is the remote part of the one after it
    chained: bool  # the one after it came of it


def cause_of(error: BaseException) -> Cause:
    """Return what is behind an exception; where nothing is, what it says itself."""
    leaves = list(_leaves(error))
    if len(leaves) > 1 or leaves[0] is not error:
        first = cause_of(leaves[0])
        others = len(leaves) - 1
        message = first.message
        if others:
            more = "1 other" if others == 1 else f"{others} others"
            message = f"{message} (and {more} in one {type(error).__name__})".lstrip()
        if not first.lines.own:
            own = lines_of_traceback(error.__traceback__)
            first = first._replace(lines=Lines(own.own, first.lines.inner or own.inner))
        return Cause(first.type, message, first.lines)
    message = text_of(error)
    lines = lines_of_traceback(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename and is_users(error.filename):
        # No frame is there: it has not begun to run.
        line = f"{os.path.basename(error.filename)}:{error.lineno}"
        return Cause(type(error).__name__, error.msg, Lines(line, line))
    if _HEADER in message:
        told = printed(message, error.__traceback__)
        if told is not None:
            return told._replace(lines=_nearer(told.lines, lines))
    attached = error.__cause__
    # What was raised here has a traceback; what a pool attaches has none, but prints one.
    if attached is not None and attached.__traceback__ is None:
        text = text_of(attached)
        told = printed(text, error.__traceback__) if _HEADER in text else None
        if told is not None:
            lines = _nearer(told.lines, lines)
    return Cause(type(error).__name__, message, lines)


def text_of(error: BaseException) -> str:
    """Return an exception's message."""
    try:
        return str(error)
    except Exception as exc:  # a user's __str__ must not hide what failed
        return f"<its text cannot be shown: {type(exc).__name__}>"


def printed(text: str, sender: TracebackType | None = None) -> Cause | None:
    """Return what a printed traceback says failed; None where there is none in the text."""
    lines = text[-_LOOKED_AT:].splitlines()
    last: _Block | None = None
    remote = Lines("", "")
    for block in _blocks(lines):
        if last is not None and not last.chained:
            break
        if last is not None and last.quoted:
            remote = _nearer(remote, lines_of_text(last.frames, sender))
        last = block
    if last is None:
        return None
    return Cause(last.type, last.message, _nearer(remote, lines_of_text(last.frames, sender)))


def _nearer(inside: Lines, outside: Lines) -> Lines:
    """Prefer the lines of the process in which it failed."""
    return Lines(inside.own or outside.own, inside.inner or outside.inner)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group, at any depth; of another exception, itself."""
    stack, count = [error], 0
    while stack and count < _LEAVES:
        one = stack.pop()
        inside = getattr(one, "exceptions", None)
        # By name: Python 3.10 has none, and a library that stands in for it.
        names = {cls.__name__ for cls in type(one).__mro__}
        if "BaseExceptionGroup" in names and isinstance(inside, tuple) and inside:
            stack.extend(reversed(inside))
        else:
            count += 1
            yield one


def _blocks(lines: list[str]) -> Iterator[_Block]:
    """Yield the tracebacks of a text, in its order."""
    place = 0
    while place < len(lines):
        header = lines[place]
        if not header.endswith(_HEADER):
            place += 1
            continue
        quoted = place > 0 and lines[place - 1].strip() == _QUOTES
        margin = len(header) - len(header.lstrip())
        place += 1
        frames: list[Printed] = []
        while place < len(lines) and (not lines[place].strip() or lines[place][margin : margin + 1] == " "):
            frame = _frame(lines[place])
            if frame is not None:
                frames.append(frame)
            place += 1
        end = place
        while end < len(lines) and not _ends_message(lines[end]):
            end += 1
        name, _, message = "\n".join(line[margin:] for line in lines[place:end]).strip().partition(":")
        rest = next((line for line in lines[end:] if line.strip() not in ("", _QUOTES)), "").lstrip()
        place = end
        if name and name.replace(".", "").isidentifier():
            kind = name.rpartition(".")[2]
            yield _Block(kind, message.strip(), frames, quoted, rest.startswith(_CHAINED))


def _ends_message(line: str) -> bool:
    text = line.strip()
    return text == _QUOTES or text.startswith((*_CHAINED, _RULE)) or text.endswith(_HEADER)


def _frame(line: str) -> Printed | None:
    """Read ``File "train.py", line 3, in f``."""
    start, quote, rest = line.strip().partition('"')
    file, ending, rest = rest.rpartition('", line ')
    number = rest.partition(",")[0]
    if start != "File " or not quote or not ending or not number.isdigit():
        return None
    return Printed(file, int(number), rest.partition(", in ")[2])
