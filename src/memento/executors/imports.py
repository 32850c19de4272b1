"""Hear of the first import of some modules, when it is done.

Knows: Python's finders. May not know: why somebody wants to hear of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from memento.hints import Any


class ImportWatch:
    """A finder that finds what those after it find, and tells when what was awaited has been loaded.

    Parameters
    ----------
    names : iterable of str
        Modules to hear of. Those that are loaded already are not told.
    tell : callable
        Gets the name, once the module's own code has run and before the import statement goes on.

    Examples
    --------
    >>> import sys
    >>> watch = ImportWatch(["colorsys"], print)
    >>> import colorsys
    colorsys
    >>> watch.close()
    """

    def __init__(self, names: Sequence[str], tell: Callable[[str], None]) -> None:
        self._awaited = {name for name in names if name not in sys.modules}
        self._tell = tell
        if self._awaited:
            sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return what the other finders find, with a loader that tells us; None for modules that nobody awaits."""
        if name not in self._awaited:
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
            self._awaited.discard(name)
            self._tell(name)

        loader.exec_module = exec_module

    def close(self) -> None:
        """Hear of nothing more."""
        self._awaited.clear()
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
