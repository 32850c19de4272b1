"""The logger of tasks: to the standard error of the worker, which is the task's log.

Knows: logging. May not know: where the worker's output goes.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    _Handler = logging.StreamHandler[TextIO]
else:  # not subscriptable in Python 3.10
    _Handler = logging.StreamHandler


class _Current(_Handler):
    """Writes to what `sys.stderr` is at the moment, which a notebook or a test may change."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


def task_logger() -> logging.Logger:
    """Return the logger ``memento.task``; the first call gives it its handler.

    Only a task that asks for the logger pays for it, and only its process is changed.
    """
    logger = logging.getLogger("memento.task")
    if not any(isinstance(handler, _Current) for handler in logger.handlers):
        handler = _Current()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    return logger
