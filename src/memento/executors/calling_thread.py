"""Give tasks in threads of this process what the thread has that runs the program.

Knows: contexts of threads, options of libraries. May not know: tasks, who starts threads.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from memento.worker.process_options import Options

_T = TypeVar("_T")


class CallingThread:
    """What the thread that makes this has and a new one has not: NumPy's error state, decimal's precision, ..."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        decimal = sys.modules.get("decimal")
        self._decimal = None if decimal is None else decimal.getcontext()
        self._options = Options(local=True)

    def call(self, func: Callable[..., _T], *args: Any) -> _T:
        """Call a function in another thread as if in this one."""
        return self._context.copy().run(self._call, func, args)

    def _call(self, func: Callable[..., _T], args: tuple[Any, ...]) -> _T:
        if self._decimal is not None:
            sys.modules["decimal"].setcontext(self._decimal.copy())  # or threads would share its flags
        self._options.put_back()
        return func(*args)
