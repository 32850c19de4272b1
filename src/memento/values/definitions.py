"""Tell what belongs to a script, and give it a name that the script's processes share.

Knows: modules, how they are found, classes and functions. May not know: pickles, tasks, stored values.

The table of tokens and the set of modules that came by value are the one piece of state: they belong to the process as
its modules do.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import types
import weakref
from importlib.machinery import PathFinder
from typing import Any, NamedTuple

CACHED_FUNCTION: type[Any] = type(functools.lru_cache(len))
DEFINED = (type, types.FunctionType, CACHED_FUNCTION)  # what a script defines under a name


class Definition(NamedTuple):
    """A class or function of the script, as found in a value."""

    module: str
    qualname: str
    object: Any


class Tokens:
    """Names for classes and functions of scripts, the same in the coordinator and in its workers."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[Any, str]] = {}  # id -> (weak reference, token)
        self._objects: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self._lock = threading.RLock()

    def of(self, obj: Any) -> str:
        """Return the object's token; a new one where it has none."""
        with self._lock:
            known = self._of.get(id(obj))
            if known is not None and known[0]() is obj:
                return known[1]
            token = os.urandom(12).hex()
            self.put(token, obj)
            return token

    def put(self, token: str, obj: Any) -> None:
        """Remember what a token stands for, as long as the object lives."""
        with self._lock:
            key = id(obj)
            self._of[key] = (weakref.ref(obj, functools.partial(self._drop, key)), token)
            self._objects[token] = obj

    def keep(self, token: str, obj: Any) -> Any:
        """Return what a token stands for: the object, where another thread has made none meanwhile."""
        with self._lock:
            known = self._objects.get(token)
            if known is None:
                self.put(token, obj)
            return obj if known is None else known

    def get(self, token: str) -> Any:
        """Return the object, or None."""
        return self._objects.get(token)

    def forget(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._of.clear()
            self._objects.clear()

    def _drop(self, key: int, ref: Any) -> None:
        known = self._of.get(key)
        if known is not None and known[0] is ref:
            del self._of[key]


tokens = Tokens()
by_value: set[str] = set()  # modules that came into this process by value


@functools.cache
def _has_spec(module: str, path: tuple[str, ...]) -> bool:
    """Say whether a fresh process with this `sys.path` could import the module by name."""
    head, _, tail = module.partition(".")
    try:
        spec = PathFinder.find_spec(head, list(path))
        while spec is not None and tail:
            part, _, tail = tail.partition(".")
            head = f"{head}.{part}"
            spec = PathFinder.find_spec(head, spec.submodule_search_locations)
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None


def module_of(obj: Any) -> str | None:
    """Return the name of an object's module, `__main__` also where multiprocessing calls that otherwise."""
    module = getattr(obj, "__module__", None)
    return "__main__" if module == "__mp_main__" else module


def is_importable(module: str) -> bool:
    """Say whether workers can import a module that is loaded here."""
    if module == "__mp_main__":
        return False
    if module in sys.builtin_module_names or module in sys.stdlib_module_names:
        return True
    loaded = sys.modules.get(module)
    if loaded is None:
        return False
    if module.partition(".")[0] in sys.stdlib_module_names:
        return True
    spec = getattr(loaded, "__spec__", None)
    if spec is not None and spec.origin in ("built-in", "frozen"):
        return True
    file = getattr(loaded, "__file__", None)
    if file is None and spec is None:
        return False  # made by hand
    # Import hooks (editable installs, zip files) are not asked: what a hook found, a worker's hook finds.
    from_path = spec is not None and type(spec.loader).__module__ == "_frozen_importlib_external"
    return not from_path or _has_spec(module, tuple(sys.path)) or _has_finder(module)


def _has_finder(module: str) -> bool:
    """Ask the other finders on `sys.meta_path`, which editable installs add."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None or finder is PathFinder:
            continue
        try:
            if find(module, None) is not None:
                return True
        except Exception:  # a foreign finder's fault is no news about this module
            continue
    return False


def named(obj: Any) -> tuple[str, str] | None:
    """Return (module, qualname) of a class or function that stands under its name in a script's module."""
    module = module_of(obj)
    qualname = getattr(obj, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str) or "<" in qualname:
        return None
    if module != "__main__" and module not in by_value and is_importable(module):
        return None
    return (module, qualname) if stands_under_its_name(obj) else None


def stands_under_its_name(obj: Any) -> bool:
    """Tell whether a class or function is what its module has under its name."""
    found: Any = sys.modules.get(getattr(obj, "__module__", None) or "")
    for part in getattr(obj, "__qualname__", "<>").split("."):
        found = getattr(found, part, None)
    return found is obj
