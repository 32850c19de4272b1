"""`memento run FILE:FUNC MATRIX`, `plan`: an experiment in a file, or a command, and a matrix in another file.

Knows: how to import a user's file. May not know: how a run works.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.cli.exit_codes import UsageError
from memento.cli.printing import print_json, print_safe
from memento.errors import AggregateException, MatrixError
from memento.runner.asked_for import NoSuchTasks, Nothing, RunOfItsOwn, Selection, selecting
from memento.suggest import near_file, nearest

if TYPE_CHECKING:
    from memento.matrix.matrix import Matrix
    from memento.memento import Memento
    from memento.results.results import Results

_CHANGE = re.compile(r"[^=\s:]+=")  # of a parameter or a setting; a function's place has a colon


class Asked(NamedTuple):
    """What a command line says of an experiment, its matrix and a program in place of a function."""

    target: str | None
    matrix: str | None
    changes: tuple[str, ...] = ()  # NAME=VALUE
    command: str | None = None
    result: str | None = None
    env: tuple[str, ...] = ()  # NAME=VALUE, of a program
    cwd: str | None = None  # of a program

    @classmethod
    def read(
        cls, words: Iterable[str | None], changes: Iterable[str], only: Sequence[str] = (), **program: Any
    ) -> Asked:
        """Take the words of a command line: FILE:FUNC, the matrix, and NAME=VALUE like those of --set."""
        there = [word for word in words if word is not None]
        values = [word for word in there if _CHANGE.match(word) and not Path(word).exists()]
        places = [word for word in there if word not in values]
        if len(places) > 2:
            raise UsageError(
                f"{places[2]!r} is neither a function nor a matrix: other values are written NAME=VALUE."
            )
        if only and values:
            chosen = " ".join(f"--only {word}" for word in (*only, *values))
            raise UsageError(
                f"--only takes one KEY or NAME=VALUE: write {chosen};"
                f" or --set {values[0]}, which sets another value."
            )
        target, matrix, *_ = [*places, None, None]
        return cls(target, matrix, (*changes, *values), **program)


def what_to_run(asked: Asked) -> tuple[Callable[..., Any], Matrix]:
    """Return the experiment that was named, a function or a command, and the matrix."""
    from memento.matrix.changes import parse_changes
    from memento.matrix.matrix import Matrix
    from memento.matrix.matrix_files import SUFFIXES

    target, matrix = asked.target, asked.matrix
    if asked.command is None:
        for option in ("result", "env", "cwd"):
            if getattr(asked, option):
                raise UsageError(f"--{option} belongs to --command: a function needs none.")
        if target is None:
            raise UsageError(
                "give a function and a matrix: memento run FILE:FUNC MATRIX;"
                " or a program: memento run --command '...' MATRIX"
            )
        if matrix is None:
            if Path(target).suffix.lower() in SUFFIXES:
                raise UsageError(
                    f"give what runs over it too, a function: memento run FILE:FUNC {target};"
                    f" or a program: memento run --command '...' {target}"
                )
            raise UsageError(f"give the matrix too: memento run {target} MATRIX")
        if Path(target).suffix.lower() in SUFFIXES and ":" in matrix:
            raise UsageError(f"the function comes first: memento run {matrix} {target}")
        # First the function: the matrix may name objects of its file and of modules beside it.
        function = load_function(target)
    else:
        if matrix is not None:
            raise UsageError(f"give FILE:FUNC or --command, not both: memento run --command '...' {matrix}")
        if target is None:
            raise UsageError("give the matrix too: memento run --command '...' MATRIX")
        from memento.commands.command import command as make

        _import_from_here()  # the matrix may name objects of modules that lie here
        matrix = target
        function = make(asked.command, result=asked.result, env=_variables(asked.env), cwd=asked.cwd)
    if not Path(matrix).is_file():
        raise UsageError(f"there is no matrix {matrix}.{near_file(matrix, SUFFIXES)}")
    return function, Matrix.load(matrix, parse_changes(asked.changes))


def _variables(texts: Iterable[str]) -> dict[str, str]:
    """Read variables of a program's environment."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(f"--env {text}: write NAME=VALUE.")
        found[name] = value
    return found


def run_experiment(
    asked: Asked, options: dict[str, Any], how: dict[str, Any], only: Sequence[str], *, as_json: bool
) -> bool:
    """Run the experiment over the matrix and print what came of it; tell whether its deadline has left some undone."""
    memento, declared, how = _made(asked, options, how)
    failed: AggregateException | None = None
    with _selected(only) as selection:
        try:
            results = memento.run(declared, **how)
        except AggregateException as error:
            error.where = ""  # there is nobody to ask it for them
            failed, results = error, error.results
    if selection is not None and selection.keys and results is not None:
        results = results.filter(lambda result: result.key in selection.keys)
    if results is not None and (failed is None or as_json):
        _print(results, as_json)
    if failed is not None:
        raise failed
    has_deadline = how["until"] is not None or how["budget"] is not None
    return has_deadline and results is not None and any(one.status == "missing" for one in results)


def plan_experiment(
    asked: Asked,
    options: dict[str, Any],
    how: dict[str, Any],
    only: Sequence[str],
    *,
    every: bool,
    as_json: bool,
) -> None:
    """Print what a run would do."""
    memento, declared, how = _made(asked, options, how)
    with _selected(only):
        planned = memento.plan(declared, **how)
        if as_json:
            print_json("plan", planned.as_dict(every=every))
        else:
            print_safe("\n".join(planned.lines(every=every)))


def _made(
    asked: Asked, options: dict[str, Any], how: dict[str, Any]
) -> tuple[Memento, Matrix, dict[str, Any]]:
    """Make all that a run needs; what is wrong with it is told before anything runs."""
    from memento.clock import SYSTEM_CLOCK
    from memento.executors import make_executor
    from memento.memento import Memento
    from memento.runner.deadline import Deadline
    from memento.runner.options import check_names

    function, declared = what_to_run(asked)
    try:
        make_executor(options["executor"])  # a misspelt name is told even where nothing has to run
        memento = Memento(function, **options)
        sample = _sample(how["sample"])
        if how["until"] is not None or how["budget"] is not None:
            Deadline(how["until"], how["budget"], SYSTEM_CLOCK)  # says what is wrong with them
        check_names(function, declared)
    except MatrixError:
        raise  # it names the place in the file
    except (ValueError, TypeError) as exc:
        raise UsageError(str(exc)) from exc
    return memento, declared, how | {"sample": sample}


@contextmanager
def _selected(only: Sequence[str]) -> Iterator[Selection | None]:
    """Have runs compute only those tasks of the matrix that are meant; all, where nothing says which."""
    from memento.cli.choosing import wanted

    which = wanted(only)
    values: dict[str, list[str]] = {}
    for name, text in which.parameters:
        values.setdefault(name, []).append(text)
    selection = Selection({"keys": list(which.keys), "texts": values}) if which.says_which else None
    try:
        with selecting(selection) if selection is not None else nullcontext():
            yield selection
    except NoSuchTasks as error:
        raise UsageError(f"--only: {error}") from None


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
    if isinstance(sample, float) and sample > 1:
        raise UsageError(
            f"--sample {text}: a share is at most 100%; a number of tasks is a whole one, like 200."
        )
    check_sample(sample)
    return sample


def _print(results: Results, as_json: bool) -> None:
    if not as_json:
        print_safe(str(results))
        return
    frame = results.to_frame()
    rows = frame.to_json(orient="records", date_format="iso", default_handler=str)
    failures = [
        {
            "title": group.title,
            "count": group.count,
            "rule": group.rule or None,
            "first": group.config,
            "keys": list(group.keys),
        }
        for group in results.failures.groups
    ]
    print_json("run", {"results": json.loads(rows), "failures": failures})


def load_function(target: str) -> Callable[..., Any]:
    """Import ``file.py:func`` or ``package.module:func``; what the file itself would run is not run."""
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(
            f"{target!r} names no function: write it as experiment.py:func or package.module:func."
        )
    try:
        with selecting(Nothing()):
            module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place, place)
    except RunOfItsOwn:
        script = place if place.endswith(".py") else f"-m {place}"
        raise UsageError(
            f"{place} starts a run of its own when {name!r} is imported from it, and that was not asked for: put it"
            f' below `if __name__ == "__main__":` there, or start the script itself: python {script}'
        ) from None
    value: Any = module
    for attribute in name.split("."):
        if not hasattr(value, attribute):
            near = nearest(attribute, dir(value), 3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"{place} has no {attribute!r}.{hint}")
        value = getattr(value, attribute)
    if not callable(value):
        raise UsageError(f"{target} is no function: it is {json.dumps(type(value).__name__)}.")
    function: Callable[..., Any] = value
    return function


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}.{near_file(path, ('.py',))}")
    parts = [path.stem]
    folder = path.resolve().parent
    while (folder / "__init__.py").exists():  # a module of a package keeps its dotted name
        parts.insert(0, folder.name)
        folder = folder.parent
    # Workers import it by this name from the same place.
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = _load_module(".".join(parts), str(path))
    loaded = getattr(module, "__file__", None)
    if loaded is None or Path(loaded).resolve() != path.resolve():
        raise UsageError(
            f"{path} cannot be imported: its name is taken by {loaded or module!r}. Rename the file."
        )
    return module


def _import_from_here() -> None:
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _load_module(name: str, place: str) -> ModuleType:
    """Import a module, which the user called `place`."""
    from memento.cli.failed_import import told_by_users_frames

    _import_from_here()
    with told_by_users_frames(place):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name is None or not (name == exc.name or name.startswith(f"{exc.name}.")):
                raise  # the user's module is there; what it imports is not
    raise UsageError(f"there is no module {name!r}.")
