"""Give tasks in threads of this process what the thread has that runs the program.

Knows: contexts of threads, options of libraries. May not know: tasks, who starts threads.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from memento.worker import libraries

_T = TypeVar("_T")
_OF_THREADS = ("sklearn",)  # libraries whose options each thread has for itself


class CallingThread:
    """What the thread that makes this has and a new one has not: NumPy's error state, decimal's precision, ..."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        decimal, torch = sys.modules.get("decimal"), sys.modules.get("torch")
        self._decimal = None if decimal is None else decimal.getcontext()
        self._options = {name: libraries.OPTIONS[name] for name in _OF_THREADS if name in sys.modules}
        self._asked = {name: ask() for name, (ask, _) in self._options.items()}
        self._grad = torch is None or torch.is_grad_enabled()

    def call(self, func: Callable[..., _T], *args: Any) -> _T:
        """Call a function in another thread as if in this one."""
        return self._context.copy().run(self._call, func, args)

    def _call(self, func: Callable[..., _T], args: tuple[Any, ...]) -> _T:
        if self._decimal is not None:
            sys.modules["decimal"].setcontext(self._decimal.copy())  # or threads would share its flags
        for name, (_, set_all) in self._options.items():
            set_all(self._asked[name])
        if not self._grad:
            sys.modules["torch"].set_grad_enabled(False)
        return func(*args)
