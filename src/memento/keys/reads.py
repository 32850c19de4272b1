"""Tell what a piece of code reads of its module: the names that it looks up, and what it looks up by text.

Knows: syntax trees, code objects. May not know: live objects, what is the project's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.keys.forms import children, walk

if TYPE_CHECKING:
    import ast

    from memento.keys.source import Found
else:
    import _ast as ast  # see `forms`

Chain = tuple[str, ...]

_FILES = frozenset({"spec_from_file_location", "SourceFileLoader", "run_path", "run_module"})
_GLOBAL_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_BY_TEXT = frozenset({"eval", "exec", "globals", "__import__", "import_module", "modules", *_FILES})
_ONLY_TREE = 0x400  # ast.PyCF_ONLY_AST

# What every module has, whatever its user writes: it differs from place to place, and from run to run.
OF_MODULES = frozenset({
    "__name__", "__file__", "__spec__", "__doc__", "__builtins__", "__package__", "__loader__", "__cached__",
    "__path__", "__annotations__", "__dict__", "__class__", "__annotate__", "__conditional_annotations__",
})  # fmt: skip


class Reads(NamedTuple):
    """What a definition reads from outside.

    Parameters
    ----------
    names : tuple
        Names with the attributes asked of each: ``helpers.clean(x)`` gives ``("helpers", "clean")``. A name that is
        used in another way stands alone.
    by_text : tuple of str
        What looks names up as text that is not written there, such as ``eval(...)``.
    """

    names: tuple[Chain, ...]
    by_text: tuple[str, ...]


_NOTHING = Reads((), ())


def reads_of(func: FunctionType, found: Found | None) -> Reads:
    """Return what a function looks up among its globals and may find there.

    Parameters
    ----------
    func : function
        A Python function.
    found : Found or None
        Its definition; without one, attributes are not known.

    Returns
    -------
    Reads
        Sorted.

    Examples
    --------
    >>> import json, functools
    >>> reads_of(lambda: json.dumps, None).names
    (('json',),)
    """
    named = all_names(func.__code__)
    if named.isdisjoint(func.__globals__) and named.isdisjoint(_BY_TEXT):
        return _NOTHING  # the usual case of a small experiment; `dis` takes 1 ms to import
    loaded = global_names(func.__code__, with_attributes=found is not None)
    if found is None:
        by_text = tuple(f"{name}(...)" for name in sorted(loaded & _BY_TEXT - set(func.__globals__)))
        return Reads(tuple((name,) for name in sorted(loaded)), by_text)
    reader = _Reader(loaded, func.__globals__)
    reader.read(body_of(found.tree))
    return reader.answer()


def header_names(tree: Any) -> tuple[Chain, ...]:
    """Return what is looked up where a definition is made: its decorators, and the bases and keywords of a class."""
    nodes = [
        *getattr(tree, "decorator_list", ()),
        *getattr(tree, "bases", ()),
        *getattr(tree, "keywords", ()),
    ]
    if not nodes:
        return ()
    reader = _Reader(None, {})
    reader.read(nodes)
    return reader.answer().names


def body_of(tree: Any) -> list[ast.AST]:
    """Return the nodes of a function that are its own: neither its decorators nor its defaults."""
    if isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return list(tree.body)
    return [tree.body] if isinstance(tree, ast.Lambda) else [tree]


def global_names(code: CodeType, with_attributes: bool = False) -> frozenset[str]:
    """Return the names that a code object or one nested in it looks up among globals.

    Not `co_names`: attributes stand there too, and ``self.v = v`` asks for no global ``v``. A superset: in the body of
    a class its own names are among them; where that does no harm, attributes whose names no variable has.
    """
    named, local = all_names(code), _local_names(code)
    if with_attributes and named.isdisjoint(local):
        return frozenset(named)
    import dis

    names = {i.argval for i in dis.get_instructions(code) if i.opname in _GLOBAL_LOADS}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names |= global_names(const)
    return frozenset(names)


def _local_names(code: CodeType) -> set[str]:
    """Return every name of a variable of a code object or one nested in it."""
    names = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names |= _local_names(const)
    return names


def all_names(code: CodeType) -> set[str]:
    """Return every name of an attribute or global in a code object or one nested in it."""
    names = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names |= all_names(const)
    return names


class _Reader:
    """Goes through nodes and collects chains of names.

    Parameters
    ----------
    loaded : set of str or None
        The names that count; all where it is None.
    space : dict
        The globals: what stands there under the name of a builtin is no builtin.
    """

    def __init__(self, loaded: frozenset[str] | None, space: dict[str, Any]) -> None:
        self._loaded = loaded
        self._space = space
        self._names: set[Chain] = set()
        self._by_text: set[str] = set()

    def answer(self) -> Reads:
        return Reads(tuple(sorted(self._names)), tuple(sorted(self._by_text)))

    def read(self, nodes: Iterable[ast.AST]) -> None:
        todo = list(nodes)
        while todo:
            item = todo.pop()
            chain = self._chain(item)
            if chain is None:
                todo += self._looked_up(item) or children(item)
            elif chain and chain[0]:
                self._names.add(chain)

    def _chain(self, item: ast.AST) -> Chain | None:
        """Return the names that an expression consists of; empty where they do not count, None for other nodes."""
        attributes: list[str] = []
        while True:
            if isinstance(item, ast.Attribute):
                attributes.append(item.attr)
                item = item.value
                continue
            asked = _literal_getattr(item)
            if asked is None:
                break
            item, name = asked
            attributes.append(name)
        if isinstance(item, ast.Name):
            start: Chain | None = (item.id,) if self._counts(item.id) else ()
        elif (own := self._own_global(item)) is not None:
            start = (own,)
        else:
            start = None
        return (*start, *reversed(attributes)) if start else start

    def _counts(self, name: str) -> bool:
        return self._loaded is None or name in self._loaded

    def _own_global(self, item: ast.AST) -> str | None:
        """Return the name in ``globals()["name"]`` and its like, "" for a part of it that is no name."""
        if isinstance(item, ast.Subscript) and self._is_call(item.value, "globals"):
            return _text(item.slice)
        if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr == "get":
            return _text(item.args[0]) if self._is_call(item.func.value, "globals") and item.args else None
        return None

    def _is_call(self, item: ast.AST, name: str) -> bool:
        called = item.func if isinstance(item, ast.Call) else None
        return isinstance(called, ast.Name) and called.id == name and name not in self._space

    def _looked_up(self, item: ast.AST) -> list[ast.AST]:
        """Note what an expression looks up by text; return the code that such a text holds."""
        if isinstance(item, ast.Subscript) and _is_attribute(item.value, "sys", "modules"):
            if _text(item.slice) is None:
                self._by_text.add("sys.modules[...]")
            return []
        if not isinstance(item, ast.Call):
            return []
        for name in ("eval", "exec"):
            if self._is_call(item, name):
                return self._evaluated(item, name)
        if self._is_call(item, "globals"):
            self._by_text.add("globals()")
        if is_import_call(item) and imported_by_call(item) is None:
            self._by_text.add("import_module(...)")
        called = item.func.attr if isinstance(item.func, ast.Attribute) else getattr(item.func, "id", None)
        if called in _FILES:
            self._by_text.add(f"{called}(...)")
        return []

    def _evaluated(self, item: ast.Call, name: str) -> list[ast.AST]:
        text = _text(item.args[0]) if item.args else None
        try:
            tree = compile(text or "", "<text>", "exec", _ONLY_TREE, dont_inherit=True) if text else None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            tree = None
        if not isinstance(tree, ast.Module):
            self._by_text.add(f"{name}(...)")
            return []
        inner = _Reader(None, self._space)  # its names stand in no code object
        inner.read(tree.body)
        self._names |= inner._names
        self._by_text |= inner._by_text
        return list(item.args[1:])


def _text(item: ast.AST | None) -> str | None:
    value = item.value if isinstance(item, ast.Constant) else None
    return value if isinstance(value, str) and value else None


def _literal_getattr(item: ast.AST) -> tuple[ast.AST, str] | None:
    """Return the object and the name in ``getattr(object, "name")``."""
    if not isinstance(item, ast.Call) or not isinstance(item.func, ast.Name) or item.func.id != "getattr":
        return None
    name = _text(item.args[1]) if len(item.args) == 2 else None
    return (item.args[0], name) if name is not None else None


def _is_attribute(item: ast.AST, owner: str, name: str) -> bool:
    return (
        isinstance(item, ast.Attribute)
        and item.attr == name
        and isinstance(item.value, ast.Name)
        and item.value.id == owner
    )


def is_import_call(item: ast.AST) -> bool:
    """Say whether an expression imports a module whose name is a text."""
    called = item.func if isinstance(item, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
    return name in ("import_module", "__import__")


def imported_by_call(item: ast.AST) -> str | None:
    """Return the name of the module where it is written out; it may be relative."""
    if isinstance(item, ast.Subscript) and _is_attribute(item.value, "sys", "modules"):
        return _text(item.slice)
    if not isinstance(item, ast.Call) or not is_import_call(item):
        return None
    given = [k.value for k in item.keywords if k.arg == "name"]
    first = item.args[0] if item.args else (given[0] if given else None)
    return _text(first)


def module_bindings(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Return what a module's own import statements bind: name -> (module, name in it); "" for the module itself.

    Examples
    --------
    >>> import ast
    >>> module_bindings(ast.parse("import numpy as np\\nfrom math import sin as s"))
    {'np': ('numpy', ''), 's': ('math', 'sin')}
    """
    found: dict[str, tuple[str, str]] = {}
    for statement in _statements(tree):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.asname:
                    found[alias.asname] = (alias.name, "")
                else:
                    root = alias.name.partition(".")[0]
                    found[root] = (root, "")
        elif isinstance(statement, ast.ImportFrom) and not statement.level and statement.module:
            found.update({a.asname or a.name: (statement.module, a.name) for a in statement.names})
    return found


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements of a module, those in its `if` and `try` too, not those of definitions."""
    todo = [tree]
    while todo:
        for item in children(todo.pop()):
            yield item
            if isinstance(item, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
                todo.append(item)


def imports_something(tree: ast.AST) -> bool:
    """Say whether a piece of code imports modules for itself."""
    return any(
        isinstance(item, (ast.Import, ast.ImportFrom)) or imported_by_call(item) is not None
        for item in walk(tree)
    )


def filled_cells(func: FunctionType) -> dict[str, Any]:
    """Return what a function captured, by name; less the cells to which nothing was assigned yet."""
    found = {}
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found
