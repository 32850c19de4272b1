"""The logger of tasks: to the standard error of the worker, which is the task's log.

Knows: logging. May not know: where the worker's output goes.
"""

from __future__ import annotations

import logging
import sys


class _ToStandardError(logging.Handler):
    """Writes to what `sys.stderr` is at the moment, which a notebook or a test may change."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except Exception:  # a line that cannot be written is no reason to fail a task
            self.handleError(record)


def task_logger() -> logging.Logger:
    """Return the logger ``memento.task``; the first call gives it its handler.

    Only a task that asks for the logger pays for it, and only its process is changed.
    """
    logger = logging.getLogger("memento.task")
    if not any(isinstance(handler, _ToStandardError) for handler in logger.handlers):
        handler = _ToStandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    return logger
