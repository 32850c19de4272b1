"""Pickle values for the store: the script's classes by name, and by value aside.

Knows: pickles, the scripts' modules. May not know: files, tasks.

In a stored pickle `__main__` means "the script of that name": beside the pickle stands the name.
Reading finds a class, in this order: in this process' `__main__` where it is that script; in a module of
that name that is already imported; by importing it, if it is a module of a package; in what was stored by value.
A loose script is never imported: that would run it.
"""

from __future__ import annotations

import functools
import importlib
import io
import pickle
import sys
import threading
import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from memento.values import worker_serializer
from memento.values.definitions import DEFINED, Definition, named
from memento.values.shared_files import beside
from memento.values.stored_paths import path_in_store, reduce_path
from memento.values.torch_storages import reduce_storage
from memento.values.worker_serializer import Buffer

# Where a class is found whose module only some Pythons have.
_MOVED = {"pathlib._local": "pathlib", "pathlib._abc": "pathlib"}

# Scripts that do not run here -> what stored values brought of them.
_standins: dict[str, types.ModuleType] = {}
_standing_in = threading.RLock()


class Pickled(NamedTuple):
    """A value as a pickle, not yet written."""

    main: str  # what `__main__` in it means; "" where it does not occur
    body: bytes
    buffers: list[memoryview]  # out of band, in the memory of the arrays themselves
    found: tuple[Definition, ...]  # what it needs of scripts


def _noted(found: dict[int, Definition], obj: Any) -> tuple[str, str] | None:
    """Return the name of a definition, noting it where it belongs to a script."""
    name = named(obj)
    if name is not None:
        found[id(obj)] = Definition(*name, obj)
    return name


class _ByName(pickle.Pickler):
    """The standard pickler, which also notes what belongs to a script."""

    found: dict[int, Definition]
    store: str

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, DEFINED):
            _noted(self.found, obj)
            return NotImplemented
        return _reduced(obj, self.store)


def _reduced(obj: Any, store: str) -> Any:
    storage = reduce_storage(obj)
    return reduce_path(obj, store) if storage is NotImplemented else storage


@functools.cache
def _by_cloud() -> type[Any]:
    """Make the pickler for what has no name, when it is needed: it brings cloudpickle."""
    by_value, _ = worker_serializer.picklers()

    class ByCloud(by_value):  # type: ignore[valid-type, misc]  # made at run time
        """Names for what has one, by value for lambdas and local classes."""

        found: dict[int, Definition]
        store: str

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, DEFINED):
                name = _noted(self.found, obj)
                if name is not None:
                    return _by_name, (name[0], name[1])
            elif isinstance(obj, io.TextIOWrapper):  # cloudpickle would keep its text, as another type
                raise TypeError("cannot pickle an open file")
            reduced = _reduced(obj, self.store)
            return super().reducer_override(obj) if reduced is NotImplemented else reduced

    return ByCloud


def _by_name(module: str, qualname: str) -> Any:
    """Find a class or function; stored readers replace this by their own."""
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def dumps_value(obj: Any, *, out_of_band: bool = True, store: str = "") -> Pickled:
    """Pickle a value for the store, whose folder `store` is."""
    try:
        return _dump(_ByName, obj, out_of_band, store)
    except (pickle.PicklingError, AttributeError, TypeError):
        # A lambda, a local class, a function that was defined anew: cloudpickle takes them by value.
        return _dump(_by_cloud(), obj, out_of_band, store)


def _dump(kind: type[Any], obj: Any, out_of_band: bool, store: str) -> Pickled:
    file = io.BytesIO()
    buffers: list[memoryview] = []
    pickler = kind(file, protocol=5, buffer_callback=beside(buffers) if out_of_band else None)
    pickler.found, pickler.store = {}, store
    pickler.dump(obj)
    found = tuple(pickler.found.values())
    return Pickled(worker_serializer.main_name() if found else "", file.getvalue(), buffers, found)


class _Reader(pickle.Unpickler):
    """Unpickles with `__main__` meaning the script that wrote."""

    def __init__(
        self, file: Any, main: str, definitions: Callable[[], Buffer] | None, store: str, **options: Any
    ) -> None:
        super().__init__(file, **options)
        self.main, self.definitions, self.store = main, definitions, store

    def find_class(self, module: str, name: str) -> Any:
        if module == __name__ and name == "_by_name":
            return self.resolve
        if module == path_in_store.__module__ and name == path_in_store.__name__:
            return functools.partial(path_in_store, store=self.store)
        if worker_serializer.stands_for_main(module):
            # The script under its own name: it was imported where this was saved. It is never imported here.
            return self.resolve(module, name)
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError):
            if module in _MOVED:
                return super().find_class(_MOVED[module], name)
            if self.definitions is None:
                raise
            return self.resolve(module, name)

    def resolve(self, module: str, qualname: str) -> Any:
        """Find a class or function of a script."""
        script = self.main if module == "__main__" else module
        for place in _places(script):
            try:
                return _get(place, qualname)
            except AttributeError:
                continue
        if self.definitions is not None:
            return _get(_stand_in(script, qualname, self.definitions), qualname)
        raise pickle.UnpicklingError(
            f"{qualname} of {script} is not defined here. Define it, or import {script}, and read again"
        )


def _places(script: str) -> Iterable[Any]:
    """Yield the modules in which a script's definitions may stand, best first."""
    if not script or worker_serializer.stands_for_main(script):
        yield sys.modules["__main__"]
    if script in sys.modules:
        yield sys.modules[script]
    elif "/" in script or script.endswith(".py"):
        yield from _modules_at(script)
    elif "." in script:
        try:
            yield importlib.import_module(script)
        except Exception:  # a package that is gone, or fails to import here: the stored definition serves
            return


def _modules_at(place: str) -> Iterable[Any]:
    """Yield the module of a file in the project: the one that is loaded, else one of a package, which is imported."""
    from memento.keys.code_files import find_module
    from memento.keys.project_files import place_of_file

    stem = place.rpartition("/")[2].removesuffix(".py")
    for name, module in sys.modules.copy().items():
        file = getattr(module, "__dict__", {}).get("__file__")
        if name.rpartition(".")[2] == stem and isinstance(file, str) and place_of_file(file) == place:
            yield module
            return
    parts = place.removesuffix(".py").split("/")
    # The folder from which packages are imported need not be the project's.
    for start in range(len(parts) - 1):
        name = ".".join(parts[start:])
        spec = find_module(name) if all(part.isidentifier() for part in parts[start:]) else None
        if spec is not None and spec.origin is not None and place_of_file(spec.origin) == place:
            try:
                yield importlib.import_module(name)
            except Exception:  # it fails to import here: the stored definition serves
                return


def _get(place: Any, qualname: str) -> Any:
    for part in qualname.split("."):
        place = getattr(place, part)
    return place


def _stand_in(script: str, qualname: str, definitions: Callable[[], Buffer]) -> Any:
    """Return a module that holds what stored values brought of a script that does not run here.

    One for each script in a process: values of several tasks share their classes.
    """
    with _standing_in:  # or another thread would take a class that has nothing in it yet
        module = _standins.setdefault(script, types.ModuleType(script))
        if not hasattr(module, qualname.partition(".")[0]):
            worker_serializer.load_definitions(definitions(), {"__main__": module, script: module})
    return module


def loads_value(
    body: Buffer,
    buffers: Iterable[Buffer] = (),
    main: str = "",
    definitions: Callable[[], Buffer] | None = None,
    store: str = "",
) -> Any:
    """Unpickle a value of the store, whose folder `store` is now."""
    return _Reader(io.BytesIO(body), main, definitions, store, buffers=buffers).load()
