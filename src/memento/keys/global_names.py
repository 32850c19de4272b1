"""Tell what a piece of code reads of its module: the names that it looks up, and what it looks up by text.

Knows: syntax trees, code objects, import statements. May not know: live objects, what is the project's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from memento.keys.ast_normal_form import Found

Chain = tuple[str, ...]

_FILES = frozenset({"spec_from_file_location", "SourceFileLoader", "run_path", "run_module"})
_GLOBAL_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_BY_TEXT = frozenset({"eval", "exec", "globals", "__import__", "import_module", "modules", *_FILES})

# What every module has, whatever its user writes: it differs from place to place, and from run to run.
OF_MODULES = frozenset({
    "__name__", "__file__", "__spec__", "__doc__", "__builtins__", "__package__", "__loader__", "__cached__",
    "__path__", "__annotations__", "__dict__", "__class__", "__annotate__", "__conditional_annotations__",
})  # fmt: skip


class Reads(NamedTuple):
    """What a definition reads from outside."""

    # With the attributes asked of each: `helpers.clean(x)` gives ("helpers", "clean").
    names: tuple[Chain, ...]
    by_text: tuple[str, ...]  # what looks names up as text that is not written there, such as "eval(...)"


def reads_of(func: FunctionType, found: Found | None) -> Reads:
    """Return what a function looks up among its globals; without its definition, attributes are not known."""
    loaded = global_names(func.__code__, with_attributes=found is not None)
    if found is None:
        by_text = tuple(f"{name}(...)" for name in sorted(loaded & _BY_TEXT - set(func.__globals__)))
        return Reads(tuple((name,) for name in sorted(loaded)), by_text)
    reader = _Reader(loaded, func.__globals__)
    reader.read(_body(found.tree))
    return reader.answer()


def header_names(tree: Any) -> tuple[Chain, ...]:
    """Return what is looked up where a definition is made: its decorators, and the bases and keywords of a class."""
    reader = _Reader(None, {})
    for field in ("decorator_list", "bases", "keywords"):
        reader.read(getattr(tree, field, ()))
    return reader.answer().names


def _body(tree: Any) -> list[ast.AST]:
    """Return the nodes of a function that are its own: neither its decorators nor its defaults."""
    if isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return list(tree.body)
    return [tree.body] if isinstance(tree, ast.Lambda) else [tree]


def global_names(code: CodeType, with_attributes: bool = False) -> frozenset[str]:
    """Return the names that a code object or one nested in it looks up among globals.

    Not `co_names`: attributes stand there too, and ``self.v = v`` asks for no global ``v``. A superset: in the body of
    a class its own names are among them; where that does no harm, attributes whose names no variable has.
    """
    codes = list(_nested(code))
    if with_attributes and all_names(code).isdisjoint(
        name for one in codes for name in (*one.co_varnames, *one.co_cellvars, *one.co_freevars)
    ):
        return frozenset(all_names(code))  # spares the instructions, which take long to read
    import dis

    steps = (step for one in codes for step in dis.get_instructions(one))
    return frozenset(step.argval for step in steps if step.opname in _GLOBAL_LOADS)


def all_names(code: CodeType) -> set[str]:
    """Return every name of an attribute or global in a code object or one nested in it."""
    return {name for one in _nested(code) for name in one.co_names}


def _nested(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all in it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _nested(const)


class _Reader:
    """Goes through nodes and collects chains of names; `loaded` has the names that count, or is None for all."""

    def __init__(self, loaded: frozenset[str] | None, space: dict[str, Any]) -> None:
        self._loaded = loaded
        self._space = space  # the globals: what stands there under the name of a builtin is no builtin
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
                todo += self._looked_up(item) or ast.iter_child_nodes(item)
            elif chain:
                self._names.add(chain)

    def _chain(self, item: ast.AST) -> Chain | None:
        """Return the names that an expression consists of; empty where they do not count, None for other nodes."""
        attributes: list[str] = []
        while True:
            if isinstance(item, ast.Attribute):
                attributes.append(item.attr)
                item = item.value
            elif (asked := _literal_getattr(item)) is not None:
                item, name = asked
                attributes.append(name)
            else:
                break
        if isinstance(item, ast.Name):
            start: str | None = item.id
            if self._loaded is not None and item.id not in self._loaded:
                return ()
        else:
            start = self._own_global(item)
        return (start, *reversed(attributes)) if start is not None else None

    def _own_global(self, item: ast.AST) -> str | None:
        """Return the name in ``globals()["name"]`` and ``globals().get("name")``."""
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
        if _is_sys_modules(item):
            if imported_by_call(item) is None:
                self._by_text.add("sys.modules[...]")
        elif isinstance(item, ast.Call):
            for name in ("eval", "exec"):
                if self._is_call(item, name):
                    return self._evaluated(item, name)
            if self._is_call(item, "globals"):
                self._by_text.add("globals()")
            called = _called(item)
            if called in _IMPORTERS and imported_by_call(item) is None:
                self._by_text.add("import_module(...)")
            if called in _FILES:
                self._by_text.add(f"{called}(...)")
        return []

    def _evaluated(self, item: ast.Call, name: str) -> list[ast.AST]:
        text = _text(item.args[0]) if item.args else None
        try:
            tree = ast.parse(text) if text else None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            tree = None
        if tree is None:
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


# -- imports ---------------------------------------------------------------------------------------------

_IMPORTERS = ("import_module", "__import__")


def _called(item: ast.AST) -> str | None:
    called = item.func if isinstance(item, ast.Call) else None
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)


def _is_sys_modules(item: ast.AST) -> bool:
    owner = item.value if isinstance(item, ast.Subscript) else None
    if not isinstance(owner, ast.Attribute) or owner.attr != "modules":
        return False
    return isinstance(owner.value, ast.Name) and owner.value.id == "sys"


def imported_by_call(item: ast.AST) -> str | None:
    """Return the module that a call or ``sys.modules[...]`` asks for where it is written out; it may be relative."""
    if isinstance(item, ast.Subscript):
        return _text(item.slice) if _is_sys_modules(item) else None
    if not isinstance(item, ast.Call) or _called(item) not in _IMPORTERS:
        return None
    given = [*item.args[:1], *(keyword.value for keyword in item.keywords if keyword.arg == "name")]
    return _text(given[0]) if given else None


def module_bindings(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """Return what a module's own import statements bind: name -> (module, name in it); "" for the module itself."""
    found: dict[str, tuple[str, str]] = {}
    todo: list[ast.AST] = [tree]
    while todo:
        for item in ast.iter_child_nodes(todo.pop()):
            if isinstance(item, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
                todo.append(item)
            elif isinstance(item, ast.Import):
                for alias in item.names:
                    module = alias.name if alias.asname else alias.name.partition(".")[0]
                    found[alias.asname or module] = (module, "")
            elif isinstance(item, ast.ImportFrom) and not item.level and item.module:
                found.update({a.asname or a.name: (item.module, a.name) for a in item.names})
    return found
