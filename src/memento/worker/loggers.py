"""Describe how a program has set up logging, and set up another process like it.

Knows: loggers, handlers, formatters. May not know: processes, tasks.

A handler has a lock and a stream, so it cannot be sent; one that writes to the standard streams, or adds to a file, is
made anew. Any other is named, so that somebody can make it in `initializer=`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, NamedTuple

from memento.keys.names import is_project_module
from memento.values import pickling


class _Handler(NamedTuple):
    kind: str  # "stdout", "stderr", "file"
    arguments: tuple[Any, ...]
    level: int
    name: str | None
    formatter: Any
    filters: list[Any]
    terminator: str
    type: Any  # the class, where it writes to a standard stream
    state: dict[str, Any]  # what a class of somebody's own adds


class _Logger(NamedTuple):
    level: int
    propagate: bool
    disabled: bool
    handlers: list[_Handler] | None  # None where they are its library's own, made by the import
    filters: list[Any]
    library: str  # which has a logger of that name, and may add handlers when it is imported; "" where there is none


class _Logging(NamedTuple):
    loggers: dict[str, _Logger]  # "" for the root
    disabled: int
    raises: bool
    captures: bool  # warnings go to logging
    levels: dict[int, str]


def gather() -> tuple[_Logging, list[str]]:
    """Describe logging as it is; and name the handlers that cannot be made anew."""
    logging: Any = sys.modules["logging"]
    found: dict[str, _Logger] = {}
    left: list[str] = []
    for name, logger in [("", logging.root), *logging.root.manager.loggerDict.items()]:
        if not isinstance(logger, logging.Logger):
            continue
        handlers = []
        of_library = bool(name) and any(_is_of_library(handler, name) for handler in logger.handlers)
        for handler in [] if of_library else logger.handlers:
            described = _described(handler)
            if described is not None:
                handlers.append(described)
            elif type(handler) is not logging.NullHandler and not _is_of_kernel(handler):
                left.append(f"{type(handler).__name__} of logger {name or 'root'!r}")
        top = name.partition(".")[0]
        library = top if top in sys.modules and not is_project_module(top) else ""
        filters = _sendable(logger.filters)
        kept = None if of_library else handlers
        one = _Logger(logger.level, logger.propagate, logger.disabled, kept, filters, library)
        if name == "" or handlers or one.filters or one[:3] != (logging.NOTSET, True, False):
            found[name] = one
    captures = getattr(logging, "_warnings_showwarning", None) is not None
    levels = {number: name for number, name in logging._levelToName.items() if number % 10 or number > 50}
    told = _Logging(found, logging.root.manager.disable, logging.raiseExceptions, captures, levels)
    return told, left


def _is_of_library(handler: Any, logger: str) -> bool:
    """Tell whether the library that has a logger has made its handler, or what formats it."""
    top = logger.partition(".")[0]
    return any(type(one).__module__.partition(".")[0] == top for one in (handler, handler.formatter))


def _is_of_kernel(handler: Any) -> bool:
    """Tell whether a notebook's kernel logs to a handler: it does so about itself, which is no matter of tasks."""
    return type(handler.formatter).__module__.partition(".")[0] == "traitlets"


def _described(handler: Any) -> _Handler | None:
    logging: Any = sys.modules["logging"]
    kind, arguments, state = "", tuple[Any, ...](), dict[str, Any]()
    if type(handler) is logging.FileHandler:
        # To add to it at each message's end is what several processes can do to one file.
        kind, arguments = "file", (handler.baseFilename, "a", handler.encoding, True, handler.errors)
    elif isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
        kind = _standard(handler.stream)
        state = {name: value for name, value in vars(handler).items() if name not in _OF_ANY}
    formatter = _sendable([handler.formatter])
    if not kind or not formatter or not _sendable([(type(handler), state)]):
        return None
    filters = _sendable(handler.filters)
    return _Handler(
        kind, arguments, handler.level, handler.get_name(), formatter[0], filters, handler.terminator,
        type(handler), state,
    )  # fmt: skip


# What every handler has, or must have of its own.
_OF_ANY = ("lock", "stream", "formatter", "filters", "level", "_name", "terminator")


def _standard(stream: Any) -> str:
    for name, number in (("stdout", 1), ("stderr", 2)):
        if stream is getattr(sys, name) or stream is getattr(sys, f"__{name}__"):
            return name
        with contextlib.suppress(Exception):
            if stream.fileno() == number:
                return name
    return ""


def _sendable(things: list[Any]) -> list[Any]:
    found = []
    for thing in things:
        with contextlib.suppress(Exception):
            pickling.dumps(thing)
            found.append(thing)
    return found


def restore(told: _Logging) -> None:
    """Set up logging of this process as it was described."""
    import logging

    for number, name in told.levels.items():
        logging.addLevelName(number, name)
    for name, one in told.loggers.items():
        logger = logging.getLogger(name or None)
        if one.handlers is not None and not (one.library and one.library not in sys.modules):
            # In place of what imports of this process have added: the program's imports did so as well.
            for handler in list(logger.handlers):
                if type(handler) is not logging.NullHandler:
                    logger.removeHandler(handler)
            for described in one.handlers:
                logger.addHandler(_made(described))
        logger.filters[:] = one.filters
        logger.propagate, logger.disabled = one.propagate, one.disabled
        logger.setLevel(one.level)
    logging.disable(told.disabled)
    logging.raiseExceptions = told.raises
    if told.captures:
        logging.captureWarnings(True)


class _Stream:
    """The standard stream of a name, whichever it is just now."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(sys, self._name), name)


def _made(described: _Handler) -> Any:
    import logging

    handler: logging.StreamHandler[Any]
    if described.kind == "file":
        os.makedirs(os.path.dirname(described.arguments[0]), exist_ok=True)
        handler = logging.FileHandler(*described.arguments)
    else:
        # As its class was made there, whatever that asks for to make another.
        handler = described.type.__new__(described.type)
        logging.StreamHandler.__init__(handler, _Stream(described.kind))
        vars(handler).update(described.state)
    handler.setLevel(described.level)
    handler.name = described.name
    handler.setFormatter(described.formatter)
    handler.filters[:] = described.filters
    handler.terminator = described.terminator
    return handler
