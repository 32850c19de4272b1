"""Follow code through the user's project, and mark all that counts.

Knows: functions, classes, modules, the data that they read. May not know: tasks, the store, policies.

Nothing is imported, and nothing here raises: what cannot be read is marked as unknown. What is reached is marked by
name: a definition by its normal form, data by its digest. Code in data is followed and counts on its own.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from memento.keys import find_source
from memento.keys.ast_normal_form import Found, code_form, normal_form
from memento.keys.class_body import content, functions_in, methods, noted
from memento.keys.code_files import Program, imported_modules, with_imports
from memento.keys.data_digest import DataEncoder, form_of
from memento.keys.encode import LEAVES
from memento.keys.global_names import OF_MODULES, Chain, all_names, header_names, reads_of
from memento.keys.held_values import (
    attributes_of,
    is_class,
    is_loaded_by_hand,
    is_project_class,
    may_lead_to_project,
    parts_of,
    put_into,
)  # fmt: skip
from memento.keys.names import (
    file_of_module,
    is_project_function,
    is_project_module,
    is_project_package,
    module_name,
    qualified_name,
)  # fmt: skip
from memento.keys.project_files import is_project_file, place_of_file
from memento.keys.readable import outline

Told = Found | str | None
Marks = dict[str, dict[str, Told]]  # name -> digest -> what people may read; several may have one name

_COMPILED = ("builtin_function_or_method", "cython_function_or_method", "fused_cython_function")
_READABLE = (".py", ".pyw", ".ipynb")
_MOST = 100_000  # objects looked at, some 0.2 s; a project's reach is far below

# Annotations and options stand in the source, whose names are followed.
_TOLD_ELSEWHERE = ("__annotations__", "__annotate__", "__annotate_func__", "__orig_bases__", "dataclass()")


class CodeWalk:
    """The functions, classes, modules and data seen so far."""

    def __init__(self) -> None:
        self.marks: Marks = {}
        self.unfollowed: set[tuple[str, str]] = set()
        self._seen: dict[int, Any] = {}  # kept, so that no id is used twice
        self._bound_to: dict[str, Any] = {}
        self._asks_subclasses = False

    def follow(self, start: Any) -> None:
        """Mark what a value reaches: the code among it, and what that reads."""
        todo = [start]
        while todo or (self._asks_subclasses and (todo := self._subclasses())):
            item = todo.pop()
            if type(item) in LEAVES or id(item) in self._seen:
                continue
            if len(self._seen) >= _MOST:
                self.unfollowed.add(("objects", f"more than {_MOST:,} are reached"))
                return
            self._seen[id(item)] = item
            try:
                todo.extend(self._visit(item))
            except Exception as error:
                code = code_form(item.__code__) if isinstance(item, types.FunctionType) else ""
                self._note(f"unknown:{_name_of(item)}", _hash(f"{type(error).__name__}{code}"), "")
                self.unfollowed.add((_name_of(item), f"reading it raised {type(error).__name__}"))

    def _subclasses(self) -> list[type]:
        """Return the classes that ``__subclasses__()`` of those seen would find, less those seen."""
        classes = [cls for cls in self._seen.values() if is_class(cls) and is_project_module(cls.__module__)]
        return [sub for cls in classes for sub in type.__subclasses__(cls) if id(sub) not in self._seen]

    def state(self, func: Any) -> None:
        """Mark what an experiment that is a partial, an object or a method of one was made with."""
        while isinstance(func, functools.partial):
            for name, value in (*enumerate(func.args), *func.keywords.items()):
                self._bound(f"{_name_of(func.func)}({name})", value, "")
            func = func.func
        owner = func.__self__ if isinstance(func, types.MethodType) else func
        if not isinstance(owner, (type, types.FunctionType)) and is_project_module(type(owner).__module__):
            for name, value in attributes_of(owner).items():
                self._bound(f"{qualified_name(type(owner))}.{name}", value, type(owner).__module__)

    def _visit(self, item: Any) -> Iterator[Any]:
        cls: Any = type(item)
        if isinstance(item, types.FunctionType):
            yield from self._function(item)
        elif is_class(item):
            yield from self._class(item)
        elif isinstance(item, types.ModuleType):
            self._whole_module(item)
        else:
            if cls.__name__ in _COMPILED:
                self._compiled(qualified_name(item), item.__module__)
            if isinstance(item, Program):
                for name, text, told in item.code():
                    self._note(name, _hash(text), told)
                self.unfollowed.update(
                    (text, "which file it is differs from task to task") for text in item.unfollowed()
                )
            yield cls
            yield from parts_of(item)

    # -- marks -------------------------------------------------------------------------------------------

    def _note(self, name: str, mark: str, told: Told) -> None:
        self.marks.setdefault(name, {}).setdefault(mark, told)

    def _bound(self, name: str, value: Any, module: str) -> None:
        """Mark what a name stands for: data by its content, code by its name."""
        if name in self._bound_to and self._bound_to[name] is value:
            return  # fifty functions may read one large array
        self._bound_to[name] = value
        encoder = DataEncoder(module)
        mark = encoder.digest(value)
        text, whole = outline(value)
        self._note(name, mark, f"{name.rpartition(':')[2]} = {text}{'' if whole else f' #{mark[:8]}'}")
        self.unfollowed.update((name, f"a {kind} counts by its type only") for kind in encoder.unkeyable)

    # -- functions ---------------------------------------------------------------------------------------

    def _function(self, func: types.FunctionType) -> Iterator[Any]:
        space = func.__globals__
        yield vars(func).get("__wrapped__")
        if not is_project_function(func):
            yield from self._of_library(func)
            return
        found = find_source.find_function(func)
        name = f"{_home(space)}:{found.qualname if found else func.__qualname__}"
        self._note(name, _hash(form_of(func, found)), found)
        yield from self._made_with(func, name, found)
        yield from self._asked(func, found)

    def _of_library(self, func: types.FunctionType) -> Iterator[Any]:
        """Yield what a library's function was made of: a decorator's holds the user's function."""
        registry = vars(func).get("registry")
        if isinstance(registry, types.MappingProxyType):  # functools.singledispatch
            self._bound(f"{qualified_name(func)}.registry", dict(registry), func.__module__)
        yield from find_source.filled_cells(func).values()

    def _made_with(self, func: types.FunctionType, name: str, found: Found | None) -> Iterator[Any]:
        """Mark and yield a function's defaults, cells and attributes."""
        written = find_source.literal_defaults(found)  # the function's own source tells these
        given = [
            (f"{name}({parameter}=)", value)
            for parameter, value in find_source.defaults_of(func).items()
            if parameter not in written or repr(written[parameter]) != repr(value)  # set later
        ]
        given += [
            (f"{name}[{var}]", value)
            for var, value in find_source.filled_cells(func).items()
            if var != "__class__"
        ]
        given += [(f"{name}.{key}", value) for key, value in vars(func).items() if key != "__wrapped__"]
        for bound, value in given:
            self._bound(bound, value, func.__module__)
            yield value

    def _asked(self, func: types.FunctionType, found: Found | None) -> Iterator[Any]:
        """Mark and yield what a function reads of its module, and the modules that it imports."""
        reads = reads_of(func, found)
        names = reads.names
        if found is not None:
            self._modules(imported_modules(found.tree, str(func.__globals__.get("__package__") or "")))
            names += header_names(found.tree)
        self._asks_subclasses |= "__subclasses__" in all_names(func.__code__)
        yield from self._read(names, func.__globals__, func.__code__.co_filename)
        where = qualified_name(func)
        self.unfollowed.update((where, f"{text} looks names up as text") for text in reads.by_text)

    def _compiled(self, name: str, module: str | None) -> None:
        """Tell that code of a module cannot be read, if the module is compiled and the user's."""
        file = file_of_module(module)
        if file is not None and not file.endswith(_READABLE) and is_project_file(file):
            self.unfollowed.add((name, "it is compiled code"))

    # -- what is read of modules -------------------------------------------------------------------------

    def _read(self, chains: Iterable[Chain], space: dict[str, Any], file: str) -> Iterator[Any]:
        """Mark and yield what names stand for in a module, through the modules of the project that they lead to."""
        for chain in chains:
            module, here, text = None, space, file
            for i, name in enumerate(chain):
                if name in OF_MODULES:
                    yield module if name == "__dict__" else None
                    break
                if name not in here:
                    if module is not None:
                        yield from (here.get("__getattr__"), type(module))  # it may have another class
                    break
                value = here[name]
                if not isinstance(value, types.ModuleType):
                    yield self._global(name, value, here, text)
                    break
                self._alias(name, value, here, text)
                if not is_project_package(value):
                    yield _instance_in(value, chain[i + 1 : i + 2])
                    break
                if i + 1 == len(chain):
                    yield value
                module, here, text = value, vars(value), str(value.__dict__.get("__file__"))

    def _alias(self, name: str, module: types.ModuleType, space: dict[str, Any], file: str) -> None:
        """Mark which module a name stands for, where it is not the module's own."""
        if name not in (module.__name__, module.__name__.rpartition(".")[2]):
            known = find_source.imported_as(name, module, file) or module_name(module.__name__)
            self._note(_name_in(space, name), _hash(known), f"{name} = {known}")

    def _global(self, name: str, value: Any, space: dict[str, Any], file: str) -> Any:
        """Mark what a global stands for; return it, or None for a library's code, which is not followed."""
        full = _name_in(space, name)
        known = find_source.imported_as(name, value, file)
        if known is not None:
            self._note(full, _hash(known), f"{name} = {known}")
            return value if may_lead_to_project(value) else None
        code = value
        while not isinstance(code, (types.FunctionType, type)) and type(code).__module__ == "functools":
            code = getattr(code, "__wrapped__", None)  # lru_cache
        if not isinstance(code, (types.FunctionType, type)) or qualified_name(code) != full:
            self._bound(full, value, str(space.get("__name__")))
        return value

    # -- classes -----------------------------------------------------------------------------------------

    def _class(self, cls: type) -> Iterator[Any]:
        if not is_project_class(cls):
            yield from put_into(cls)
            return
        name = qualified_name(cls)
        found = find_source.find_class(cls)
        self._compiled(name, cls.__module__)
        self._note(name, _hash(form_of(cls, found)), found)
        yield from cls.__bases__
        yield type(cls)
        if found is not None:
            space = vars(sys.modules.get(cls.__module__, types))
            space = next((f.__globals__ for f in methods(cls) if is_loaded_by_hand(cls)), space)
            yield from self._read(header_names(found.tree), space, found.file)
        for func in methods(cls):
            method = find_source.find_function(func)
            if func.__globals__.get("__name__") != cls.__module__ or not _is_within(method, found):
                yield func  # what a decorator made of it
                continue
            yield from self._made_with(func, f"{module_name(cls.__module__)}:{func.__qualname__}", method)
            yield from self._asked(func, method)
        yield from self._attributes(cls, name, found)

    def _attributes(self, cls: type, name: str, found: Found | None) -> Iterator[Any]:
        """Mark and yield what a class holds besides its methods, less what its source tells."""
        own = set(methods(cls))
        assigned = find_source.assigned_attributes(found.tree) if found is not None else {}
        written = find_source.literal_attributes(found.tree) if found is not None else {}
        for full, value in content(cls).items():
            key = full.removesuffix(".default")
            functions = functions_in(value)
            if full in _TOLD_ELSEWHERE or (functions and own.issuperset(functions)):
                continue
            if key.startswith("__") and key.endswith("__") and key not in assigned:
                continue  # Python's own, which differs between its versions
            literal = written.get(key, written)
            told = type(literal) is type(value) and (literal == value or literal != literal)
            if not told and not (found is not None and key.endswith(".annotation")):
                self._bound(f"{name}.{key}", value, cls.__module__)
            yield value
        for key, parts in noted(cls).items():
            self._bound(f"{name}.{key} (field)", parts, cls.__module__)
            yield parts

    # -- whole modules -----------------------------------------------------------------------------------

    def _whole_module(self, module: types.ModuleType) -> None:
        """Mark a module that is handed on as a value: anything of it may be used."""
        file = module.__dict__.get("__file__")
        self._compiled(module.__name__, module.__name__)
        if isinstance(file, str) and is_project_file(file):
            name = module_name(module.__name__) if module.__name__ == "__main__" else module.__name__
            self._modules(with_imports(name, file, is_package="__path__" in module.__dict__))

    def _modules(self, modules: dict[str, Found]) -> None:
        for name, module in modules.items():
            self._note(f"module:{name}", _hash(normal_form(module.tree)), module)


def _name_of(item: Any) -> str:
    """Return the name of code, and of all else that of its class: an object's own attributes are not asked."""
    code = isinstance(item, (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType))
    return qualified_name(item if code else type(item))


def _is_within(method: Found | None, cls: Found | None) -> bool:
    """Say whether the source of a class, or its code where there is no source, tells the code of a method."""
    if method is None or cls is None:
        return method is cls
    return method.file == cls.file and cls.line <= method.line <= getattr(cls.tree, "end_lineno", 0)


def _instance_in(library: types.ModuleType, names: Chain) -> Any:
    """Return the object that a library's module has under a name, such as a registry; None for its code."""
    value = vars(library).get(names[0]) if names else None
    return value if may_lead_to_project(value) else None


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _home(space: dict[str, Any]) -> str:
    """Return the name of the module that a function's globals belong to."""
    file = space.get("__file__")
    place = place_of_file(file) if isinstance(file, str) else None
    return place or module_name(str(space.get("__name__")))


def _name_in(space: dict[str, Any], name: str) -> str:
    return f"{_home(space)}:{name}"
