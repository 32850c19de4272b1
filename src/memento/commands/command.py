"""Experiments that are commands: `memento.command("python train.py --lr {lr}", result="result.json")`.

Knows: how a command is filled, run, and its result read. May not know: how tasks are planned.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memento.commands import template
from memento.commands.child import Output, run_program
from memento.commands.placeholders import check
from memento.commands.printed_steps import Curves
from memento.commands.result_files import Stamp, check_kind, keep_files, read_result, stamp
from memento.context.task_space import StopTask
from memento.errors import CommandFailed, MatrixError, MatrixTypeError
from memento.keys.ast_normal_form import Found
from memento.keys.code_files import Program
from memento.keys.names import path_in_project
from memento.worker.failures import exit_name

if TYPE_CHECKING:
    from memento.config import Config
    from memento.context.context import Context
    from memento.matrix.matrix import Matrix

    Read = Callable[[Path], Any]

_PYTHONS = ("python", "python3")  # they mean the Python that runs Memento, wherever PATH leads
_CONFIG = "memento-config.json"
_MOST_FILES = 100  # that a placeholder may stand for
_LINE = 200  # characters of the line that says how it failed


class CommandOutput(Exception):
    """A command and the last lines of its output, as the cause of its failure: reports show both."""


class Command(Program):
    """An experiment that runs a program for each task; made by `memento.command`."""

    def __init__(
        self,
        arguments: tuple[template.Argument, ...],
        result: str | Read | None,
        env: dict[str, str],
        cwd: str | None,
    ) -> None:
        self.arguments, self.result, self.env, self.cwd = arguments, result, env, cwd
        self._code: tuple[int, dict[str, Stamp]] | None = None  # as it was when the run began

    def __repr__(self) -> str:
        return f"command({self.text()!r})"

    # ------------------------------------------------------------ what it is

    def text(self) -> str:
        """Return the command as it was written."""
        return template.command_text(self.arguments)

    @property
    def program(self) -> str:
        """What is run, without the folder."""
        return os.path.basename(str(self.arguments[0]))

    def made_with(self) -> object:
        """Return what tells it from other commands; what lies in the project by its place there."""
        return (
            tuple(
                tuple(map(_placed, one)) if isinstance(one, tuple) else _placed(one) for one in self.arguments
            ),
            self.result,
            self.env,
            None if self.cwd is None else _placed(self.cwd),
        )

    def files(self) -> list[tuple[str, str]]:
        """Return the files that its arguments name, and what it runs as a module."""
        folder = self._folder()
        words = [one for one in self.arguments if isinstance(one, str)]
        found: list[tuple[str, str]] = []
        for before, word in zip(["", *words], words, strict=False):
            if before == "-m" and self.program.startswith("python"):
                found += _module_file(word, folder)
            elif not template.fields(word):
                path = os.path.join(folder, word)
                if os.path.isfile(path):
                    found.append((os.path.normpath(path), ""))
            elif word in self.unfollowed():
                found += [(path, "") for path in sorted(template.files_like(word, folder))[:_MOST_FILES]]
        return found

    @property
    def program_file(self) -> str:
        """The file that is run, if it was named by its path; else ""."""
        first = str(self.arguments[0])
        return os.path.normpath(os.path.join(self._folder(), first)) if os.path.dirname(first) else ""

    def unfollowed(self) -> list[str]:
        """Return the program, or the script of a Python and its like, where a placeholder tells which it is."""
        words = [one for one in self.arguments if isinstance(one, str)]
        script = next((word for word in words[1:] if not word.startswith("-")), "")
        own = [words[0], script] if words[0] == self.program else words[:1]
        return [word for word in own if template.fields(word) and not word.startswith("{context.")]

    def _folder(self) -> str:
        return os.getcwd() if self.cwd is None or template.fields(self.cwd) else os.path.abspath(self.cwd)

    # ------------------------------------------------------------ before anything runs

    def check(self, matrix: Matrix) -> None:
        """Refuse a matrix with which tasks would run the wrong command, or none."""
        others = {f"env[{name!r}]": text for name, text in self.env.items()}
        others |= {"cwd": self.cwd} if self.cwd is not None else {}
        others |= {"result": self.result} if isinstance(self.result, str) else {}
        check(self.arguments, others, matrix)
        self._check_program()
        self._code = self._code_now()

    def _check_program(self) -> None:
        """Refuse a program, or the script of a Python, that is not there."""
        first = self.arguments[0]
        if not isinstance(first, str) or template.fields(first) or (self.cwd and template.fields(self.cwd)):
            return
        folder = self.cwd or os.curdir
        if first in _PYTHONS:
            script = self.arguments[1] if len(self.arguments) > 1 else "-"
            if (
                isinstance(script, str)
                and not script.startswith("-")
                and not template.fields(script)
                and not os.path.exists(os.path.join(folder, script))
            ):
                raise MatrixError(
                    "command",
                    f"there is no file {script!r} in {os.path.abspath(folder)}.",
                    "Start from the folder that it is in, or give command(..., cwd=folder).",
                )
            return
        there = os.path.join(folder, first) if os.path.dirname(first) else first
        path = self.env.get("PATH", os.environ.get("PATH"))
        if shutil.which(there, path=path) is None:
            if os.path.isfile(there):
                raise MatrixError(
                    "command", f"{first!r} may not be executed.", f"chmod +x {shlex.quote(there)}"
                )
            raise MatrixError(
                "command",
                f"there is no program {first!r} here.",
                f"Install it or write its path; where only workers have it, write 'env {first} ...'.",
            )

    def _code_now(self) -> tuple[int, dict[str, Stamp]]:
        """Return what tells the code from an edited one: its contents, and the files that they stand in."""
        files, texts = {file for file, _ in self.files()}, []
        for _, text, told in self.code():
            texts.append(text)
            files |= {told.file} if isinstance(told, Found) else set()
        mark = blake2b("\0".join(sorted(texts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(mark, "big"), {file: stamp(file) for file in files}

    def _check_code(self, line: str) -> None:
        """Refuse to run what was edited since the run began: it would count as a result of the older code."""
        if self._code is None or all(stamp(file) == before for file, before in self._code[1].items()):
            return
        before, now = self._code[1], self._code_now()
        if now[0] != self._code[0]:
            names = [os.path.basename(file) for file, then in before.items() if stamp(file) != then]
            raise CommandFailed(
                f"{', '.join(sorted(names))} was edited since the run began; the next run takes the code as it is then",
                line,
            )
        self._code = now

    # ------------------------------------------------------------ one task

    def __call__(self, context: Context, config: Config) -> Any:
        """Run the program for one task, and return its result."""
        look = _Values(context, config)
        arguments = template.filled(self.arguments, look)
        if arguments[0] in _PYTHONS:
            arguments[0] = sys.executable or arguments[0]
        cwd = None if self.cwd is None else template.fill(self.cwd, look)
        env = {name: template.fill(text, look) for name, text in self.env.items()}
        path = before = None
        if isinstance(self.result, str):
            path = context.directory / template.fill(self.result, look)
            before = stamp(path)
        curves = Curves(context.record, context.directory)
        output = Output(curves.record)
        line = shlex.join(arguments)
        self._check_code(line)
        output.show(f"$ {line}\n".encode("utf-8", "backslashreplace"))
        code = run_program(arguments, cwd, env, output, lambda: context.stopping)
        curves.end()
        if code is None:
            raise StopTask("the command was told to stop before it had finished")
        if code != 0:
            raise CommandFailed(
                _how_it_ended(code, output), line, output.last_lines(), code
            ) from CommandOutput(f"{line}\n{output.last_lines()}")
        curves.forget()
        value = output.found
        try:
            if path is not None:
                value = read_result(path, before, cwd or os.curdir)
            elif callable(self.result):
                value = self.result(context.directory)
        except ValueError as error:
            if path is None:
                raise
            told = CommandOutput(f"\n$ {line}\n{output.last_lines()}")
            raise CommandFailed(str(error), line, output.last_lines(), code) from told
        keep_files(context)
        return value


class _Values:
    """Looks up the values of one task by the names of placeholders."""

    def __init__(self, context: Context, config: Config) -> None:
        self._context, self._config = context, config

    def __call__(self, name: str) -> Any:
        context, config = self._context, self._config
        if name in config:
            return config[name]
        if name in config.settings:
            return config.settings[name]
        if name == "repeat":
            return config.repeat
        if name == "config":
            return self._config_file()
        if name not in template.OF_CONTEXT:
            raise KeyError(name)
        value: Any = context
        for attribute in name.split(".")[1:]:
            value = getattr(value, attribute)
        return ",".join(value) if isinstance(value, tuple) else value

    def _config_file(self) -> Path:
        config = self._config
        path = self._context.directory / _CONFIG
        values = {**config.settings, **{name: config[name] for name in config}, "repeat": config.repeat}
        path.write_text(template.json_text(values), encoding="utf-8")
        return path


def _how_it_ended(code: int, output: Output) -> str:
    """Say how a program failed, and the last that it said."""
    said = [line.strip() for line in output.last_lines().splitlines() if line.strip()]
    why = " (perhaps the system had no memory left)" if code == -9 else ""
    return f"{exit_name(code)}{why}" + (f": {said[-1][:_LINE]}" if said else "")


def _placed(text: str) -> object:
    """Return a path in the project as seen from there, so that a checkout that is moved keeps its results."""
    inside = path_in_project(text, "") if os.path.isabs(text) else None
    return text if inside is None else ("in the project", inside)


def _module_file(name: str, folder: str) -> list[tuple[str, str]]:
    """Return the file that ``python -m name`` runs, if it can be seen from here."""
    from memento.keys.code_files import find_module

    for module in (f"{name}.__main__", name):
        spec = find_module(module, [folder, *sys.path]) if name.replace(".", "").isidentifier() else None
        if spec is not None and spec.origin is not None and spec.submodule_search_locations is None:
            return [(spec.origin, module)]
    return []


def command(
    command: str | Sequence[Any],
    *,
    result: str | os.PathLike[str] | Read | None = None,
    env: Mapping[str, Any] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Command:
    """Make an experiment of a program that is run for each task, without a shell.

    Placeholders are parameters and settings, ``{repeat}``, ``{context.directory}`` (a folder of the task's own, whose
    files are kept as artifacts), ``{context.seed}``, ``{context.key}``, ``{config}`` (the path of a JSON file with all
    parameters). Lines of its output that are JSON objects of numbers are metrics; ``"step"`` in them is the x.

    Parameters
    ----------
    command : str or list
        The program and its arguments. What stands between ``[`` and ``]`` (in a list: a list) is left out where a task
        lacks a parameter in it.
    result : str or callable, optional
        The file with the result, seen from ``{context.directory}``: .json, .csv, .tsv, .parquet, .npy, .npz, .txt; or a
        function of that folder. By default the last line of the output that is a JSON object.
    env : mapping, optional
        Variables added to the program's environment; part of the key, and never shown.
    cwd : path, optional
        Where it runs; by default where the run was started.

    Returns
    -------
    Command
        To be given to `Memento`.

    Raises
    ------
    MatrixError
        The command, or an option, cannot be understood.

    Examples
    --------
    >>> from memento import Memento, command
    >>> script = 'import json, sys; print(json.dumps({{"y": 2 * int(sys.argv[1])}}))'
    >>> double = command(["python", "-c", script, "{x}"])
    >>> runs = Memento(double, store="memento-store", progress=False)
    >>> [result.inner for result in runs.run({"parameters": {"x": [1, 2]}})]
    [{'y': 2}, {'y': 4}]
    """
    arguments = template.read_command(command)
    if isinstance(result, (str, os.PathLike)):
        result = os.fspath(result)
        template.fields(result, "result")
        check_kind(result)
    elif result is not None and not callable(result):
        raise MatrixTypeError("result", f"it must be a file's name or a function, got {result!r}.")
    texts = {str(name): template.as_argument(value) for name, value in (env or {}).items()}
    for name, text in texts.items():
        template.fields(text, f"env[{name!r}]")
    folder = None if cwd is None else os.fspath(cwd)
    if folder is not None and not template.fields(folder, "cwd") and not os.path.isdir(folder):
        raise MatrixError("cwd", f"there is no folder {folder!r}.")
    return Command(arguments, result, texts, folder)
