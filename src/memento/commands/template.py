"""A command with placeholders: read once, checked against a matrix, filled for each task.

Knows: texts, names and values of a matrix. May not know: processes, files of tasks.

A command is split into arguments before anything is put in, so a value is one argument, or a part of one, whatever
characters it has. No shell reads it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from string import Formatter
from typing import TYPE_CHECKING, Any

from memento.config import plain, short_text
from memento.errors import MatrixError, MatrixTypeError
from memento.matrix.suggest import did_you_mean

if TYPE_CHECKING:
    from memento.matrix.matrix import Matrix
    from memento.matrix.table import TaskTable

Argument = str | tuple[str, ...]  # a tuple is left out as a whole where a task lacks a parameter of it
Look = Callable[[str], Any]  # placeholder -> value; KeyError where the task lacks it

# Of a task, beside its parameters and settings.
OF_CONTEXT = tuple(
    f"context.{name}"
    for name in "directory seed shared_seed key attempt resources.cpus resources.gpus".split()
)
OF_TASK = (*OF_CONTEXT, "repeat", "config")
_STAND_INS: dict[str, Any] = {  # while values are tried
    **dict.fromkeys(OF_TASK, 1),
    **dict.fromkeys(("context.directory", "context.key", "context.resources.gpus", "config"), "0"),
}
_TELL_REPEATS = frozenset(("repeat", "config", "context.seed", "context.shared_seed"))
_OF_SHELLS = frozenset("| || && ; & > >> < 2> 2>> 2>&1 &>".split())


def read_command(command: str | Sequence[Any]) -> tuple[Argument, ...]:
    """Return the arguments of a command that is a text or a list.

    Examples
    --------
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
    of_shell = [word for word in words if word in _OF_SHELLS]
    if of_shell:
        raise MatrixError(
            "command",
            f"{of_shell[0]!r} is a word for a shell, and no shell reads this.",
            "Write what it does into a script: command('bash run.sh {lr}').",
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

    Examples
    --------
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

    Examples
    --------
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

    Examples
    --------
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

    Examples
    --------
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


def as_argument(value: Any) -> str:
    """Write a value as an argument: classes and functions by their names, what is nested as JSON.

    Raises
    ------
    TypeError
        It has no text that a program could read.

    Examples
    --------
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


# -- against a matrix --------------------------------------------------------------------------------------


def check(arguments: Sequence[Argument], others: Mapping[str, str], matrix: Matrix) -> None:
    """Refuse a matrix with which tasks would run the wrong command, or none.

    `others` are texts that are filled as the arguments are, by where they stand.
    """
    table = matrix.table()
    columns = dict(zip(table.names, table.values, strict=True))
    upstream = {str(one) for one in matrix.dependencies} - columns.keys()
    known = {**dict.fromkeys(OF_TASK), **dict.fromkeys(upstream), **matrix.settings, **columns}
    taken: set[str] = set()
    groups = [("command", one) if isinstance(one, tuple) else ("command", (one,)) for one in arguments]
    groups += [(where, (text,)) for where, text in others.items()]
    for number, (where, texts) in enumerate(groups):
        optional = number < len(arguments) and isinstance(arguments[number], tuple)
        for text in texts:
            names = [_known(field, known, where) for field in fields(text, where)]
            taken.update(names)
            for name in names if not optional else ():
                if name in columns and _may_lack(table, name):
                    raise MatrixError(
                        where,
                        f"{text!r} needs the parameter {name!r}, which not every task has.",
                        f"Have such tasks leave the option out: write [ --{name} {{{name}}} ] in its place, or"
                        f' ["--{name}", "{{{name}}}"] in a list.',
                    )
            _try_values(text, where, {name: columns.get(name) or [matrix.settings[name]] for name in names
                                      if name in columns or name in matrix.settings})  # fmt: skip
    _check_all_taken([*columns, *upstream], columns, matrix, taken)


def _known(field: str, known: Mapping[str, Any], where: str) -> str:
    """Return the known name that a placeholder begins with."""
    try:
        name, rest = whole_name(field, known.__getitem__)
    except KeyError:
        name, rest = "", ""
    if name and not (rest and name in OF_TASK):
        return name
    own = [name for name in known if name not in OF_TASK]
    bare = field.rpartition(".")[2]
    if not field.replace(".", "").replace("_", "").isalnum():
        todo = "Write {{ and }} for braces."
    elif bare in own:
        todo = f"Did you mean {{{bare}}}?"
    else:
        todo = did_you_mean(field, [*own, *OF_TASK])
    raise MatrixError(where, f"there is no parameter or setting for {{{field}}}.", todo)


def _may_lack(table: TaskTable, name: str) -> bool:
    if not table.may_lack:
        return False
    column = table.names.index(name)
    return any(table.along(column, [False] * len(table.values[column]) + [True]))


def _try_values(text: str, where: str, columns: Mapping[str, Sequence[Any]]) -> None:
    """Refuse values that cannot be put into a text, each beside the first of the others."""
    first = {name: values[0] for name, values in columns.items() if values}
    stand_in = {**_STAND_INS, **first}
    for name, values in columns.items():
        for value in values:
            if isinstance(value, (int, float)) and type(value) is type(values[0]) and value is not values[0]:
                continue  # numbers of a type are formatted alike
            try:
                told = fill(text, {**stand_in, name: value}.__getitem__)
                if "\0" in told:
                    raise ValueError("it has a null character, which no argument may have")
                os.fsencode(told)
            except KeyError:
                continue  # of another matrix's result, which is not there yet
            except Exception as error:  # whatever a value's __format__ raises
                raise MatrixError(
                    where,
                    f"{short_text(value, 40)}, a value of {name!r}, cannot be put into {text!r}: {error}.",
                    "Make it a text, a number or a name that the program understands.",
                ) from error


def _check_all_taken(
    names: Iterable[str], columns: Mapping[str, Sequence[Any]], matrix: Matrix, taken: set[str]
) -> None:
    """Refuse parameters that no placeholder takes: two tasks would run the same command."""
    if "config" in taken and "config" not in columns:
        for name, value in [*matrix.settings.items(), *((n, v) for n in columns for v in columns[n])]:
            try:
                json_text({name: value})
            except (TypeError, ValueError) as error:
                raise MatrixError(
                    "command", f"{{config}} is a JSON file, and {name!r} has {error}."
                ) from None
        return
    for name in names:
        if name not in taken:
            raise MatrixError(
                "command",
                f"nothing in it takes the parameter {name!r}, so tasks that differ in it only would run the same.",
                f"Write {{{name}}} where the program expects it, or {{config}}, the path of a JSON file with all"
                " parameters.",
            )
    if matrix.repeats > 1 and not taken & _TELL_REPEATS:
        raise MatrixError(
            "command",
            f"the matrix has repeats={matrix.repeats}, and nothing in it tells them apart.",
            "Write {context.seed} or {repeat} where the program expects its seed.",
        )
