"""Put a worker back in order after each task, so that what one task changes does not reach the next.

Knows: what of a process tasks change, how to see it and how to undo it. May not know: tasks, pipes.

    put back       folder, environment, `sys.path`, standard streams (replaced, closed, redirected), warnings, logging,
                   locale, signal handlers, pending alarms, umask, recursion limit, garbage collection, tracing,
                   faulthandler; the context (decimal, NumPy's error state): each task runs in a copy of it
    seeded anew    the global generators of `random` and NumPy, where a task has seeded them
    new worker     child processes, threads that are no daemons, resource limits
    not seen       variables of modules, options of libraries, what a daemon thread does

Looking must cost next to nothing, for most tasks change nothing: rare changes are seen by an audit hook; what one
cheap call sets is set without looking.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import signal
import sys
import threading
import warnings

from memento import system
from memento.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging
    from typing import TextIO

_locale: Any = importlib.import_module("_locale")
_setlocale = _locale.setlocale
# One by one: for all at once the system makes a text of them, which takes twice as long.
_CATEGORIES = tuple(
    getattr(_locale, name)
    for name in "LC_CTYPE LC_COLLATE LC_MESSAGES LC_MONETARY LC_NUMERIC LC_TIME".split()
    if hasattr(_locale, name)
)
_C: Any = importlib.import_module("_signal")  # `signal` makes enums of small numbers, at ten times the price
_alarm, _getsignal = _C.alarm, _C.getsignal
_T: Any = importlib.import_module("_thread")
_count_threads = _T._count  # `threading.active_count` takes ten times as long
_LIMITS = "resource.setrlimit"
_STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"}
_LEFT_EVENTS = frozenset(
    {"os.chdir", "os.fchdir", "os.putenv", "os.unsetenv", "sys.setprofile", "sys.settrace", _LIMITS, *_STARTS}
)
_START = 0.0001  # seconds; no process is started in less, be it by C code that no audit hook sees
_SIGNALS = tuple(
    int(getattr(signal, name))
    for name in "SIGTERM SIGINT SIGALRM SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE".split()
)


class Order:
    """What a process was like when this was made.

    Parameters
    ----------
    output : int, optional
        Descriptor of what descriptors 1 and 2 must be.
    """

    def __init__(self, output: int | None = None) -> None:
        self._output = output
        self._events: set[str] = set()
        self._folder = os.getcwd()
        self._environment = dict(os.environ)
        self._path = list(sys.path)
        self._streams: tuple[Any, ...] = sys.stdin, sys.stdout, sys.stderr, sys.excepthook
        self._closing = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
        self._filters, self._show = list(warnings.filters), warnings.showwarning
        self._handlers = tuple(map(_getsignal, _SIGNALS))
        self._locale = tuple(map(_setlocale, _CATEGORIES))
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._depth, self._collects = sys.getrecursionlimit(), gc.isenabled()
        self._faults = faulthandler.is_enabled()
        self._loggers, self._chance = Loggers(), Chance()
        self._decimal: Any = sys.modules["decimal"].getcontext().copy() if "decimal" in sys.modules else None
        self._threads, self._modules = _count_threads(), len(sys.modules)
        events = self._events

        def note(event: str, _: Any) -> None:
            if event in _LEFT_EVENTS:
                events.add(event)

        sys.addaudithook(note)

    def restore(self, runtime: float = _START) -> str:
        """Put back what can be; return why the worker must be replaced ("left threads behind"), or "".

        Parameters
        ----------
        runtime : float
            Seconds that the task took.
        """
        os.umask(self._umask)
        _alarm(0)
        if self._output is not None:
            os.dup2(self._output, 1)
            os.dup2(self._output, 2)
        if (sys.stdin, sys.stdout, sys.stderr, sys.excepthook) != self._streams:
            sys.stdin, sys.stdout, sys.stderr, sys.excepthook = self._streams
        for stream in self._closing:
            if stream.closed:
                self._open_again()
                break
        if sys.path != self._path:
            sys.path[:] = self._path
        if warnings.filters != self._filters:
            warnings.filters[:] = self._filters  # type: ignore[index]  # typeshed calls it a Sequence
            getattr(warnings, "_filters_mutated", lambda: None)()
        if warnings.showwarning is not self._show:
            if "logging" in sys.modules:
                sys.modules["logging"].captureWarnings(False)
            warnings.showwarning = self._show
        if tuple(map(_getsignal, _SIGNALS)) != self._handlers:
            self._restore_signals()
        if tuple(map(_setlocale, _CATEGORIES)) != self._locale:
            for category, name in zip(_CATEGORIES, self._locale, strict=True):
                _setlocale(category, name)
        if sys.getrecursionlimit() != self._depth:
            sys.setrecursionlimit(self._depth)
        if gc.isenabled() != self._collects:
            (gc.enable if self._collects else gc.disable)()
        faulthandler.cancel_dump_traceback_later()
        if self._faults and not faulthandler.is_enabled():
            faulthandler.enable(file=2, all_threads=True)
        if self._loggers.changed():
            self._loggers.restore()
        self._chance.restore()
        if "decimal" in sys.modules:
            self._restore_decimal(sys.modules["decimal"])
        if (runtime >= _START or self._events) and system.has_children() and self._children_are_left():
            return "left child processes behind, which were ended"
        if len(sys.modules) < self._modules:
            return "removed imported modules"
        self._modules = len(sys.modules)
        if self._events:
            self._restore_rest()
            if _LIMITS in self._events:
                return "changed resource limits"
        if _count_threads() != self._threads and _threads_are_left():
            return "left threads behind"
        return ""

    def _open_again(self) -> None:
        """Make new streams over descriptors 1 and 2 in place of those that were closed."""
        made = [
            _stream(number, old) if old is not None and old.closed else old
            for number, old in ((1, self._streams[1]), (2, self._streams[2]))
        ]
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = made  # type: ignore[misc, assignment]  # Final in typeshed
        self._streams = (self._streams[0], *made, self._streams[3])
        self._closing = [stream for stream in made if stream is not None]

    def _restore_signals(self) -> None:
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            if _getsignal(number) is not handler:
                if number == signal.SIGTERM:
                    with contextlib.suppress(AttributeError):
                        faulthandler.unregister(number)
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
                if number == signal.SIGTERM and self._output is not None:
                    watch_for_the_end()

    def _children_are_left(self) -> bool:
        """Tell whether there are others than multiprocessing's helper, which lives on beside who has used it."""
        tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
        pid = getattr(tracker, "_pid", None)
        if pid is None or system.descendants(os.getpid()) != [pid]:
            return True
        with contextlib.suppress(Exception):  # not a public method; where it fails, the worker is replaced
            tracker._stop()  # type: ignore[union-attr]  # waits until it has cleaned up and ended
        return system.has_children()

    def _restore_decimal(self, decimal: Any) -> None:
        """Have the next task begin with a context of its own; copies of this process' context share the object."""
        if self._decimal is None:
            self._decimal = decimal.DefaultContext.copy()
        decimal.setcontext(self._decimal.copy())

    def _restore_rest(self) -> None:
        if "os.chdir" in self._events or "os.fchdir" in self._events:
            os.chdir(self._folder)
        if os.environ != self._environment:
            for name in set(os.environ) - set(self._environment):
                del os.environ[name]
            os.environ.update(self._environment)
        if "sys.settrace" in self._events:
            sys.settrace(None)
        if "sys.setprofile" in self._events:
            sys.setprofile(None)
        self._events &= {_LIMITS}  # restoring made some of its own


def watch_for_the_end() -> None:
    """When the supervisor ends a task (SIGTERM), show where it was, then die of the signal."""
    with contextlib.suppress(OSError, RuntimeError, ValueError, AttributeError):
        faulthandler.register(signal.SIGTERM, file=2, all_threads=True, chain=True)


def _threads_are_left() -> bool:
    # Daemons are helpers of libraries (progress bars, pools), which end with the process.
    return any(not t.daemon and t is not threading.main_thread() for t in threading.enumerate())


def _stream(number: int, like: TextIO) -> TextIO:
    return open(number, "w", buffering=1, encoding=like.encoding, errors=like.errors, closefd=False)


class Loggers:
    """What logging was like: levels and handlers of all loggers.

    Where nobody has imported it yet, it is as its import leaves it.
    """

    _MARK: Any = object()  # lies in a cache that logging empties whenever any level changes

    def __init__(self) -> None:
        self._kept: dict[logging.Logger, tuple[Any, ...]] = {}
        self._modules = frozenset(name.partition(".")[0] for name in sys.modules)
        self._disabled, self._made = 0, 0
        self._cache: Any = {}
        self._logging: Any = sys.modules.get("logging")
        if self._logging is not None:
            for logger in self._loggers():
                self._kept[logger] = self._state(logger)
            self._disabled = self._logging.root.manager.disable
            self._mark()

    @staticmethod
    def _state(logger: logging.Logger) -> tuple[Any, ...]:
        return logger.level, list(logger.handlers), list(logger.filters), logger.propagate, logger.disabled

    def _mark(self) -> None:
        self._made = len(self._handlers())
        self._cache = getattr(self._logging.root, "_cache", {})
        self._cache[self._MARK] = True

    def changed(self) -> bool:
        """Tell whether a level was set or a handler made since this was last restored."""
        if self._logging is None:
            self._logging = sys.modules.get("logging")
            return self._logging is not None
        return self._MARK not in self._cache or len(self._handlers()) != self._made

    def restore(self) -> None:
        """Put all loggers back; one that an import has made stays as the import left it."""
        logging = self._logging
        for logger in self._loggers():
            kept = self._kept.get(logger)
            if kept is None and logger is logging.root:
                kept = (logging.WARNING, [], [], True, False)
            if kept is None:
                top = logger.name.partition(".")[0]
                if top in sys.modules and top not in self._modules:
                    self._kept[logger] = self._state(logger)
                    continue
                kept = (
                    logging.NOTSET,
                    [h for h in logger.handlers if type(h) is logging.NullHandler],
                    [],
                    True,
                    False,
                )
            level, handlers, filters, propagate, disabled = kept
            for handler in [handler for handler in logger.handlers if handler not in handlers]:
                logger.removeHandler(handler)
                with contextlib.suppress(Exception):  # its file or connection may be gone
                    handler.close()
            logger.handlers[:], logger.filters[:] = handlers, filters
            logger.propagate, logger.disabled = propagate, disabled
            if logger.level != level:
                logger.setLevel(level)
        if logging.root.manager.disable != self._disabled:
            logging.disable(self._disabled)
        self._mark()

    def _loggers(self) -> list[logging.Logger]:
        root = self._logging.root
        return [
            root,
            *(one for one in root.manager.loggerDict.values() if isinstance(one, self._logging.Logger)),
        ]

    def _handlers(self) -> Any:
        return getattr(self._logging, "_handlerList", ())


class Chance:
    """Sees whether a task has seeded a global random generator: the next task must not draw what follows from that."""

    def __init__(self) -> None:
        self._python: Any = None  # the global generator of `random`
        self._mark: object = self  # nothing that a generator keeps
        self._numpy: Any = None  # the 624 words of NumPy's global generator and its place among them
        self._words: tuple[int, ...] = ()
        self.restore()

    def restore(self) -> None:
        """Seed anew what was seeded."""
        # Seeding drops the number that `gauss` keeps for its next call; a number kept here is one it has drawn itself.
        python = self._python
        if python is None and "random" in sys.modules:
            python = self._python = getattr(sys.modules["random"], "_inst", None)
        if python is not None and python.gauss_next is not self._mark:
            python.seed()
            python.gauss(0.0, 1.0)
            self._mark = python.gauss_next
        if "numpy.random" in sys.modules:
            state = self._numpy
            if state is None or (state[0], state[1], state[-1]) != self._words:
                self._seed_numpy()

    def _seed_numpy(self) -> None:
        import ctypes

        numpy = sys.modules["numpy.random"]
        numpy.seed(int.from_bytes(os.urandom(4), "little"))
        generator = numpy.get_bit_generator()
        if self._numpy is None:
            words = (ctypes.c_uint32 * 625).from_address(generator.ctypes.state_address)
            self._numpy = memoryview(words).cast("B").cast("I")
        self._words = self._numpy[0], self._numpy[1], self._numpy[-1]
