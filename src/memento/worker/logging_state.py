"""How a program has set up logging: put back after each task, described, and set up so in a fresh process.

Knows: loggers, handlers, formatters, where `logging` is loaded. May not know: processes, tasks.

A handler has a lock and a stream, so it cannot be sent; one that writes to the standard streams, or adds to a file, is
made anew. Any other is named, so that somebody can make it in `initializer=`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.keys.names import is_project_module
from memento.values import pickling

if TYPE_CHECKING:
    import logging

_STATE = attrgetter("level", "propagate", "disabled", "handlers", "filters")
_HANDLER = attrgetter("level", "formatter")


def _all_loggers(logging: Any) -> list[logging.Logger]:
    """Return the root and all loggers below it."""
    made = logging.root.manager.loggerDict.copy().values()
    return [logging.root, *(one for one in made if isinstance(one, logging.Logger))]


class Loggers:
    """What logging was like: levels and handlers of all loggers.

    Where nobody has imported it yet, it is as its import leaves it.
    """

    def __init__(self) -> None:
        self._kept: dict[logging.Logger, tuple[Any, ...]] = {}
        self._modules = frozenset(name.partition(".")[0] for name in sys.modules.copy())
        self._disabled = 0
        self._all: list[logging.Logger] = []
        self._states: list[tuple[Any, ...]] = []
        self._handlers: list[logging.Handler] = []
        self._logging: Any = sys.modules.get("logging")
        if self._logging is not None:
            for logger in _all_loggers(self._logging):
                self._kept[logger] = _copied(logger)
                self._handlers += logger.handlers
            self._disabled = self._logging.root.manager.disable
            self._look()
        self._handler_states: list[tuple[Any, ...]] = list(map(_HANDLER, self._handlers))

    def _look(self) -> None:
        self._all = _all_loggers(self._logging)
        self._states = list(map(_copied, self._all))
        self._made = len(self._logging.root.manager.loggerDict)

    def changed(self) -> bool:
        """Tell whether a logger or a handler is not as it was when this was last restored."""
        if self._logging is None:
            self._logging = sys.modules.get("logging")
            return self._logging is not None
        manager = self._logging.root.manager
        return (
            len(manager.loggerDict) != self._made
            or manager.disable != self._disabled
            or list(map(_STATE, self._all)) != self._states
            or list(map(_HANDLER, self._handlers)) != self._handler_states
        )

    def restore(self) -> None:
        """Put all loggers back; one that an import has made stays as the import left it."""
        logging = self._logging
        for logger in _all_loggers(logging):
            kept = self._kept.get(logger)
            if kept is None and logger is logging.root:
                kept = (logging.WARNING, True, False, [], [])
            if kept is None:
                top = logger.name.partition(".")[0]
                if top in sys.modules and top not in self._modules:
                    self._kept[logger] = _copied(logger)
                    continue
                silent = [one for one in logger.handlers if type(one) is logging.NullHandler]
                kept = (logging.NOTSET, True, False, silent, [])
            for handler in [handler for handler in logger.handlers if handler not in kept[3]]:
                logger.removeHandler(handler)
                with contextlib.suppress(Exception):  # its file or connection may be gone
                    handler.close()
            _set_logger(logger, *kept)
        for handler, (level, formatter) in zip(self._handlers, self._handler_states, strict=True):
            handler.setLevel(level)
            handler.setFormatter(formatter)
        if logging.root.manager.disable != self._disabled:
            logging.disable(self._disabled)
        self._look()


def _copied(logger: logging.Logger) -> tuple[Any, ...]:
    return logger.level, logger.propagate, logger.disabled, list(logger.handlers), list(logger.filters)


def _set_logger(
    logger: logging.Logger,
    level: int,
    propagate: bool,
    disabled: bool,
    handlers: list[Any],
    filters: list[Any],
) -> None:
    """Set up a logger as another was."""
    logger.handlers[:], logger.filters[:] = handlers, filters
    logger.propagate, logger.disabled = propagate, disabled
    if logger.level != level:
        logger.setLevel(level)  # which forgets what all loggers have found out about levels


# -- described, for a fresh process


class _Handler(NamedTuple):
    type: Any
    stream: str  # "stdout", "stderr"; "" for a file, which its state names
    state: dict[str, Any]


class _Logger(NamedTuple):
    state: tuple[int, bool, bool]  # level, propagate, disabled
    handlers: list[_Handler] | None  # None where they are its library's own, made by the import
    filters: list[Any]
    library: str  # which has a logger of that name, and may add handlers when it is imported; "" where there is none


class Described(NamedTuple):
    """Logging as plain values."""

    loggers: dict[str, _Logger]  # "" for the root
    disabled: int
    raises: bool
    captures: bool  # warnings go to logging
    levels: dict[int, str]


def describe() -> tuple[Described, list[str]]:
    """Describe logging as it is; and name the handlers that cannot be made anew."""
    logging: Any = sys.modules["logging"]
    found: dict[str, _Logger] = {}
    left: list[str] = []
    for logger in _all_loggers(logging):
        name = "" if logger is logging.root else logger.name
        of_library = bool(name) and any(_is_of_library(handler, name) for handler in logger.handlers)
        handlers = []
        for handler in [] if of_library else logger.handlers:
            described = _described(handler)
            if described is not None:
                handlers.append(described)
            elif type(handler) is not logging.NullHandler and not _is_of_kernel(handler):
                left.append(f"{type(handler).__name__} of logger {name or 'root'!r}")
        top = name.partition(".")[0]
        library = top if top in sys.modules and not is_project_module(top) else ""
        # Not the library's own: to send these would import it there.
        filters = _sendable([one for one in logger.filters if not _is_from(one, name)])
        state = (logger.level, logger.propagate, logger.disabled)
        if name == "" or handlers or filters or state != (logging.NOTSET, True, False):
            found[name] = _Logger(state, None if of_library else handlers, filters, library)
    captures = warnings.showwarning.__module__ == "logging"
    names = {number: logging.getLevelName(number) for number in range(1, 256)}
    levels = {number: name for number, name in names.items() if name != f"Level {number}"}
    return Described(found, logging.root.manager.disable, logging.raiseExceptions, captures, levels), left


def _is_of_library(handler: Any, logger: str) -> bool:
    """Tell whether the library that has a logger has made its handler, or what formats it."""
    return _is_from(handler, logger) or _is_from(handler.formatter, logger)


def _is_from(thing: Any, logger: str) -> bool:
    """Tell whether a class is of the library that has a logger."""
    return bool(type(thing).__module__.partition(".")[0] == logger.partition(".")[0])


def _is_of_kernel(handler: Any) -> bool:
    """Tell whether a notebook's kernel logs to a handler: it does so about itself, which is no matter of tasks."""
    return type(handler.formatter).__module__.partition(".")[0] == "traitlets"


def _described(handler: Any) -> _Handler | None:
    logging: Any = sys.modules["logging"]
    to_file, stream = type(handler) is logging.FileHandler, ""
    if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
        stream = _standard(handler.stream)
    state = {name: value for name, value in vars(handler).items() if name not in ("lock", "stream")}
    state["filters"] = _sendable(handler.filters)
    described = _Handler(type(handler), stream, state)
    return described if (to_file or stream) and _sendable([described]) else None


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


# -- set up as described


def set_up(told: Described) -> None:
    """Set up logging of this process as it was described."""
    import logging

    for number, name in told.levels.items():
        logging.addLevelName(number, name)
    for name, one in told.loggers.items():
        logger = logging.getLogger(name or None)
        handlers = logger.handlers
        if one.handlers is not None and not (one.library and one.library not in sys.modules):
            # In place of what imports of this process have added: the program's imports did so as well.
            silent = [handler for handler in handlers if type(handler) is logging.NullHandler]
            handlers = [*silent, *map(_made, one.handlers)]
        own = [one for one in logger.filters if _is_from(one, name)]
        _set_logger(logger, *one.state, handlers, [*own, *one.filters])
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

    # As its class was made there, whatever that asks for to make another.
    handler = described.type.__new__(described.type)
    logging.Handler.__init__(handler)
    vars(handler).update(described.state)
    handler.name = handler.name  # so that it is found by it
    if described.stream:
        handler.stream = _Stream(described.stream)
    else:
        # Opened for its first message: several processes can add to one file, at each message's end.
        handler.stream, handler.mode, handler.delay = None, "a", True
        os.makedirs(os.path.dirname(handler.baseFilename), exist_ok=True)
    return handler
