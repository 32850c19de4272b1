"""Find the source of functions and classes, and write it in a form that only a change of meaning changes.

Knows: source lines, syntax trees, code objects. May not know: how values are encoded, what is the project's.

Nothing here imports a module or runs a user's code: lines come from `linecache`, where that is loaded, since it also
holds the cells of notebooks; else from the file. The normal form is our own, because `ast.dump` and `ast.unparse`
differ between Python versions.
"""

from __future__ import annotations

import functools
import os
import sys
from collections import deque
from collections.abc import Iterator
from types import CodeType, FunctionType

from memento import system
from memento.clock import SYSTEM_CLOCK
from memento.hints import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ast
else:
    import _ast as ast  # the classes of nodes; the module itself, which writes code out, takes 1 ms to import

_ONLY_TREE = 0x400  # ast.PyCF_ONLY_AST
_IGNORED_FIELDS = frozenset({"ctx", "type_comment", "kind", "type_ignores"})


class Found(NamedTuple):
    """A definition in a source file."""

    tree: ast.AST
    qualname: str  # as Python forms it: "make.<locals>.inner"
    file: str
    line: int


def normal_form(tree: ast.AST | list[ast.stmt]) -> str:
    """Return a definition as text without positions, comments, docstrings and empty fields.

    Parameters
    ----------
    tree : ast.AST
        Any node.

    Returns
    -------
    str
        Equal for equal code, on Python 3.10 to 3.13.

    Examples
    --------
    >>> import ast
    >>> one = ast.parse("def f(x): return x+1")
    >>> two = ast.parse("def f( x ):\\n  'Add one.'\\n  return (x + 1)  # really")
    >>> normal_form(one) == normal_form(two)
    True
    """
    out: list[str] = []
    _write(tree, out)
    return "".join(out)


def _write(item: Any, out: list[str]) -> None:
    if isinstance(item, ast.Constant):
        out.append(f"{type(item.value).__name__}:{_constant(item.value)};")
    elif isinstance(item, ast.AST):
        out.append(f"({type(item).__name__}")
        for name in item._fields:
            value = getattr(item, name, None)
            if value is None or value == [] or name in _IGNORED_FIELDS:
                continue
            out.append(f" {name}=")
            if name == "body" and isinstance(value, list):
                value = _without_docstring(item, value)
            elif name == "values" and isinstance(item, ast.JoinedStr):
                value = _merged(value)
            _write(value, out)
        out.append(")")
    elif isinstance(item, list):
        out.append("[")
        for part in item:
            _write(part, out)
            out.append(",")
        out.append("]")
    else:
        out.append(repr(item))


def _constant(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        return f"{len(value)}:{value!r}"
    return "nan" if value != value else repr(value)


def _without_docstring(owner: ast.AST, body: list[ast.stmt]) -> list[ast.stmt]:
    if isinstance(owner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)) and is_docstring(
        body
    ):
        return body[1:] or [ast.Pass()]
    return body


def is_docstring(body: list[ast.stmt]) -> bool:
    """Say whether a body begins with a docstring."""
    first = body[0] if body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


def _merged(values: list[ast.expr]) -> list[ast.expr]:
    # Whether neighbouring pieces of text in an f-string are one constant or two depends on the version.
    merged: list[ast.expr] = []
    for value in values:
        last = merged[-1] if merged else None
        if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
            merged[-1] = ast.Constant(value=f"{last.value!s}{value.value!s}")
        elif not (isinstance(value, ast.Constant) and value.value == ""):
            merged.append(value)
    return merged


# -- finding ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _parse(text: str | bytes) -> ast.Module | None:
    try:
        tree: ast.Module = compile(text, "<unknown>", "exec", _ONLY_TREE, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return tree


def tree_of_file(file: str, space: dict[str, Any] | None = None) -> ast.Module | None:
    """Return the syntax tree of a source file or notebook cell, or None; never to be changed."""
    if "linecache" not in sys.modules and os.path.isfile(file):
        return _tree_of_plain_file(file)
    import linecache

    try:
        lines = linecache.getlines(file, space)
    except Exception:
        return None
    return _parse("".join(lines)) if lines else None


@functools.lru_cache(maxsize=64)
def _tree_of_plain_file(file: str) -> ast.Module | None:
    """Do without `linecache`, whose import takes 2 ms; Python reads the encoding of a file by itself."""
    try:
        with open(file, "rb") as stream:
            text = stream.read()
    except OSError:
        return None
    return _parse(text) if text else None


def _children(tree: ast.AST) -> Iterator[ast.AST]:
    for name in tree._fields:
        value = getattr(tree, name, None)
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, ast.AST):
                yield item


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, level by level."""
    todo = deque([tree])
    while todo:
        item = todo.popleft()
        yield item
        todo.extend(_children(item))


def _definitions(tree: ast.AST, prefix: str = "", around: int | None = None) -> Iterator[tuple[str, ast.AST]]:
    """Yield every function, class and lambda with its qualified name; where asked, only those around a line."""
    for child in _children(tree):
        if around is not None and not _covers(child, around):
            continue
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + child.name, child
            yield from _definitions(child, f"{prefix}{child.name}.<locals>.", around)
        elif isinstance(child, ast.ClassDef):
            yield prefix + child.name, child
            yield from _definitions(child, f"{prefix}{child.name}.", around)
        elif isinstance(child, ast.Lambda):
            yield f"{prefix}<lambda>", child
            yield from _definitions(child, f"{prefix}<lambda>.<locals>.", around)
        else:
            yield from _definitions(child, prefix, around)


def _covers(item: Any, line: int) -> bool:
    """Say whether a node may hold what begins on a line; one without a place of its own may."""
    if not hasattr(item, "lineno"):
        return True
    return first_line(item) <= line <= (item.end_lineno or line)


def _candidates(tree: ast.Module, code: CodeType) -> list[tuple[str, ast.AST]]:
    """Return the definitions of a code object's name that begin on its line."""
    line = code.co_firstlineno
    for around in (line, None):  # what stands in an f-string has places that older Pythons tell wrong
        found = [
            (qualname, definition)
            for qualname, definition in _definitions(tree, around=around)
            if getattr(definition, "name", "<lambda>") == code.co_name and first_line(definition) == line
        ]
        if found:
            return found
    return []


class _ByIdentity:
    """A tree as the key of a cache."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree

    def __hash__(self) -> int:
        return id(self.tree)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.tree is other.tree


def first_line(definition: ast.AST) -> int:
    """Return the line on which a definition begins, its first decorator included."""
    nodes: list[Any] = [definition, *getattr(definition, "decorator_list", ())]
    return min(int(item.lineno) for item in nodes)


def find_function(func: FunctionType) -> Found | None:
    """Return where a function is defined, or None where there is no source that fits it.

    Parameters
    ----------
    func : function
        A Python function; lambdas are told apart by their columns, or by their compiled code.

    Returns
    -------
    Found or None
        The definition.
    """
    code = func.__code__
    tree = tree_of_file(code.co_filename, func.__globals__)
    if tree is None:
        return None
    candidates = [c for c in _candidates(tree, code) if _same_arguments(c[1], code)]
    if len(candidates) > 1:
        candidates = _by_columns(candidates, code) or _by_code(candidates, code)
    if not candidates:
        return None
    if not _is_current(tree, code):
        return None
    qualname, definition = candidates[0]
    return Found(definition, qualname, code.co_filename, code.co_firstlineno)


def _is_current(tree: ast.Module, code: CodeType) -> bool:
    """Say whether code that runs is what its file says: someone may have edited it since the program started."""
    try:
        untouched = os.stat(code.co_filename).st_mtime < _program_start()
    except OSError:
        return True  # no file: a cell of a notebook, whose lines are kept as they were
    if untouched:
        return True
    return _code_form(code) in _compiled_forms(_ByIdentity(tree), code.co_filename)


@functools.lru_cache(maxsize=1)
def _program_start() -> float:
    return system.program_start(SYSTEM_CLOCK.now()) - 1  # clocks and file systems round


@functools.lru_cache(maxsize=16)
def _compiled_forms(tree: _ByIdentity, file: str) -> frozenset[str]:
    """Return the forms of all functions of a file as this interpreter compiles them."""
    forms: set[str] = set()
    todo = [compile(tree.tree, file, "exec", dont_inherit=True)]
    while todo:
        inner = [const for const in todo.pop().co_consts if isinstance(const, CodeType)]
        forms.update(map(_code_form, inner))
        todo.extend(inner)
    return frozenset(forms)


def _same_arguments(definition: ast.AST, code: CodeType) -> bool:
    """Say whether a definition fits a code object; the file may have been edited since it was read."""
    args: ast.arguments = definition.args  # type: ignore[attr-defined]
    names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    count = code.co_argcount + code.co_kwonlyargcount
    # Within a class `__x` is `_Class__x` in the code.
    return len(names) == count and all(map(str.endswith, code.co_varnames[:count], names))


def _by_columns(candidates: list[tuple[str, ast.AST]], code: Any) -> list[tuple[str, ast.AST]]:
    import ast

    if not hasattr(code, "co_positions"):  # before 3.11
        return []
    spans = {(line, column) for line, _, column, _ in code.co_positions() if line and column is not None}
    spans = {span for span in spans if span != (code.co_firstlineno, 0)}  # the preamble

    def holds(definition: Any) -> bool:
        body = definition.body if isinstance(definition, ast.Lambda) else definition
        start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
        return bool(spans) and all(start <= span < end for span in spans)

    # Of nested ones the outer holds the inner's places too: the smallest is meant.
    held = [c for c in candidates if holds(c[1])]
    return sorted(held, key=lambda c: len(ast.dump(c[1])))[:1]


def _by_code(candidates: list[tuple[str, ast.AST]], code: CodeType) -> list[tuple[str, ast.AST]]:
    for candidate in candidates:
        if not isinstance(candidate[1], ast.Lambda):
            continue
        outer = compile(ast.Expression(body=candidate[1]), "<lambda>", "eval", dont_inherit=True)
        inner = [c for c in outer.co_consts if isinstance(c, CodeType)]  # lambdas among the defaults too
        if _outline(code) in map(_outline, inner):
            return [candidate]
    return []


def _outline(code: CodeType) -> list[Any]:
    """Return instructions with what they mean; a captured name, compiled alone, is a global."""
    import dis

    steps: list[Any] = []
    for step in dis.get_instructions(code):
        name = "LOAD" if step.opname in ("LOAD_DEREF", "LOAD_GLOBAL", "LOAD_CLOSURE") else step.opname
        value = _outline(step.argval) if isinstance(step.argval, CodeType) else repr(step.argval)
        steps.append((name, value))
    return steps


def find_class(cls: type, file: str | None) -> Found | None:
    """Return where a class is defined, or None."""
    if file is None:
        file = next((f.__code__.co_filename for f in methods(cls) if f.__code__.co_filename[:1] != "<"), None)
        file = file or next((f.__code__.co_filename for f in methods(cls)), None)
    tree = tree_of_file(file) if file else None
    if tree is None or file is None:
        return None
    same_name = [
        d
        for qualname, d in _definitions(tree)
        if qualname == cls.__qualname__ and isinstance(d, ast.ClassDef)
    ]
    lines = {f.__code__.co_firstlineno for f in methods(cls) if f.__code__.co_filename == file}
    fitting = [d for d in same_name if all(d.lineno <= line <= (d.end_lineno or line) for line in lines)]
    chosen = (fitting or same_name)[-1:]
    if not all(_is_current(tree, f.__code__) for f in methods(cls) if f.__code__.co_filename == file):
        return None
    return Found(chosen[0], cls.__qualname__, file, chosen[0].lineno) if chosen else None


def methods(cls: type) -> list[FunctionType]:
    """Return the functions that a class statement defines, those inside descriptors included."""
    parts: list[Any] = []
    for value in vars(cls).values():
        if isinstance(value, property):
            parts += [value.fget, value.fset, value.fdel]
        elif isinstance(value, (staticmethod, classmethod)):
            parts.append(value.__func__)
        elif isinstance(value, functools.cached_property):
            parts.append(value.func)
        else:
            parts.append(value)
    return [part for part in parts if isinstance(part, FunctionType) and part.__module__ == cls.__module__]


# -- without source --------------------------------------------------------------------------------------


def code_form(code: CodeType) -> str:
    """Return a code object as text without names of files and line numbers.

    Bytecode differs between Python versions, so the version is part of it: better a new key than a wrong one.
    """
    return f"{sys.version_info[0]}.{sys.version_info[1]}:{_code_form(code)}"


def _code_form(code: CodeType) -> str:
    consts = [_constant_form(const, first=i == 0) for i, const in enumerate(code.co_consts)]
    fields = (
        code.co_name, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags,
        code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, consts, code.co_code.hex(),
    )  # fmt: skip
    return repr(fields)


def _constant_form(const: Any, first: bool) -> str:
    if isinstance(const, CodeType):
        return _code_form(const)
    if isinstance(const, frozenset):
        return f"frozenset:{sorted(map(repr, const))}"
    if first and isinstance(const, str):
        return f"first:{const!r}"  # a docstring, or a text that the code uses
    return f"{type(const).__name__}:{const!r}"


_GLOBAL_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})


def global_names(code: CodeType) -> frozenset[str]:
    """Return the names that a code object or one nested in it looks up among globals.

    Not `co_names`: attributes stand there too, and ``self.v = v`` asks for no global ``v``. In the body of a class
    its own names are among them: a superset.
    """
    import dis

    names = {i.argval for i in dis.get_instructions(code) if i.opname in _GLOBAL_LOADS}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names |= global_names(const)
    return frozenset(names)


def _all_names(code: CodeType) -> set[str]:
    """Return every name of an attribute or global in a code object or one nested in it."""
    names = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names |= _all_names(const)
    return names


def outer_names(func: FunctionType, found: Found | None) -> list[tuple[str, ...]]:
    """Return what a function looks up among its globals and may find, with the attributes asked of each, sorted.

    ``helpers.clean(x)`` gives ``("helpers", "clean")``. Attributes are known only where there is source.
    """
    if _all_names(func.__code__).isdisjoint(func.__globals__):
        return []  # the usual case of a small experiment; `dis` takes 1 ms to import
    loaded = global_names(func.__code__)
    if found is None:
        return sorted((name,) for name in loaded)
    chains: set[tuple[str, ...]] = set()
    for item in walk(found.tree):
        chain: list[str] = []
        while isinstance(item, ast.Attribute):
            chain.append(item.attr)
            item = item.value
        if isinstance(item, ast.Name) and item.id in loaded:
            chains.add((item.id, *reversed(chain)))
    return sorted(chains)


def literal_defaults(found: Found | None) -> set[str]:
    """Return the names of the parameters whose defaults are written out where a function is defined."""
    args = getattr(found.tree, "args", None) if found is not None else None
    if args is None:
        return set()
    positional = [*args.posonlyargs, *args.args]
    given = [*zip(reversed(positional), reversed(args.defaults), strict=False)]
    given += zip(args.kwonlyargs, args.kw_defaults, strict=True)
    return {arg.arg for arg, default in given if isinstance(default, ast.Constant)}


def readable(found: Found | None) -> str:
    """Return a definition as text to compare line by line, its place first: ``# experiment.py:24``."""
    if found is None:
        return ""
    import ast

    place = f"# {os.path.basename(found.file)}:{found.line}\n"
    try:
        return place + _without_docstrings(ast.unparse(found.tree))
    except (ValueError, RecursionError):
        return place


def _without_docstrings(code: str) -> str:
    import ast

    tree = ast.parse(code)
    for item in ast.walk(tree):
        body = getattr(item, "body", None)
        if isinstance(body, list):
            item.body = _without_docstring(item, body)  # type: ignore[attr-defined]
    return ast.unparse(tree)
