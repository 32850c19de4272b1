"""Describe the experiment's code: its own function and what of the user's project it reaches.

Knows: functions, classes, the globals they name. May not know: tasks, the store, policies.

Nothing is imported or executed, and nothing here raises: what cannot be read is named as unknown.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Iterator

from memento.hints import Any
from memento.keys import source
from memento.keys.blake2 import blake2b
from memento.keys.imports import imported_modules
from memento.keys.kinds import digest
from memento.keys.names import file_of_module, is_project_module, module_name, qualified_name
from memento.keys.source import Found

_PLAIN = (int, float, complex, str, bytes, bool, type(None), range)
_MOST = 5_000  # items looked at; a project's reach is far below


class CodeVersion:
    """The experiment's code at one moment.

    Parameters
    ----------
    marks : dict
        What counts: name -> digest -> definition or text that people may read; several may have one name.
    """

    def __init__(self, marks: dict[str, dict[str, Found | str | None]]) -> None:
        self._found = marks
        self._marks = dict(sorted(_named(marks)))
        self.digest = digest([(name, mark) for name, (mark, _) in self._marks.items()])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeVersion) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def names(self) -> tuple[str, ...]:
        """What counts, by name."""
        return tuple(self._marks)

    @functools.cached_property
    def functions(self) -> dict[str, tuple[str, str]]:
        """Each name with its digest and its source, written out when it is asked for: a cached run asks for none."""
        return {
            name: (mark, told if isinstance(told, str) else source.readable(told))
            for name, (mark, told) in self._marks.items()
        }


def _named(
    marks: dict[str, dict[str, Found | str | None]],
) -> Iterator[tuple[str, tuple[str, Found | str | None]]]:
    """Yield what was found by name; of several of one name all but the first carry their digest too."""
    for name, several in marks.items():
        for i, mark in enumerate(sorted(several)):  # in no order that depends on the way here
            yield f"{name}#{mark[:16]}" if i else name, (mark, several[mark])


def combined(versions: Iterable[CodeVersion]) -> CodeVersion:
    """Return the version that takes in all that several count; their order and repetition make no difference.

    Parameters
    ----------
    versions : iterable of CodeVersion
        That of the experiment, and those of a task's values.

    Returns
    -------
    CodeVersion
        Of one version alone, the same digest.

    Examples
    --------
    >>> combined([]).functions
    {}
    """
    found: dict[str, dict[str, Found | str | None]] = {}
    for version in versions:
        for name, several in version._found.items():
            found.setdefault(name, {}).update(several)
    return CodeVersion(found)


def value_code(value: Any) -> CodeVersion | None:
    """Return the code of the project that a value brings with it, or None where it brings none.

    Parameters
    ----------
    value : object
        A parameter's value or a setting.

    Returns
    -------
    CodeVersion or None
        Of functions, classes, and what instances and containers hold of these.

    Examples
    --------
    >>> value_code(1) is None and value_code([len, {"a": 1.5}]) is None
    True
    """
    if type(value) in _PLAIN:
        return None
    reach = _Reach()
    reach.follow(value)
    return CodeVersion(reach.marks) if reach.marks else None


def code_version(func: Any, also: Iterable[Any] = ()) -> CodeVersion:
    """Return the version of an experiment's code: itself and what of the user's project it reaches.

    Parameters
    ----------
    func : callable
        The experiment.
    also : iterable of object, default=()
        More places to start from, such as functions among the parameters' values.

    Returns
    -------
    CodeVersion
        Its digest ignores comments, docstrings, formatting and line numbers.

    Examples
    --------
    >>> code_version(len).functions
    {}
    """
    reach = _Reach()
    reach.state(func)
    reach.follow(func)
    for value in also:
        reach.follow(value)
    return CodeVersion(reach.marks)


class _Reach:
    """The functions, classes and constants seen so far."""

    def __init__(self) -> None:
        # name -> digest -> what people may read; several may have one name
        self.marks: dict[str, dict[str, Found | str | None]] = {}
        self._seen: dict[int, Any] = {}  # kept, so that no id is used twice

    def _note(self, name: str, mark: str, told: Found | str | None) -> None:
        self.marks.setdefault(name, {}).setdefault(mark, told)

    def state(self, func: Any) -> None:
        """Note what an experiment that is an object, or a method of one, holds."""
        while isinstance(func, functools.partial):
            func = func.func
        owner = func.__self__ if isinstance(func, types.MethodType) else func
        if isinstance(owner, (type, types.FunctionType)) or not is_project_module(type(owner).__module__):
            return
        from memento.keys.objects import attributes

        for name, value in attributes(owner).items():
            self._given(f"{qualified_name(type(owner))}.{name}", value)

    def follow(self, start: Any) -> None:
        todo = [start]
        while todo and len(self._seen) < _MOST:
            item = todo.pop()
            if id(item) in self._seen:
                continue
            self._seen[id(item)] = item
            try:
                todo.extend(self._visit(item))
            except Exception as error:
                name = f"unknown:{qualified_name(item) if callable(item) else type(item).__name__}"
                self._note(name, type(error).__name__, "")

    def _visit(self, item: Any) -> Iterator[Any]:
        if isinstance(item, types.FunctionType):
            yield from self._function(item)
        elif isinstance(item, type):
            yield from self._class(item)
        elif isinstance(item, types.MethodType):
            yield from (item.__func__, item.__self__)
        elif isinstance(item, functools.partial):
            owner = qualified_name(item.func)
            for name, value in (*enumerate(item.args), *item.keywords.items()):
                self._given(f"{owner}({name})", value)
            yield from (item.func, *item.args, *item.keywords.values())
        elif isinstance(item, (staticmethod, classmethod)):
            yield item.__func__
        elif isinstance(item, property):
            yield from (f for f in (item.fget, item.fset, item.fdel) if f is not None)
        elif isinstance(item, (list, tuple, set, frozenset)):
            yield from list(item)[:1000]
        elif isinstance(item, dict):
            yield from list(item.values())[:1000]
        elif not isinstance(item, (*_PLAIN, types.ModuleType)):
            yield type(item)
            if type(item).__module__ == "functools":  # lru_cache
                yield getattr(item, "__wrapped__", None)

    def _function(self, func: types.FunctionType) -> Iterator[Any]:
        home = func.__globals__.get("__name__")
        if isinstance(getattr(func, "__wrapped__", None), types.FunctionType):
            yield func.__wrapped__  # type: ignore[attr-defined]
        if not is_project_module(home if isinstance(home, str) else None):
            return
        found = source.find_function(func)
        name = f"{module_name(home)}:{found.qualname if found else func.__qualname__}"
        form = source.normal_form(found.tree) if found else source.code_form(func.__code__)
        self._add(name, form, found)
        yield from self._defaults(func, name, found)
        yield from self._captured(func, name)
        if found is not None:
            self._imports(found, func.__globals__)
        yield from self._named(func, found, module_name(home))

    def _imports(self, found: Found, space: dict[str, Any]) -> None:
        for name, module in imported_modules(found.tree, str(space.get("__package__") or "")).items():
            self._add(f"module:{name}", source.normal_form(module.tree), module)

    def _defaults(self, func: types.FunctionType, name: str, found: Found | None) -> Iterator[Any]:
        values = func.__defaults__ or ()
        count = func.__code__.co_argcount
        names = func.__code__.co_varnames[count - len(values) : count]
        written = source.literal_defaults(found)  # the function's own source tells these
        for parameter, value in (*zip(names, values, strict=True), *(func.__kwdefaults__ or {}).items()):
            if parameter not in written:
                self._given(f"{name}({parameter}=)", value)
            yield value

    def _captured(self, func: types.FunctionType, name: str) -> Iterator[Any]:
        for variable, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                continue  # not assigned yet
            self._given(f"{name}[{variable}]", value)
            yield value

    def _given(self, name: str, value: Any) -> None:
        """Count plain data that code was made with: captured, a partial's argument, an object's attribute."""
        if _is_plain_container(value):
            self._mark(name, value)

    def _named(self, func: types.FunctionType, found: Found | None, home: str) -> Iterator[Any]:
        for chain in source.outer_names(func, found):
            space: Any = func.__globals__
            owner = home
            for name in chain:
                if name not in space:
                    break
                value = space[name]
                if isinstance(value, types.ModuleType):
                    if not is_project_module(value.__name__):
                        break
                    space, owner = vars(value), module_name(value.__name__)
                    continue
                self._constant(f"{owner}:{name}", value)
                yield value
                break

    def _constant(self, name: str, value: Any) -> None:
        bare = name.rpartition(":")[2]
        # What can change in place is a constant only if it is written like one.
        if _is_plain(value) or (bare.isupper() and _is_plain_container(value)):
            self._mark(name, value)

    def _mark(self, name: str, value: Any) -> None:
        try:
            mark = digest(value).hex()
        except Exception:
            return
        self._note(name, mark, f"{name.rpartition(':')[2]} = {repr(value)[:500]}")

    def _class(self, cls: type) -> Iterator[Any]:
        if not is_project_module(cls.__module__):
            return
        file = file_of_module(cls.__module__)
        found = source.find_class(cls, file)
        form = source.normal_form(found.tree) if found else _class_form(cls)
        self._add(qualified_name(cls), form, found)
        yield from cls.__bases__
        yield type(cls)
        for func in source.methods(cls):
            method = source.find_function(func)
            if method is not None:
                self._imports(method, func.__globals__)
            name = f"{module_name(cls.__module__)}:{func.__qualname__}"
            yield from self._captured(func, name)
            yield from self._defaults(func, name, method)
            yield from self._named(func, method, module_name(cls.__module__))

    def _add(self, name: str, form: str, found: Found | None) -> None:
        mark = blake2b(form.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        self._note(name, mark, found)


def _class_form(cls: type) -> str:
    return "".join(
        source.code_form(f.__code__) for f in sorted(source.methods(cls), key=lambda f: f.__qualname__)
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, frozenset)):
        return len(value) <= 1000 and all(map(_is_plain, value))
    return type(value) in _PLAIN


def _is_plain_container(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value) <= 1000 and all(_is_plain(k) and _is_plain_container(v) for k, v in value.items())
    if isinstance(value, (list, set)):
        return len(value) <= 1000 and all(map(_is_plain_container, value))
    return _is_plain(value)
