"""Find the project's modules that a function imports for itself, without importing them.

Knows: import statements and where modules lie. May not know: live objects.

Whether such a module is loaded yet differs from run to run, so it counts as a whole file, read from the disk,
with what it imports in turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from memento.hints import TYPE_CHECKING
from memento.keys.places import is_project_file
from memento.keys.source import Found, tree_of_file, walk

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
    found: dict[str, Found] = {}
    todo = list(_names(tree, package))
    while todo and len(found) < _MOST:
        name = todo.pop()
        spec = None if name in found else find_module(name)
        if spec is None or spec.origin is None or not is_project_file(spec.origin):
            continue
        module = tree_of_file(spec.origin)
        if (
            module is None or not module.body
        ):  # an empty file: Python versions disagree on whether it can be read
            continue
        found[name] = Found(module, name, spec.origin, 1)
        home = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        todo.extend(_names(module, home))
    return found


def _names(tree: ast.AST, package: str) -> Iterator[str]:
    for item in walk(tree):
        if isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - item.level + 1]) if item.level else ""
            base = ".".join(filter(None, (above, item.module)))
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in item.names)  # may be modules too


def find_module(name: str) -> ModuleSpec | None:
    """Return where a module lies; unlike `importlib.util.find_spec` it imports no parent package."""
    from importlib.machinery import PathFinder

    places = None
    spec = None
    parts = name.split(".")
    for i in range(len(parts)):
        try:
            spec = PathFinder.find_spec(".".join(parts[: i + 1]), places)
        except (ImportError, ValueError, AttributeError):
            return None
        places = spec.submodule_search_locations if spec is not None else None
        if spec is None or (places is None and i + 1 < len(parts)):
            return None
    return spec
