"""Find the project's modules that a function imports for itself, without importing them.

Knows: import statements and where modules lie. May not know: live objects.

Whether such a module is loaded yet differs from run to run, so it counts as a whole file, read from the disk,
with what it imports in turn.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from memento.keys.ast_normal_form import Found
from memento.keys.find_source import tree_of_file
from memento.keys.global_names import imported_by_call
from memento.keys.project_files import is_project_file

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_MOST = 200  # modules; a guess at what no project's experiment needs


def imported_modules(tree: ast.AST, package: str) -> dict[str, Found]:
    """Return the modules of the project that code imports, directly or through each other; `package` is around it."""
    return _with_imports({}, _names(tree, package))


def imported_beside(tree: ast.AST, package: str, folder: str) -> dict[str, Found]:
    """Return the same of a script that is started by its file: Python looks in its `folder` first."""
    return _with_imports({}, _names(tree, package), [folder, *sys.path] if folder else None)


def with_imports(name: str, file: str, is_package: bool) -> dict[str, Found]:
    """Return a module of the project, and those that it imports in turn."""
    found: dict[str, Found] = {}
    return _with_imports(found, _add(name, file, is_package, found))


def _with_imports(
    found: dict[str, Found], names: Iterable[str], path: list[str] | None = None
) -> dict[str, Found]:
    todo = list(names)
    while todo and len(found) < _MOST:
        name = todo.pop()
        spec = None if name in found else find_module(name, path)
        if spec is not None and spec.origin is not None and is_project_file(spec.origin):
            todo += _add(name, spec.origin, spec.submodule_search_locations is not None, found)
    return found


def _add(name: str, file: str, is_package: bool, found: dict[str, Found]) -> Iterable[str]:
    """Add a module; return the names of those that it imports."""
    tree = tree_of_file(file)
    if tree is None or not tree.body:  # an empty file: Python versions disagree on whether it can be read
        return ()
    tree = ast.Module([item for item in tree.body if not _is_for_scripts(item)], [])
    found[name] = Found(tree, name, file, 1)
    return _names(tree, name if is_package else name.rpartition(".")[0])


def _is_for_scripts(item: ast.stmt) -> bool:
    """Say whether a statement is ``if __name__ == "__main__":``, whose body no import runs."""
    test = item.test if isinstance(item, ast.If) and not item.orelse else None
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = (test.left, *test.comparators)
    return {getattr(side, "id", getattr(side, "value", None)) for side in sides} == {"__name__", "__main__"}


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a piece of code imports, and the packages around them: whoever imports one runs these."""
    for name in _named(tree, package):
        while name:
            yield name
            name = name.rpartition(".")[0]


def _named(tree: ast.AST, package: str) -> Iterator[str]:
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            base = _absolute(package, item.level, item.module or "")
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in item.names)  # may be modules too
        elif (name := imported_by_call(item)) is not None:
            bare = name.lstrip(".")
            yield _absolute(package, len(name) - len(bare), bare)


def _absolute(package: str, level: int, name: str) -> str:
    """Return the name of a module that is told with so many dots in front."""
    parts = package.split(".")
    above = ".".join(parts[: len(parts) - level + 1]) if level else ""
    return ".".join(filter(None, (above, name)))


def find_module(name: str, path: list[str] | None = None) -> ModuleSpec | None:
    """Return where a module lies, in `sys.path` or `path`; unlike `importlib.util.find_spec` it imports no package."""
    from importlib.machinery import PathFinder

    spec = None
    prefix, places = "", path
    for part in name.split("."):
        if spec is not None and places is None:
            return None  # no package
        prefix = f"{prefix}.{part}".lstrip(".")
        try:
            spec = PathFinder.find_spec(prefix, places) or _spec_of_loaded(prefix)
        except (ImportError, ValueError, AttributeError):
            return None
        if spec is None:
            return None
        places = spec.submodule_search_locations
    return spec


def _spec_of_loaded(name: str) -> ModuleSpec | None:
    """Return where a loaded module came from: an editable install may have a finder of its own."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec if getattr(spec, "name", None) == name else None
