"""A command with placeholders: read once, filled for each task.

Knows: texts and values. May not know: matrices, processes, files of tasks.

A command is split into arguments before anything is put in, so a value is one argument, or a part of one, whatever
characters it has. No shell reads it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from string import Formatter
from typing import Any

from memento.config import plain, short_text
from memento.errors import MatrixError, MatrixTypeError

Argument = str | tuple[str, ...]  # a tuple is left out as a whole where a task lacks a parameter of it
Look = Callable[[str], Any]  # placeholder -> value; KeyError where the task lacks it

# Of a task, beside its parameters and settings.
OF_CONTEXT = tuple(
    f"context.{name}"
    for name in "directory seed shared_seed key attempt resources.cpus resources.gpus".split()
)
OF_TASK = (*OF_CONTEXT, "repeat", "config")
_OF_SHELLS = frozenset("| || && ; & > >> < 2> 2>> 2>&1 &>".split())


def read_command(command: str | Sequence[Any]) -> tuple[Argument, ...]:
    """Return the arguments of a command that is a text or a list.

    >>> read_command("train.py --lr {lr} [ --C {C} ] 'a b'")
    ('train.py', '--lr', '{lr}', ('--C', '{C}'), 'a b')
    >>> read_command(["train.py", ["--C", "{C}"]])
    ('train.py', ('--C', '{C}'))
    """
    if isinstance(command, str):
        found = _grouped(_split(command))
    elif isinstance(command, (list, tuple)):
        found = [_listed(one) for one in command]
    else:
        raise MatrixTypeError(
            "command",
            f"it must be a text or a list of arguments, got {short_text(command, 40)}.",
            'Write command("python train.py --lr {lr}").',
        )
    first = found[0] if found else ""
    if not isinstance(first, str) or not first.strip():
        raise MatrixError("command", "it names no program.", 'Write command("python train.py --lr {lr}").')
    for text in _texts(found):
        fields(text)
    return tuple(found)


def _split(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise MatrixError(
            "command", f"{str(error).rstrip('.').lower()} in {command!r}.", "Close the quote, or give a list."
        ) from None
    of_shell = [word for word in words if word in _OF_SHELLS or word.startswith(("~/", "$"))]
    if of_shell or words[:1] == ["cd"]:
        raise MatrixError(
            "command",
            f"{[*of_shell, 'cd'][0]!r} is for a shell, and no shell reads this.",
            "cwd= takes the place of cd, env= that of variables; for more, write a script: 'bash run.sh {lr}'.",
        )
    name, equals, value = words[0].partition("=") if words else ("", "", "")
    if equals and name.isidentifier():
        raise MatrixError(
            "command",
            f"{words[0]!r} is for a shell, and no shell reads this.",
            f"Write command(..., env={{{name!r}: {value!r}}}).",
        )
    return words


def _grouped(words: Iterable[str]) -> list[Argument]:
    """Make a tuple of the words between brackets that stand alone."""
    found: list[Argument] = []
    group: list[str] | None = None
    for word in words:
        if word == ("[" if group is None else "]"):
            if group is not None:
                found.append(tuple(group))
            group = [] if group is None else None
        elif group is not None:
            group.append(word)
        else:
            found.append(word)
    if group is not None:
        raise MatrixError("command", "a '[' is not closed.", "Write [ --C {C} ], with spaces around both.")
    return found


def _listed(one: Any) -> Argument:
    if isinstance(one, (list, tuple)):
        return tuple(map(_argument, one))
    return _argument(one)


def _argument(one: Any) -> str:
    if not isinstance(one, (str, int, float, os.PathLike)):
        raise MatrixTypeError(
            "command",
            f"{short_text(one, 40)} is no argument.",
            'A list of arguments is like ["a.py", "{lr}"].',
        )
    return one if isinstance(one, str) else os.fspath(one) if isinstance(one, os.PathLike) else str(one)


def command_text(arguments: Iterable[Argument]) -> str:
    """Write arguments as one would for a shell; groups in brackets.

    >>> command_text(("train.py", "{lr}", ("--C", "{C}"), "a b"))
    "train.py {lr} [ --C {C} ] 'a b'"
    """
    return " ".join(
        f"[ {shell_text(one)} ]" if isinstance(one, tuple) else shell_text([one]) for one in arguments
    )


def shell_text(arguments: Iterable[str]) -> str:
    """Join arguments so that a shell would read them as they are; of placeholders the braces stay bare."""
    return " ".join(one if _is_bare(one) else shlex.quote(one) for one in arguments)


def _is_bare(text: str) -> bool:
    return bool(text) and shlex.quote(text.replace("{", "").replace("}", "") or "x")[:1] != "'"


def _texts(arguments: Iterable[Argument]) -> Iterator[str]:
    for one in arguments:
        yield from one if isinstance(one, tuple) else (one,)


def fields(text: str, where: str = "command") -> list[str]:
    """Return the names of the placeholders of a text.

    >>> fields("--lr={lr:.3f} {context.directory}/{{x}}")
    ['lr', 'context.directory']
    """
    try:
        parsed = list(Formatter().parse(text))
        inner = [name for _, _, spec, _ in parsed if spec for name in fields(spec, where)]
    except ValueError as error:
        raise MatrixError(where, f"{error} in {text!r}.", "Write {{ and }} for braces.") from None
    return [name for _, name, _, _ in parsed if name is not None] + inner


def filled(arguments: Iterable[Argument], look: Look) -> list[str]:
    """Return the arguments of one task; raises KeyError where it lacks a name outside of groups."""
    found: list[str] = []
    for one in arguments:
        if isinstance(one, str):
            found.append(fill(one, look))
            continue
        try:
            found += [fill(text, look) for text in one]
        except KeyError:
            continue
    return found


def fill(text: str, look: Look) -> str:
    """Put values into one text.

    >>> fill("--lr={lr:.3f}", {"lr": 0.5}.__getitem__)
    '--lr=0.500'
    """
    return _Filler(look).vformat(text, (), {})


class _Filler(Formatter):
    """Formats with values that are looked up by name."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        name, rest = whole_name(field_name, self._look)
        if not rest:
            return self._look(name), name
        try:
            return super().get_field(f"x{rest}", (), {"x": self._look(name)})
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{field_name!r}: {error}") from None

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec:
            return format(plain(value), format_spec)
        return as_argument(value)


def whole_name(field: str, look: Look) -> tuple[str, str]:
    """Split a placeholder into a name that is known and what of its value is meant; raises KeyError for none.

    >>> whole_name("size[0]", {"size": (3, 4)}.__getitem__)
    ('size', '[0]')
    """
    ends = [len(field), *(i for i in range(len(field) - 1, 0, -1) if field[i] in ".[")]
    for end in ends:
        try:
            look(field[:end])
        except KeyError:
            continue
        return field[:end], field[end:]
    raise KeyError(field)


def files_like(text: str, folder: str) -> list[str]:
    """Return the files that a text may name, whatever is put into it; none where it tells no kind of file."""
    import glob

    pattern = "".join(
        glob.escape(literal) + ("" if name is None else "*")
        for literal, name, _, _ in Formatter().parse(text)
    )
    if "*" in os.path.splitext(pattern)[1] or not os.path.splitext(pattern)[1]:
        return []
    return glob.glob(os.path.join(glob.escape(folder), pattern))


def as_argument(value: Any) -> str:
    """Write a value as an argument: classes and functions by their names, what is nested as JSON.

    >>> as_argument(0.1), as_argument(dict), as_argument((64, 32)), as_argument({"a": None})
    ('0.1', 'dict', '[64, 32]', '{"a": null}')
    """
    value = plain(value)
    if isinstance(value, (dict, list, tuple)):
        import json

        return json.dumps(value, default=_in_json, ensure_ascii=False)
    text = _in_json(value)
    return text if isinstance(text, str) else str(text)


def _in_json(value: Any) -> Any:
    """Return a value as JSON has it, for what JSON does not know."""
    import datetime
    import decimal
    import enum

    value = plain(value)
    if isinstance(value, enum.Enum):
        return _in_json(value.value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (os.PathLike, decimal.Decimal, datetime.date, datetime.time, datetime.timedelta)):
        return str(value)
    name = getattr(value, "__name__", None)
    if callable(value) and isinstance(name, str) and name.isidentifier():
        return name
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__qualname__} cannot be an argument")


def json_text(values: Mapping[str, Any]) -> str:
    """Write parameters as JSON, for a program to read."""
    import json

    return json.dumps(values, default=_in_json, ensure_ascii=False, indent=1)
