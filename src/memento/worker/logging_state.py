"""How a program has set up logging, put back after each task.

Knows: loggers and handlers, where `logging` is loaded. May not know: processes, tasks.
"""

from __future__ import annotations

import contextlib
import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging

_STATE = attrgetter("level", "propagate", "disabled", "handlers", "filters")
_HANDLER = attrgetter("level", "formatter")


def all_loggers(logging: Any) -> list[logging.Logger]:
    """Return the root and all loggers below it."""
    made = logging.root.manager.loggerDict.values()
    return [logging.root, *(one for one in made if isinstance(one, logging.Logger))]


class Loggers:
    """What logging was like: levels and handlers of all loggers.

    Where nobody has imported it yet, it is as its import leaves it.
    """

    def __init__(self) -> None:
        self._kept: dict[logging.Logger, tuple[Any, ...]] = {}
        self._modules = frozenset(name.partition(".")[0] for name in sys.modules)
        self._disabled = 0
        self._all: list[logging.Logger] = []
        self._states: list[tuple[Any, ...]] = []
        self._handlers: list[logging.Handler] = []
        self._logging: Any = sys.modules.get("logging")
        if self._logging is not None:
            for logger in all_loggers(self._logging):
                self._kept[logger] = _copied(logger)
                self._handlers += logger.handlers
            self._disabled = self._logging.root.manager.disable
            self._look()
        self._handler_states: list[tuple[Any, ...]] = list(map(_HANDLER, self._handlers))

    def _look(self) -> None:
        self._all = all_loggers(self._logging)
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
        for logger in all_loggers(logging):
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
            set_logger(logger, *kept)
        for handler, (level, formatter) in zip(self._handlers, self._handler_states, strict=True):
            handler.setLevel(level)
            handler.setFormatter(formatter)
        if logging.root.manager.disable != self._disabled:
            logging.disable(self._disabled)
        self._look()


def _copied(logger: logging.Logger) -> tuple[Any, ...]:
    return logger.level, logger.propagate, logger.disabled, list(logger.handlers), list(logger.filters)


def set_logger(
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
