"""Hear of the first import of some modules, when it is done.

Knows: Python's finders. May not know: why somebody wants to hear of it.

Threads: watches begin and end in any thread, while others import; who imports sees those of one moment.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from memento import system


class ImportWatch:
    """Tells when modules have been loaded, until it is closed or nobody has it any more.

    Told is the name, once the module's own code has run and before the import statement goes on; not of modules that
    are loaded already.
    """

    def __init__(self, names: Sequence[str], tell: Callable[[str], None]) -> None:
        self.awaited = {name for name in names if name not in sys.modules}
        self.tell = tell
        if self.awaited:
            with system.turn():
                _finder.watches = (*_finder.living(), weakref.ref(self))
                if _finder not in sys.meta_path:
                    sys.meta_path.insert(0, _finder)

    def stay(self) -> None:
        """Hear of them as long as the process lives."""
        _finder.kept.append(self)

    def close(self) -> None:
        """Hear of nothing more."""
        self.awaited.clear()
        with system.turn():
            _finder.watches = tuple(ref for ref in _finder.living() if ref() is not self)
            if not _finder.watches and _finder in sys.meta_path:
                sys.meta_path.remove(_finder)


class _Finder:
    """Finds what the finders after it find, and tells all watches: there is one, so that others are asked once."""

    def __init__(self) -> None:
        self.watches: tuple[weakref.ref[ImportWatch], ...] = ()  # replaced, never changed
        self.kept: list[ImportWatch] = []  # those that nobody else holds

    def living(self) -> list[weakref.ref[ImportWatch]]:
        """Return the watches that somebody has."""
        return [ref for ref in self.watches if ref() is not None]

    def _awaiting(self, name: str) -> list[ImportWatch]:
        found = [ref() for ref in self.watches]
        return [watch for watch in found if watch is not None and name in watch.awaited]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return what the other finders find, with a loader that tells us; None for modules that nobody awaits."""
        if not self._awaiting(name):
            return None
        finders = sys.meta_path
        place = next((i for i, finder in enumerate(finders) if finder is self), len(finders))
        for finder in finders[place + 1 :]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self._listen(name, spec.loader)
                return spec
        return None

    def _listen(self, name: str, loader: Any) -> None:
        run = getattr(loader, "exec_module", None)
        if run is None or isinstance(loader, type):  # shared by many modules
            return

        def exec_module(module: Any) -> None:
            run(module)
            for watch in self._awaiting(name):
                watch.awaited.discard(name)
                watch.tell(name)

        loader.exec_module = exec_module


_finder = _Finder()  # it belongs to the process as `sys.meta_path` does
