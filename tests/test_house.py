"""Promises about the source: small files and functions, one meaning a file name, no cycles, no reaching in."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parent.parent / "src"
FILES = sorted(SOURCE.rglob("*.py"))
LONG, LONG_FUNCTION = 400, 60  # lines

# Of Python's own that begin with an underscore and are meant for use.
PUBLIC = frozenset(
    ("_replace", "_asdict", "_fields", "_make", "_exit", "_getframe", "_fields_", "_current_frames")
)
# A comment at the end of a line that made the formatter put brackets on lines of their own.
SPLITS_A_LINE = re.compile(r"^\s*[)\]}][^#\"'\n]*  # (?!fmt|noqa|type)", re.MULTILINE)
# Files that read private parts, of libraries, and why.
REACHES_IN = {
    "keys/class_body.py": "what `enum` and `dataclasses` keep, whatever a class overrides",
    "keys/encode_pandas.py": "whether xarray's data is in memory yet; to ask in public would load it",
    "keys/ignored_state.py": "the type of `threading.local`",
}
# Names that more than one file has, and why.
SHARED_NAMES = {
    "__init__": "every package has one",
    "base": "the contract of a room with several implementations",
}


class Facts(NamedTuple):
    """What the tests ask of a file; its tree is not kept, since all trees together are half a gigabyte."""

    lines: int
    docstring: str
    long_functions: list[str]
    private_reads: list[str]
    imports: list[tuple[str, list[str]]]  # a module, and what is taken from it


@cache
def _facts(path: Path) -> Facts:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return Facts(
        len(text.splitlines()),
        ast.get_docstring(tree) or "",
        [function.name for function in functions if _code_lines(function) > LONG_FUNCTION],
        list(_private_reads(nodes)),
        list(_imports(nodes)),
    )


def _name(path: Path) -> str:
    return path.relative_to(SOURCE / "memento").as_posix()


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how long a function is without its docstring, which users read elsewhere."""
    start = function.body[0].end_lineno if ast.get_docstring(function) is not None else function.lineno
    return (function.end_lineno or 0) - (start or 0) + 1


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def _own_names(nodes: list[ast.AST]) -> set[str]:
    """Return all names that a file defines: functions, classes, variables, attributes of `self`, slots."""
    own = set()
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            own.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                own.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # __slots__, __dict__["_x"]
            own.add(node.value)
    return own


def _private_reads(nodes: list[ast.AST]) -> Iterator[str]:
    """Yield what is read or imported of other files though it begins with an underscore."""
    own = _own_names(nodes)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("memento"):
            yield from (
                f"{node.lineno}: import {a.name}"
                for a in node.names
                if _is_private(a.name) and a.name != "_version"
            )
        elif isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own:
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                continue  # inherited
            yield f"{node.lineno}: {ast.unparse(node)}"


def _imports(nodes: list[ast.AST]) -> Iterator[tuple[str, list[str]]]:
    """Yield what a file imports, also in functions and under TYPE_CHECKING."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module, [alias.name for alias in node.names]


def test_no_file_reads_private_parts_of_another() -> None:
    found = {_name(path): _facts(path).private_reads for path in FILES}
    assert {name: reads for name, reads in found.items() if reads and name not in REACHES_IN} == {}


def test_a_file_of_more_than_400_lines_says_why() -> None:
    long = [path for path in FILES if _facts(path).lines > LONG]
    assert {_name(path) for path in long if "Long because" not in _facts(path).docstring} == set()


def test_no_function_is_longer_than_60_lines() -> None:
    assert {_name(path): _facts(path).long_functions for path in FILES if _facts(path).long_functions} == {}


def test_a_comment_that_would_split_a_line_stands_above_it() -> None:
    split = [_name(path) for path in FILES if SPLITS_A_LINE.search(path.read_text(encoding="utf-8"))]
    assert split == []


def test_a_file_name_means_one_thing() -> None:
    places = defaultdict(set)
    for path in FILES:
        places[path.stem].add(_name(path))
    twice = {stem for stem, names in places.items() if len(names) > 1} - SHARED_NAMES.keys()
    assert twice == set()


def test_the_folders_of_tests_are_rooms_of_the_source() -> None:
    tests = Path(__file__).parent
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    rooms = {path.parent.relative_to(SOURCE / "memento") for path in FILES if path.parent != SOURCE}
    of_the_whole = {Path("ancestor"), Path("e2e"), Path("faults"), Path("perf"), Path("examples")}
    assert folders - rooms - of_the_whole == set()


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path, modules: frozenset[str]) -> set[str]:
    """Return the modules of ours that a file names."""
    found = set()
    for module, names in _facts(path).imports:
        found |= {f"{module}.{name}" for name in names} & modules or {module}
    return found & modules - {_module(path)}


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = frozenset(map(_module, FILES))
    graph = {_module(path): _imported(path, modules) for path in FILES}
    circles = {" ".join(sorted(circle)) for circle in _circles(graph)}
    assert circles == set()


def _circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules of which each comes to each other one."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo += graph[module]
        return seen

    reach = {module: reached(module) for module in graph}
    inside = sorted(module for module in graph if module in reach[module])
    circles = []
    while inside:
        circle = {other for other in inside if other in reach[inside[0]] and inside[0] in reach[other]}
        circles.append(circle)
        inside = [module for module in inside if module not in circle]
    return circles
