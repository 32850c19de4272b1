"""Send functions, classes and values to workers, each class and function once.

Knows: pickles, what belongs to a script. May not know: files, tasks, executors, stored values.

What `__main__` defines travels by value and becomes an attribute of the worker's own `__main__`; from then on a
token names it, so that all objects of one class have one class, and whatever the task pickles itself, works.
Modules that a worker could not import (loaded from a path by hand, or made at run time) are treated like `__main__`.
Stored classes name the functions here that make them again. Long because each thing that the
coordinator writes has its reader on the worker's side.
"""

from __future__ import annotations

import functools
import io
import marshal
import os
import pickle
import sys
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from memento import system
from memento.keys.project_files import SCRIPT_ATTRIBUTE, Script, script
from memento.values import shared_files
from memento.values.definitions import (
    CACHED_FUNCTION,
    DEFINED,
    Definition,
    by_value,
    is_importable,
    module_of,
    named,
    stands_under_its_name,
    tokens,
)
from memento.values.out_of_band import reduce_memory
from memento.values.shared_files import SharedFiles

_SHIPPED = b"\x93memento-ship\x00"  # no pickle starts with it

Buffer = bytes | bytearray | memoryview
Beside = Callable[[pickle.PickleBuffer], object]

_FORMER = "__memento_former_main__"
_script_pid = 0  # the process that ships: it is the script itself
_has_script = False  # a copy of that process, with all that the script has defined


class _Main(types.ModuleType):
    """A worker's `__main__`.

    Functions that ask for `__file__` find the script's among their globals. `multiprocessing`, which asks the
    module when it spawns a child for a task, must not, nor find the `__spec__` of a script that `-m` started: the
    child would run the whole script again. It gets the definitions that it needs with what is sent to it.
    """

    @property
    def __spec__(self) -> None:  # type: ignore[override]  # that it cannot be set is no loss
        return None

    @property
    def __file__(self) -> str:
        reduction = sys.modules.get("multiprocessing.reduction")
        if reduction is not None:
            reduction.ForkingPickler.reducer_override = _reduce_for_child
        raise AttributeError("__file__")

    @__file__.setter
    def __file__(self, value: str | None) -> None:
        self.__dict__["__file__"] = value


def _reduce_for_child(_: Any, obj: Any) -> Any:
    """Send a definition of the script to a child of a task, which has no `__main__` to find it in."""
    if isinstance(obj, DEFINED) and named(obj) is not None:
        return loads, (dumps(obj),)
    return NotImplemented


def install_main(script: Script) -> None:
    """Give this worker a `__main__` of its own, which stands for the coordinator's script."""
    if _script_pid == os.getpid():
        return
    tokens.forget()  # in a copy of the script's process they name the script's own
    module = _Main("__main__")
    module.__dict__[_FORMER] = sys.modules.get("__main__")  # were it to go, so would what it holds
    module.__dict__["__builtins__"] = __builtins__
    module.__package__ = script.module.rpartition(".")[0]  # relative imports inside functions start here
    setattr(module, SCRIPT_ATTRIBUTE, script)
    sys.modules["__main__"] = module


def keep_main(script: Script) -> None:
    """Have the script's own `__main__` be this worker's: it is a copy of the script's process."""
    global _has_script  # which no process loses that has it
    _has_script = True
    module = sys.modules["__main__"]
    setattr(module, SCRIPT_ATTRIBUTE, script)
    module.__class__ = _Main


def main_name() -> str:
    """Return what stands for this process' `__main__` in stored values: the place of the script's file."""
    return script().place


def stands_for_main(name: str) -> bool:
    """Say whether a module's name, or a place in the project, is that of the script that runs here."""
    here = script()
    return name in ("__main__", here.place, here.module)


# ---------------------------------------------------------------- the coordinator's side


class _Definitions:
    """What a pickler of cloudpickle does otherwise: definitions of scripts go by value, and are put in their place."""

    def __init__(self, file: Any, *, protocol: int = 5, **options: Any) -> None:
        super().__init__(file, protocol=protocol, **options)  # type: ignore[call-arg]  # of cloudpickle's pickler
        self.found: dict[str, Definition] = {}

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.CodeType):
            # cloudpickle drops the file's name, and with it the source lines of every traceback.
            return marshal.loads, (marshal.dumps(obj),)
        if type(obj) is functools.cached_property:
            return _cached_property, (obj.func, obj.attrname)  # it holds a lock before Python 3.12
        if type(obj) in (weakref.WeakKeyDictionary, weakref.WeakValueDictionary):
            return type(obj), (dict(obj),)  # the cache of functools.singledispatch is one
        if type(obj) is weakref.WeakSet:
            return weakref.WeakSet, (list(obj),)
        if type(obj) is CACHED_FUNCTION:
            return self.cached(obj)
        memory = reduce_memory(obj)
        if memory is not NotImplemented:
            return memory
        if not isinstance(obj, (type, types.FunctionType)):
            return self.by_cloudpickle(obj)
        module = getattr(obj, "__module__", None)
        foreign = isinstance(module, str) and module != "__main__" and module in sys.modules
        if isinstance(module, str) and foreign and (module in by_value or not is_importable(module)):
            import cloudpickle

            home = sys.modules[module]
            with system.turn():  # the registry is the process' own: another thread would take a name for good
                registered = module in cloudpickle.list_registry_pickle_by_value()
                if not registered:
                    cloudpickle.register_pickle_by_value(home)
                try:
                    reduced = self.by_cloudpickle(obj)
                finally:
                    if not registered:
                        cloudpickle.unregister_pickle_by_value(home)
        else:
            reduced = self.by_cloudpickle(obj)
        if not isinstance(reduced, tuple) or len(reduced) < 6:
            return reduced
        return self.wrap(obj, _whole_class(obj, reduced))

    def by_cloudpickle(self, obj: Any) -> Any:
        """Return what cloudpickle itself makes of an object."""
        return super().reducer_override(obj)  # type: ignore[misc]  # of cloudpickle's pickler

    def cached(self, obj: Any) -> Any:
        """Pickle a function under `functools.cache`, which pickles itself by a name that workers lack."""
        if named(obj) is None and stands_under_its_name(obj):
            return NotImplemented  # in a module that workers import
        args = (obj.__wrapped__, obj.cache_parameters())
        return self.wrap(obj, (_cached_function, args, None, None, None, _keep))

    def wrap(self, obj: Any, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
        """Say where a definition belongs, so that it is made once and put there."""
        make, args, state, _, _, set_state = reduced[:6]
        module = module_of(obj) or "__main__"
        name = named(obj)
        if isinstance(obj, types.FunctionType):
            if module == "__main__" or module in by_value or not is_importable(module):
                # Functions of one module share its globals, there as here.
                args = (args[0], _Globals(module), *args[2:])
            if name is None:
                return make, args, (set_state, state), None, None, _set_function
        elif isinstance(obj, CACHED_FUNCTION) and name is None:
            return make, args
        elif name is None:
            return reduced  # nobody can look it up, like an older edition of a class that was defined anew
        token = tokens.of(obj)
        return (
            _define,
            (module, name[1], token, make, args),
            (token, set_state, state),
            None,
            None,
            _complete,
        )


@functools.cache
def picklers() -> tuple[type[Any], type[Any]]:
    """Make the two picklers, when the first is needed: cloudpickle costs 30 ms to import."""
    import cloudpickle

    class ByValue(_Definitions, cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
        """Pickles definitions of scripts by value, so that the other side can put them in their place."""

    class ByToken(ByValue):
        """Pickles an object with tokens for definitions, and notes which ones it needs."""

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, DEFINED):
                name = named(obj)
                if name is not None:
                    token = tokens.of(obj)
                    self.found[token] = Definition(*name, obj)
                    return _look_up, (token,)
            reduced = super().reducer_override(obj)
            if isinstance(obj, type) and isinstance(reduced, tuple) and len(reduced) == 6:
                make, args, state, _, _, set_state = reduced
                place = (id(obj), obj.__base__, obj.__qualname__)
                return _nameless, (*place, make, args), (set_state, state), None, None, _fill_nameless
            return reduced

    return ByValue, ByToken


def _cached_property(func: Callable[..., Any], name: str | None) -> Any:
    made = functools.cached_property(func)
    made.attrname = name
    return made


def _cached_function(func: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(func)


def _keep(obj: Any, state: None) -> None:
    """Set no state: what was made is complete."""


def _whole_class(obj: Any, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Have a class made as it was written, where cloudpickle's way would fail or lose something."""
    make, args = reduced[:2]
    if make.__name__ != "_make_skeleton_class":
        return reduced
    attributes, slots = reduced[2]
    # Empty slots of a NamedTuple are made with it.
    named_tuple = getattr(sys.modules.get("typing"), "NamedTuple", obj)
    if "__slots__" in obj.__dict__ and not any(base is named_tuple for base in args[2]):
        # cloudpickle sets `__slots__` when the class is made already, and that means nothing.
        args = (*args[:3], {**args[3], "__slots__": obj.__slots__}, *args[4:])
        # Slots with two leading underscores stand under another name than `__slots__` tells.
        attributes = {n: v for n, v in attributes.items() if not isinstance(v, types.MemberDescriptorType)}
    return _make_class, (make, *args), (attributes, slots), *reduced[3:]


class _Quiet:
    """Keeps the `__init_subclass__` of the bases behind it from being called."""

    def __init_subclass__(cls, **_: Any) -> None:
        pass


def _make_class(make: Callable[..., type], kind: type, name: str, bases: tuple[Any, ...], *rest: Any) -> type:
    try:
        return make(kind, name, bases, *rest)
    except TypeError:
        # The bases' `__init_subclass__` wants arguments, which are not known any more; what it did is in the state.
        made = make(kind, name, (_Quiet, *bases), *rest)
        made.__bases__ = types.resolve_bases(bases)
        return made


class _Globals:
    """Stands for a module's globals in a pickle."""

    def __init__(self, module: str) -> None:
        self.module = module

    def __reduce__(self) -> tuple[Any, ...]:
        return _globals_of, (self.module,)


class _NotPlain(Exception):
    """There is more in it than Python's own plain data."""


class _Plain(pickle.Pickler):
    """Pickles numbers, texts and containers of them: what takes the same bytes by any pickler, cloudpickle's import
    aside."""

    def reducer_override(self, obj: Any) -> Any:
        raise _NotPlain  # asked for everything else


def dumps(obj: Any, files: SharedFiles | None = None) -> bytes:
    """Pickle something for a worker; what is large in it goes into `files`, where there are any."""
    if files is None or not files.is_ours:
        return _dumped(obj, [], None)
    parts: list[memoryview] = []
    body = _dumped(obj, parts, shared_files.beside(parts))
    if len(body) + sum(part.nbytes for part in parts) >= shared_files.LARGE:
        return shared_files.pack(body, parts, files)
    return _dumped(obj, [], None) if parts else body


def _dumped(obj: Any, parts: list[memoryview], beside: Beside | None) -> bytes:
    """Pickle something; `beside` is told of its buffers, and may put some into `parts`."""
    global _script_pid  # a fork of this process has another pid, and is a worker
    plain = io.BytesIO()
    try:
        _Plain(plain, protocol=5).dump(obj)
        return plain.getvalue()
    except _NotPlain:
        pass
    if not _script_pid or not hasattr(sys.modules["__main__"], SCRIPT_ATTRIBUTE):
        _script_pid = os.getpid()
    file = io.BytesIO()
    pickler = picklers()[1](file, buffer_callback=beside)
    pickler.dump(obj)
    body = file.getvalue()
    if not pickler.found:
        return body
    own = len(parts)  # those of the object itself; the definitions' follow
    return _SHIPPED + pickle.dumps(
        (
            {token: (it.module, it.qualname) for token, it in pickler.found.items()},
            dump_definitions(pickler.found.values(), beside),
            body,
            own,
        ),
        protocol=5,
    )


def dump_definitions(definitions: Iterable[Definition], beside: Beside | None = None) -> bytes:
    """Pickle classes and functions of scripts by value, with all that they need."""
    roots: dict[str, Any] = {}
    for definition in definitions:
        # A nested class is found through the class around it, so that one comes first.
        outer = definition.qualname.partition(".")[0]
        home = sys.modules.get(definition.module)
        roots[f"{definition.module}:{outer}"] = getattr(home, outer, definition.object)
        roots[f"{definition.module}:{definition.qualname}"] = definition.object
    file = io.BytesIO()
    picklers()[0](file, buffer_callback=beside).dump(list(roots.values()))
    return file.getvalue()


# ---------------------------------------------------------------- the worker's side


def loads(data: Buffer) -> Any:
    """Unpickle what `dumps` made."""
    data, buffers = shared_files.unpack(data)
    if bytes(data[: len(_SHIPPED)]) != _SHIPPED:
        return pickle.loads(data, buffers=buffers)
    needed, definitions, body, own = pickle.loads(memoryview(data)[len(_SHIPPED) :])
    if not all(_is_here(token, *name) for token, name in needed.items()):
        pickle.loads(definitions, buffers=buffers[own:])
    return pickle.loads(body, buffers=buffers[:own])


def _is_here(token: str, module: str, qualname: str) -> bool:
    """Tell whether a definition is known by its token; a copy of the script knows it by name, too."""
    if tokens.get(token) is not None:
        return token not in _unfinished
    found: Any = sys.modules.get(module) if _has_script else None
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if isinstance(found, DEFINED):
        tokens.put(token, found)
        return True
    return False


def _module(name: str, homes: dict[str, types.ModuleType] | None = None) -> types.ModuleType:
    """Return the module that definitions of that name belong to; made where a worker cannot import it."""
    found = homes.get(name) if homes else None
    if found is None:
        found = sys.modules.get(name)
    if found is None:
        found = sys.modules[name] = types.ModuleType(name)
        by_value.add(name)
    return found


class _Elsewhere(pickle.Unpickler):
    """Reads definitions into other modules than those of their names."""

    def __init__(self, data: Buffer, homes: dict[str, types.ModuleType]) -> None:
        super().__init__(io.BytesIO(data))
        self.homes = homes

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module == __name__ and name in ("_define", "_globals_of"):
            return functools.partial(found, homes=self.homes)
        return found


def load_definitions(data: Buffer, homes: dict[str, types.ModuleType]) -> None:
    """Unpickle what `dump_definitions` made, into the given modules."""
    _Elsewhere(data, homes).load()


def _globals_of(module: str, homes: dict[str, types.ModuleType] | None = None) -> dict[str, Any]:
    return _module(module, homes).__dict__


def _look_up(token: str) -> Any:
    found = tokens.get(token)
    if found is None:
        raise pickle.UnpicklingError(
            "a class or function of the script was not sent along; this is a fault of Memento"
        )
    return found


def _define(
    module: str,
    qualname: str,
    token: str,
    make: Callable[..., Any],
    args: tuple[Any, ...],
    homes: dict[str, types.ModuleType] | None = None,
) -> Any:
    """Make a class or function, or return it where this process has it already."""
    found = tokens.get(token)
    if found is not None:
        if homes is not None and "." not in qualname:
            setattr(_module(module, homes), qualname, found)
        return found
    made = make(*args)
    made.__module__ = module
    made.__qualname__ = qualname  # cloudpickle keeps the plain name of a nested class only
    # Marked until its state has arrived; a class may be asked for again before (it refers to itself), and by other
    # threads.
    _unfinished.add(token)
    made = tokens.keep(token, made)
    if "." not in qualname:
        setattr(_module(module, homes), qualname, made)
    return made


def _nameless(
    address: int, base: type, qualname: str, make: Callable[..., type], args: tuple[Any, ...]
) -> type:
    """Make a class that no name leads to; a copy of the script's process has it, where it was in memory."""
    if _has_script:
        found: type
        for found in type.__subclasses__(base):
            if id(found) == address and found.__qualname__ == qualname:
                _at_home.add(found)
                return found
    return make(*args)


_at_home: weakref.WeakSet[type] = weakref.WeakSet()


def _fill_nameless(made: type, stated: tuple[Callable[..., Any], Any]) -> None:
    set_state, state = stated
    if made not in _at_home:
        set_state(made, state)


_unfinished: set[str] = set()


def _complete(obj: Any, stated: tuple[str, Callable[..., Any], Any]) -> None:
    """Fill in what was defined, once: whatever the task has changed in a class since stays."""
    token, set_state, state = stated
    if token not in _unfinished:
        return
    if isinstance(obj, types.FunctionType):
        _set_function(obj, (set_state, state))
    else:
        set_state(obj, state)
    _unfinished.discard(token)  # only now: another thread takes what is not marked as it is


def _set_function(func: Any, stated: tuple[Callable[..., Any], Any]) -> None:
    """Fill in a function; globals that its module has by now are not set back."""
    set_state, (attributes, slots) = stated
    there = func.__globals__
    slots = dict(slots)
    slots["__globals__"] = {
        name: value for name, value in slots.get("__globals__", {}).items() if name not in there
    }
    set_state(func, (attributes, slots))
