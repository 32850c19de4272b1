"""Write code in a form that only a change of meaning changes, and for people to read.

Knows: syntax trees, code objects. May not know: where code comes from, what is the project's.

The normal form is our own, because `ast.dump` and `ast.unparse` differ between Python versions. Nothing here recurses:
a sum of a thousand terms is a tree of that depth.
"""

from __future__ import annotations

import ast
import os
import sys
from types import CodeType
from typing import Any, NamedTuple

_IGNORED_FIELDS = frozenset({"ctx", "type_comment", "kind", "type_ignores"})
_OPTIMIZED = 0x1  # code of functions; that of modules and classes keeps names in dictionaries
_HAS_DOCSTRING = 0x4000000  # from Python 3.14 on


class Found(NamedTuple):
    """A definition in a source file; its tree is never to be changed."""

    tree: ast.AST
    qualname: str  # as Python forms it: "make.<locals>.inner"
    file: str
    line: int


def normal_form(tree: ast.AST) -> str:
    """Return a definition as text without positions, comments, docstrings and empty fields."""
    out: list[str] = []
    todo: list[Any] = [tree]
    while todo:
        item = todo.pop()
        if type(item) is str:
            out.append(item)
        elif isinstance(item, ast.Constant):
            out.append(f"{type(item.value).__name__}:{_constant(item.value)};")
        else:
            todo += reversed(_pieces(item))
    return "".join(out)


def _pieces(item: ast.AST) -> list[Any]:
    """Return a node as texts, and the nodes that are to be written between them."""
    pieces: list[Any] = [f"({type(item).__name__}"]
    for name in item._fields:
        value = getattr(item, name, None)
        if value is None or value == [] or name in _IGNORED_FIELDS:
            continue
        pieces.append(f" {name}=")
        if not isinstance(value, list):
            pieces.append(_piece(value))
            continue
        if name == "body":
            value = _without_docstring(item, value)
        elif name == "values" and isinstance(item, ast.JoinedStr):
            value = _merged(value)
        pieces.append("[")
        for part in value:
            pieces += (_piece(part), ",")
        pieces.append("]")
    pieces.append(")")
    return pieces


def _piece(value: Any) -> Any:
    # What is a printable character depends on the Python version: `repr` would write new ones in two ways.
    return value if isinstance(value, ast.AST) else ascii(value)


def _constant(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        return f"{len(value)}:{value!a}"
    if type(value) is int:
        return f"{value:x}"  # in decimal, Python refuses to write very long ones
    return "nan" if value != value else ascii(value)


def _without_docstring(owner: ast.AST, body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the body of a definition without its docstring; of one that has nothing else, `pass`."""
    first = body[0] if body else None
    if (
        isinstance(owner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module))
        and isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return body[1:] or [ast.Pass()]
    return body


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


# -- without source --------------------------------------------------------------------------------------


def code_form(code: CodeType) -> str:
    """Return a code object as text without names of files and line numbers.

    Bytecode differs between Python versions, so the version is part of it: better a new key than a wrong one.
    """
    return f"{sys.version_info[0]}.{sys.version_info[1]}:{bytecode_form(code)}"


def bytecode_form(code: CodeType) -> str:
    """Return a code object as text that is equal where this interpreter would compile equal code."""
    consts = [_constant_form(code, i, const) for i, const in enumerate(code.co_consts)]
    fields = (
        code.co_name, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount,
        code.co_flags & ~_HAS_DOCSTRING, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
        consts, code.co_code.hex(),
    )  # fmt: skip
    return repr(fields)


def _constant_form(code: CodeType, i: int, const: Any) -> str:
    if isinstance(const, CodeType):
        return bytecode_form(const)
    if isinstance(const, frozenset):
        return f"frozenset:{sorted(map(repr, const))}"
    # Before Python 3.14 the first constant of a function is its docstring or None; lambdas have no docstring.
    has_docstring = code.co_flags & _HAS_DOCSTRING or sys.version_info < (3, 14)
    if i == 0 and isinstance(const, str) and has_docstring:
        return "docstring"
    if type(const) is int and const == code.co_firstlineno and not code.co_flags & _OPTIMIZED:
        return "line"  # a class of Python 3.13 keeps its own
    return f"{type(const).__name__}:{const!r}"


# -- for people ------------------------------------------------------------------------------------------


def readable(found: Found | None) -> str:
    """Return a definition as text to compare line by line, its place first: ``# experiment.py:24``."""
    if found is None:
        return ""
    place = f"# {os.path.basename(found.file)}:{found.line}\n"
    try:
        tree = ast.parse(ast.unparse(found.tree))  # a copy: the tree itself is never to be changed
        for item in ast.walk(tree):
            body = getattr(item, "body", None)
            if isinstance(body, list):
                item.body = _without_docstring(item, body)  # type: ignore[attr-defined]
        return place + ast.unparse(tree)
    except (ValueError, RecursionError):
        return place
