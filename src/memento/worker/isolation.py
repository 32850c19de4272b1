"""Put back what a task has changed of its process, so that it does not reach the next one.

Knows: what of a process tasks change, how to see it and how to undo it. May not know: tasks, pipes, worker processes.

    put back       folder, environment, `sys.path`, `sys.argv`, standard streams, hooks of `sys`, warnings, logging,
                   locale, signal handlers, umask, recursion limit, garbage collection, options of libraries
                   (`options`), open figures; the context (decimal, NumPy's error state): each task runs in a copy
                   of it
    set anew       the global random generators, when a task begins (`memento.context.seeding`)
    stays          what modules and classes hold: registries, caches

Looking must cost next to nothing, for most tasks change nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from memento import system
from memento.worker.import_watch import ImportWatch
from memento.worker.logging_state import Loggers
from memento.worker.process_options import LIBRARIES, Options

_C: Any = importlib.import_module("_signal")  # `signal` makes enums of small numbers, at ten times the price
_getsignal = _C.getsignal
_SIGNALS = tuple(
    int(getattr(signal, name))
    for name in "SIGTERM SIGINT SIGALRM SIGVTALRM SIGPROF SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE".split()
    if hasattr(signal, name)
)


_hooks = attrgetter("stdin", "stdout", "stderr", "excepthook", "displayhook", "unraisablehook")


def _put_hooks(kept: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr, sys.excepthook, sys.displayhook, sys.unraisablehook = kept


class Audit:
    """Hears of what few tasks do: to look for it after each would take longer than many a task.

    One for the process, since nothing takes an audit hook away again.
    """

    def __init__(self) -> None:
        self.total, self.limits, self._hears = 0, 0, False

    def listen(self) -> None:
        """Begin to count. Idempotent."""
        if not self._hears:
            self._hears = True
            sys.addaudithook(self._note)

    def _note(self, event: str, _: Any) -> None:
        if event in _EVENTS:
            self.total += 1
            self.limits += event == "resource.setrlimit"


_EVENTS = frozenset(
    "os.chdir os.fchdir os.putenv os.unsetenv sys.setprofile sys.settrace resource.setrlimit"
    " os.exec os.fork os.forkpty os.posix_spawn os.spawn os.system subprocess.Popen".split()
)
AUDIT = Audit()


class Isolation:
    """What a process was like when this was made; `end_handler` is called when the handler of SIGTERM was put back."""

    def __init__(self, end_handler: Callable[[], None] | None = None) -> None:
        AUDIT.listen()
        self._heard = AUDIT.total
        self._end_handler = end_handler
        self._main = threading.current_thread() is threading.main_thread()
        self._folder = os.getcwd()
        self._environment = system.environment()
        self.hooks, self._thread_hook = _hooks(sys), threading.excepthook
        self._show = warnings.showwarning
        self._handlers = tuple(map(_getsignal, _SIGNALS))
        self._umask = system.umask()
        self._loggers, self._options = Loggers(), Options(of_python=True)
        self._watch = ImportWatch(list(LIBRARIES), self._options.notice)
        self._decimal: Any = sys.modules["decimal"].getcontext().copy() if "decimal" in sys.modules else None

    def restore(self) -> str:
        """Put back what can be; return what cannot be put back ("changed torch's ..."), or ""."""
        os.umask(self._umask)
        if _hooks(sys) != self.hooks:
            _put_hooks(self.hooks)
        if threading.excepthook is not self._thread_hook:
            threading.excepthook = self._thread_hook
        if warnings.showwarning is not self._show:
            if "logging" in sys.modules:
                sys.modules["logging"].captureWarnings(False)
            warnings.showwarning = self._show
        if tuple(map(_getsignal, _SIGNALS)) != self._handlers and self._main:
            self._restore_signals()
        if self._loggers.changed():
            self._loggers.restore()
        if "decimal" in sys.modules:
            self._restore_decimal(sys.modules["decimal"])
        if self._heard != AUDIT.total:
            self._restore_place()
            self._heard = AUDIT.total  # restoring made some of its own
        left = self._options.put_back()
        return f"changed {left}" if left else ""

    def close(self) -> None:
        """Let go of the process."""
        self._watch.close()

    def _restore_signals(self) -> None:
        # Without a handler these end the process: who has left one running has set a handler too.
        for timer in (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            if _getsignal(number) is not handler:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
                if number == signal.SIGTERM and self._end_handler is not None:
                    self._end_handler()

    def _restore_decimal(self, decimal: Any) -> None:
        """Have the next task begin with a context of its own; copies of this process' context share the object."""
        if self._decimal is None:
            self._decimal = decimal.DefaultContext.copy()
        decimal.setcontext(self._decimal.copy())

    def _restore_place(self) -> None:
        os.chdir(self._folder)
        if system.environment() != self._environment:
            zone = os.environ.get("TZ")
            for name in set(os.environ) - set(self._environment):
                with contextlib.suppress(KeyError):  # another thread was first
                    del os.environ[name]
            os.environ.update(self._environment)
            if zone != self._environment.get("TZ") and hasattr(time, "tzset"):
                time.tzset()
