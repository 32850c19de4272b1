"""Put back the levels and handlers of loggers that a task has changed.

Knows: `logging`, where it is loaded. May not know: tasks, processes.
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
        self._handlers: list[tuple[logging.Handler, tuple[Any, ...]]] = []
        self._logging: Any = sys.modules.get("logging")
        if self._logging is not None:
            for logger in self._loggers():
                self._kept[logger] = _copied(logger)
                self._handlers += [(handler, _HANDLER(handler)) for handler in logger.handlers]
            self._disabled = self._logging.root.manager.disable
            self._look()

    def _look(self) -> None:
        self._all = self._loggers()
        self._states = [_copied(logger) for logger in self._all]
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
            or any(_HANDLER(handler) != state for handler, state in self._handlers)
        )

    def restore(self) -> None:
        """Put all loggers back; one that an import has made stays as the import left it."""
        logging = self._logging
        for logger in self._loggers():
            kept = self._kept.get(logger)
            if kept is None and logger is logging.root:
                kept = (logging.WARNING, True, False, [], [])
            if kept is None:
                top = logger.name.partition(".")[0]
                if top in sys.modules and top not in self._modules:
                    self._kept[logger] = _copied(logger)
                    continue
                kept = (
                    logging.NOTSET,
                    True,
                    False,
                    [h for h in logger.handlers if type(h) is logging.NullHandler],
                    [],
                )
            level, propagate, disabled, handlers, filters = kept
            for handler in [handler for handler in logger.handlers if handler not in handlers]:
                logger.removeHandler(handler)
                with contextlib.suppress(Exception):  # its file or connection may be gone
                    handler.close()
            logger.handlers[:], logger.filters[:] = handlers, filters
            logger.propagate, logger.disabled = propagate, disabled
            if logger.level != level:
                logger.setLevel(level)
        for handler, (level, formatter) in self._handlers:
            handler.setLevel(level)
            handler.setFormatter(formatter)
        if logging.root.manager.disable != self._disabled:
            logging.disable(self._disabled)
        self._look()

    def _loggers(self) -> list[logging.Logger]:
        root = self._logging.root
        return [
            root,
            *(one for one in root.manager.loggerDict.values() if isinstance(one, self._logging.Logger)),
        ]


def _copied(logger: logging.Logger) -> tuple[Any, ...]:
    return logger.level, logger.propagate, logger.disabled, list(logger.handlers), list(logger.filters)
