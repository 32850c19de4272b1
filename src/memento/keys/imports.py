"""Find the project's modules that a function imports for itself, without importing them.

Knows: import statements and where modules lie. May not know: live objects.

Whether such a module is loaded yet differs from run to run, so it counts as a whole file, read from the disk,
with what it imports in turn.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from memento.keys.forms import walk
from memento.keys.places import is_project_file
from memento.keys.reads import imported_by_call
from memento.keys.source import Found, tree_of_file

if TYPE_CHECKING:
    import ast
    from importlib.machinery import ModuleSpec
else:
    import _ast as ast  # see `source`

_MOST = 200  # modules; a guess at what no project's experiment needs


def imported_modules(tree: ast.AST, package: str) -> dict[str, Found]:
    """Return the modules of the project that a piece of code imports, directly or through each other.

    Parameters
    ----------
    tree : ast.AST
        The code.
    package : str
        The package that its relative imports start from; "" for none.

    Returns
    -------
    dict of str to Found
        Each module's name and source.

    Examples
    --------
    >>> import ast
    >>> imported_modules(ast.parse("import json"), "")
    {}
    """
    return _with_imports({}, _names(tree, package))


def with_imports(name: str, file: str, is_package: bool) -> dict[str, Found]:
    """Return a module of the project, and those that it imports in turn."""
    found: dict[str, Found] = {}
    return _with_imports(found, _add(name, file, is_package, found))


def _with_imports(found: dict[str, Found], names: Iterable[str]) -> dict[str, Found]:
    todo = list(names)
    while todo and len(found) < _MOST:
        name = todo.pop()
        spec = None if name in found else find_module(name)
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


def _with_parents(names: Iterable[str]) -> Iterator[str]:
    """Yield names of modules with those of the packages that they lie in: whoever imports one runs these first."""
    for name in names:
        while name:
            yield name
            name = name.rpartition(".")[0]


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a piece of code imports, those around them first."""
    return _with_parents(_named(tree, package))


def _named(tree: ast.AST, package: str) -> Iterator[str]:
    for item in walk(tree):
        if isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            base = ".".join(filter(None, (_above(package, item.level), item.module)))
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in item.names)  # may be modules too
        else:
            name = imported_by_call(item)
            if name is not None:
                bare = name.lstrip(".")
                yield ".".join(filter(None, (_above(package, len(name) - len(bare)), bare)))


def _above(package: str, level: int) -> str:
    """Return the package that so many dots in front of a name stand for."""
    parts = package.split(".")
    return ".".join(parts[: len(parts) - level + 1]) if level else ""


def find_module(name: str) -> ModuleSpec | None:
    """Return where a module lies; unlike `importlib.util.find_spec` it imports no parent package."""
    from importlib.machinery import PathFinder

    places = None
    spec = None
    parts = name.split(".")
    for i in range(len(parts)):
        prefix = ".".join(parts[: i + 1])
        try:
            spec = PathFinder.find_spec(prefix, places) or _spec_of_loaded(prefix)
        except (ImportError, ValueError, AttributeError):
            return None
        places = spec.submodule_search_locations if spec is not None else None
        if spec is None or (places is None and i + 1 < len(parts)):
            return None
    return spec


def _spec_of_loaded(name: str) -> ModuleSpec | None:
    """Return where a loaded module came from: an editable install may have a finder of its own."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec if getattr(spec, "name", None) == name else None
