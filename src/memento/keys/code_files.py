"""Find code in files to which nothing live leads: modules that functions import for themselves, and other programs.

Knows: import statements, where modules and files lie. May not know: live functions, how a program is run.

Whether such a module is loaded yet differs from run to run, so it counts as a whole file, read from the disk,
with what it imports in turn. Nothing is imported.
"""

from __future__ import annotations

import ast
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from memento.keys.ast_normal_form import Found, normal_form
from memento.keys.find_source import tree_of_file
from memento.keys.global_names import imported_by_call
from memento.keys.project_files import count_as_project, is_project_file, place_of_file

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_MOST = 200  # modules; a guess at what no project's experiment needs
COMMAND = "command:arguments"  # what stands under this name in a version of a program's code
_MOST_CODE = 1 << 20  # bytes; what is larger is data


def imported_modules(tree: ast.AST, package: str, folder: str = "") -> dict[str, Found]:
    """Return the modules of the project that code imports, directly or through each other; `package` is around it.

    In the `folder` of a script that is started by its file Python looks first.
    """
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
            spec = (
                _of_start(prefix, places) or PathFinder.find_spec(prefix, places) or _spec_of_loaded(prefix)
            )
        except (ImportError, ValueError, AttributeError):
            return None
        if spec is None:
            return None
        places = spec.submodule_search_locations
    return spec


def _of_start(name: str, path: list[str] | None) -> ModuleSpec | None:
    """Ask what finds modules as they were when the run began, in a worker that has it."""
    for finder in sys.meta_path:
        if getattr(finder, "is_of_start", False):
            spec: ModuleSpec | None = finder.find_spec(name, path)
            return spec
    return None


def _spec_of_loaded(name: str) -> ModuleSpec | None:
    """Return where a loaded module came from: an editable install may have a finder of its own."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec if getattr(spec, "name", None) == name else None


# -- other programs ----------------------------------------------------------------------------------------


class Program(ABC):
    """An experiment that runs another program for each task."""

    @abstractmethod
    def __call__(self, context: Any, config: Any) -> Any:
        """Run the program for one task."""

    @abstractmethod
    def check(self, matrix: Any) -> None:
        """Refuse a matrix that the program cannot be run with, before anything runs."""

    @abstractmethod
    def text(self) -> str:
        """Return the program and its arguments, as one would write them."""

    @property
    @abstractmethod
    def program(self) -> str:
        """What is run, in a word."""

    @abstractmethod
    def made_with(self) -> object:
        """Return what tells this experiment from others of the same file, as plain values."""

    @abstractmethod
    def files(self) -> Sequence[tuple[str, str]]:
        """Return the files that may hold its code, and the module that each is run as; "" for a script."""

    @property
    @abstractmethod
    def program_file(self) -> str:
        """The file that is run, if it was named by its path; else ""."""

    @abstractmethod
    def unfollowed(self) -> Sequence[str]:
        """Return what may be code too and cannot be seen before the tasks run."""

    @property
    def place(self) -> str:
        """The first of its files that is the project's, by its path in it; where none is, the program."""
        for file, _ in self.files():
            count_as_project(file)
            place = place_of_file(file)
            if place is not None:
                return place
        return self.program

    def code(self) -> Iterator[tuple[str, str, Found | str]]:
        """Yield what counts as its code: a name, what a digest is made of, and what people may read."""
        told = self.text()
        yield COMMAND, told, f"arguments = {told}"
        for file, module in self.files():
            place = place_of_file(file)
            tree = tree_of_file(file) if file.endswith((".py", ".pyw")) else None
            if place is None:
                continue
            if tree is None:
                # The program itself counts however large it is; of the others, what is large is data.
                content = _content(file, None if file == self.program_file else _MOST_CODE)
                if content is not None:
                    yield f"{place}:text", content[0], f"# {place}:1\n{content[1]}"
                continue
            yield f"{place}:script", normal_form(tree), Found(tree, "script", file, 1)
            beside = "" if module else os.path.dirname(file)
            for name, found in imported_modules(tree, module.rpartition(".")[0], beside).items():
                yield f"module:{name}", normal_form(found.tree), found


def _content(file: str, most: int | None) -> tuple[str, str] | None:
    """Return what a digest is made of, and what people may read; None for what is larger, or cannot be read."""
    try:
        if most is not None and os.path.getsize(file) > most:
            return None
        with open(file, "rb") as stream:
            data = stream.read()
    except OSError:
        return None
    if len(data) > _MOST_CODE or b"\0" in data:
        return blake2b(data, digest_size=16).hexdigest(), f"<{len(data):,} bytes>"
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return text, text
