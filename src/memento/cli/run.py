"""`memento run FILE:FUNC MATRIX`: an experiment in a file, or a command, and a matrix in another file.

Knows: how to import a user's file. May not know: how a run works.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from memento.cli.exit_codes import UsageError
from memento.cli.inspect import print_safe
from memento.errors import AggregateException, MatrixError

if TYPE_CHECKING:
    from memento.results.results import Results


def what_to_run(
    target: str | None, matrix: Path | None, command: str | None, result: str | None
) -> tuple[Callable[..., Any], Path]:
    """Return the experiment that was named, a function or a command, and the matrix's file.

    Raises
    ------
    UsageError
        One of them is not there, or both a function and a command are.
    """
    if command is None:
        if result is not None:
            raise UsageError("--result belongs to --command: a function returns its result.")
        if target is None:
            raise UsageError(
                "give a function and a matrix: memento run FILE:FUNC MATRIX;"
                " or a program: memento run --command '...' MATRIX"
            )
        if matrix is None:
            raise UsageError(
                f"give the matrix too: memento run {target} MATRIX; or a program to run over it:"
                f" memento run --command '...' {target}"
            )
        # First the function: the matrix may name objects of its file and of modules beside it.
        return load_function(target), matrix
    if matrix is not None:
        raise UsageError(f"give FILE:FUNC or --command, not both: memento run --command '...' {matrix}")
    if target is None:
        raise UsageError("give the matrix too: memento run --command '...' MATRIX")
    from memento.commands.command import command as make

    _import_from_here()  # the matrix may name objects of modules that lie here
    return make(command, result=result), Path(target)


def run_experiment(
    function: Callable[..., Any],
    matrix: Path,
    options: dict[str, Any],
    changes: Iterable[str],
    flags: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Run the function over the matrix and print what came of it.

    `changes` are other values than the matrix has; `flags` go to `Memento.run`.

    Raises
    ------
    UsageError
        The matrix file or an option's value is not there or not right.
    AggregateException
        Tasks failed; as JSON, all results are printed before.
    """
    from memento.executors import make_executor
    from memento.matrix.changes import parse_changes
    from memento.matrix.matrix import Matrix
    from memento.memento import Memento
    from memento.runner.options import check_names

    if flags["dry_run"]:
        if as_json:
            raise UsageError("--dry-run prints a plan for people; it has no --json.")
        options = options | {"progress": True}  # the plan is what was asked for
    if not matrix.is_file():
        raise UsageError(f"there is no matrix {matrix}.")
    try:
        make_executor(options["executor"])  # a misspelt name is told even where nothing has to run
        memento = Memento(function, **options)
        flags = flags | {"sample": _sample(flags["sample"])}
        declared = Matrix.load(matrix, parse_changes(changes))
        check_names(function, declared)
    except MatrixError:
        raise  # it names the place in the file
    except (ValueError, TypeError) as exc:
        raise UsageError(str(exc)) from exc
    try:
        results = memento.run(declared, **flags)
    except AggregateException as error:
        if as_json and error.results is not None:
            _print(error.results, as_json)
        error.where = ""  # there is nobody to ask it for them
        raise
    if results is not None:
        _print(results, as_json)


def _sample(text: str | None) -> float | None:
    """Read a number of tasks, or a share of them: 200, 0.1, 10%."""
    from memento.runner.options import check_sample

    if text is None:
        return None
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else None
        sample = share if share is not None else int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise UsageError(f"--sample {text}: write a number of tasks, or a share of them like 10%.") from None
    check_sample(sample)
    return sample


def _print(results: Results, as_json: bool) -> None:
    if as_json:
        frame = results.to_frame()
        print(frame.to_json(orient="records", date_format="iso", default_handler=str, indent=2))
    else:
        print_safe(str(results))


def load_function(target: str) -> Callable[..., Any]:
    """Import ``file.py:func`` or ``package.module:func``.

    Raises
    ------
    UsageError
        The file, the module or the function is not there; names what is near.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(
            f"{target!r} names no function: write it as experiment.py:func or package.module:func."
        )
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    value: Any = module
    for attribute in name.split("."):
        if not hasattr(value, attribute):
            near = difflib.get_close_matches(attribute, dir(value), 3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"{place} has no {attribute!r}.{hint}")
        value = getattr(value, attribute)
    if not callable(value):
        raise UsageError(f"{target} is no function: it is {json.dumps(type(value).__name__)}.")
    function: Callable[..., Any] = value
    return function


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}.")
    parts = [path.stem]
    folder = path.resolve().parent
    while (folder / "__init__.py").exists():  # a module of a package keeps its dotted name
        parts.insert(0, folder.name)
        folder = folder.parent
    # Workers import it by this name from the same place.
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = _load_module(".".join(parts))
    loaded = getattr(module, "__file__", None)
    if loaded is None or Path(loaded).resolve() != path.resolve():
        raise UsageError(
            f"{path} cannot be imported: its name is taken by {loaded or module!r}. Rename the file."
        )
    return module


def _import_from_here() -> None:
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _load_module(name: str) -> ModuleType:
    _import_from_here()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (name == exc.name or name.startswith(f"{exc.name}.")):
            raise  # the user's module is there; what it imports is not
        raise UsageError(f"there is no module {name!r}.") from None
