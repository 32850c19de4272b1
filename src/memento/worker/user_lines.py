"""Find the user's own line: where a failure or a warning is told to be.

Knows: frames and the text of tracebacks. May not know: what failed, who reads it.

The line is the innermost in the user's project; where there is none, the innermost outside of libraries; else the
innermost of all. Compiled code (Cython, mypyc) names its source relative to where it was built: whose it is, its
module's file tells.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple

from memento.worker.source_texts import place_text

_OURS = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep
_USERS = (_OURS + "testing" + os.sep, _OURS + os.path.join("cli", "demo.py"))  # experiments stand there
# At a prompt; of other text, nobody knows whose it is.
_TYPED = ("<stdin>", "<python-input", "<ipython-input")
_BY_VALUE = "<dynamic-code>"  # how cloudpickle, and with it joblib, calls the file of what it sends by value

_LIBRARY, _OTHER, _PROJECT = range(3)


class Lines(NamedTuple):
    """Two lines of a stack, each as ``train.py:24``."""

    own: str  # the innermost of the user's own; "" where there is none
    inner: str  # the innermost of all but Memento's

    @property
    def place(self) -> str:
        """The better of the two."""
        return self.own or self.inner


class _Code(NamedTuple):
    file: str
    line: int
    space: Mapping[str, Any] | None  # the globals of its module, where it is alive


def is_ours(file: str) -> bool:
    """Tell whether a frame is Memento's, and so says nothing of the task."""
    return file.startswith(_OURS) and not file.startswith(_USERS)


def lines_of_traceback(trace: TracebackType | None) -> Lines:
    """Return the lines at which an exception was raised."""
    return _lines(_codes(trace))


def lines_of_stack(frame: FrameType | None) -> Lines:
    """Return the lines that are being executed, from a frame outwards."""
    codes = []
    while frame is not None:
        codes.append(_Code(frame.f_code.co_filename, frame.f_lineno, frame.f_globals))
        frame = frame.f_back
    return _lines(reversed(codes))


class Printed(NamedTuple):
    """A frame of a traceback that was printed."""

    file: str
    line: int
    function: str


def lines_of_text(frames: Iterable[Printed], sender: TracebackType | None = None) -> Lines:
    """Return the lines of a traceback, outermost first, that another process has printed.

    `sender` is where this process waited for it: what it sent there by value has lost its file's name, and is looked
    for among what these frames' modules define.
    """
    return _lines(
        _Code(_file_of(frame, sender) if frame.file == _BY_VALUE else frame.file, frame.line, None)
        for frame in frames
    )


def _file_of(frame: Printed, sender: TracebackType | None) -> str:
    seen: set[int] = set()
    for file, _, space in _codes(sender):
        if space is None or id(space) in seen or not is_users(file, space):
            continue
        seen.add(id(space))
        for code in _defined(space):
            lines = [line for _, _, line in code.co_lines() if line]
            if code.co_name == frame.function and lines and code.co_firstlineno <= frame.line <= max(lines):
                return code.co_filename
    return frame.file


def _defined(space: Mapping[str, Any]) -> Iterator[CodeType]:
    """Yield the code of a module's functions and methods, and of what they define inside."""
    found: list[Any] = list(space.values())
    found += [one for value in found if isinstance(value, type) for one in vars(value).values()]
    for value in found:
        codes = [getattr(getattr(value, "__func__", value), "__code__", None)]
        while codes:
            code = codes.pop()
            if isinstance(code, CodeType):
                yield code
                codes += code.co_consts


def is_users(file: str, space: Mapping[str, Any] | None = None) -> bool:
    """Tell whether a file is the user's own: in the project, or at least in no library."""
    return not is_ours(file) and _whose(file, space) > _LIBRARY


def _codes(trace: TracebackType | None) -> Iterator[_Code]:
    while trace is not None:
        frame = trace.tb_frame
        yield _Code(frame.f_code.co_filename, trace.tb_lineno, frame.f_globals)
        trace = trace.tb_next


def _lines(codes: Iterable[_Code]) -> Lines:
    inner, own, best = "", "", _OTHER
    for file, line, space in codes:
        if is_ours(file):
            continue
        inner = place_text(file, line)
        whose = _whose(file, space)
        if whose >= best:
            own, best = inner, whose
    return Lines(own, inner)


def _whose(file: str, space: Mapping[str, Any] | None) -> int:
    from memento.keys.project_files import is_installed_file, is_project_file

    if file.startswith(_USERS):
        return _PROJECT
    home = None if space is None else space.get("__file__")
    if space is not None and home is None and space.get("__name__") == "__main__":
        return _PROJECT if not file.startswith("<frozen ") else _LIBRARY  # a notebook's cell, a prompt
    if file.startswith("<"):  # made by dataclasses, attrs, NumPy, torch.fx
        return _PROJECT if space is None and file.startswith(_TYPED) else _LIBRARY
    if not os.path.isabs(file):
        if isinstance(home, str):
            file = home
        elif not os.path.exists(file):
            return _LIBRARY
    if is_project_file(file):
        return _PROJECT
    return _LIBRARY if is_installed_file(file) else _OTHER
