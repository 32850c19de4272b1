"""Hold a command's placeholders against a matrix, before anything runs.

Knows: templates, matrices. May not know: processes, files of tasks.

Two tasks must never run the same command: the result of one would be kept as that of the other, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memento.commands.template import OF_TASK, Argument, command_text, fields, fill, json_text, whole_name
from memento.config import short_text
from memento.errors import MatrixError
from memento.matrix.values import equal
from memento.suggest import did_you_mean

if TYPE_CHECKING:
    from memento.matrix.matrix import Matrix

_TELL_REPEATS = frozenset(("repeat", "config", "context.seed", "context.shared_seed"))
_STAND_INS: dict[str, Any] = {  # while values are tried
    **dict.fromkeys(OF_TASK, 1),
    **dict.fromkeys(("context.directory", "context.key", "context.resources.gpus", "config"), "0"),
}
_LONGEST = (128 << 10) - 1  # bytes of one argument: execve(2) of Linux, the strictest
_INSTEAD = "Write {{{name}}} where the program expects it, or {{config}}, the path of a JSON file with all parameters."


def check(arguments: Sequence[Argument], others: Mapping[str, str], matrix: Matrix) -> None:
    """Refuse a matrix with which tasks would run the wrong command, or none.

    `others` are texts that are filled as the arguments are, by where they stand.
    """
    checking = _Checking(matrix)
    for one in arguments:
        checking.take("command", one if isinstance(one, tuple) else (one,), optional=isinstance(one, tuple))
    for where, text in others.items():
        checking.take(where, (text,), optional=False)
    checking.end()


class _Checking:
    """What of a matrix a command has taken so far."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix, self._table = matrix, matrix.table()
        self._columns: dict[str, Sequence[Any]] = dict(
            zip(self._table.names, self._table.values, strict=True)
        )
        self._upstream = {str(one) for one in matrix.dependencies} - self._columns.keys()
        own = {**dict.fromkeys(self._upstream), **matrix.settings, **self._columns}
        self._known = {**dict.fromkeys(OF_TASK), **own}
        self._taken: set[str] = set()
        # How each value is written, wherever it is.
        self._written: dict[str, list[str]] = {name: [""] * len(v) for name, v in self._columns.items()}

    def take(self, where: str, texts: Sequence[str], *, optional: bool) -> None:
        """Take texts that are filled together; where they are optional, they are left out together."""
        named = {text: [self._name(field, where) for field in fields(text, where)] for text in texts}
        names = list(dict.fromkeys(name for some in named.values() for name in some))
        self._taken.update(names)
        lacking = {name: self._lacking(name) for name in names if name in self._columns}
        for name, lacks in lacking.items():
            if not optional and any(lacks):
                raise MatrixError(
                    where,
                    f"{texts[0]!r} needs the parameter {name!r}, which not every task has.",
                    f"Have such tasks leave the option out: write [ --{name} {{{name}}} ] in its place, or"
                    f' ["--{name}", "{{{name}}}"] in a list.',
                )
            other = next((n for n, its in lacking.items() if its != lacks and any(its)), None)
            if other is not None:
                raise MatrixError(
                    where,
                    f"{command_text([tuple(texts)])} is left out as a whole where a task lacks {other!r}, and some of"
                    f" these tasks have {name!r}.",
                    "Give each a group of its own.",
                )
        for text, some in named.items():
            self._try(text, where, some)

    def _name(self, field: str, where: str) -> str:
        """Return the known name that a placeholder begins with."""
        try:
            name, rest = whole_name(field, self._known.__getitem__)
        except KeyError:
            name, rest = "", ""
        own = [one for one in self._known if one not in OF_TASK or one in self._columns]
        if name and not (rest and name not in own):
            return name
        bare = field.rpartition(".")[2]
        if not field.replace(".", "").replace("_", "").isalnum():
            todo = "Write {{ and }} for braces."
        elif bare in own:
            todo = f"Did you mean {{{bare}}}?"
        else:
            todo = did_you_mean(field, [*own, *OF_TASK])
        raise MatrixError(where, f"there is no parameter or setting for {{{field}}}.", todo)

    def _lacking(self, name: str) -> list[bool]:
        """Return for each row of the matrix whether it lacks a parameter; nothing where none does."""
        if not self._table.may_lack:
            return []
        column = self._table.names.index(name)
        return list(self._table.along(column, [False] * len(self._columns[name]) + [True]))

    def _try(self, text: str, where: str, names: Iterable[str]) -> None:
        """Put each value into a text, beside the first of the others; refuse those that do not go there."""
        settings = self._matrix.settings
        values = {name: self._columns.get(name) or [settings[name]] for name in names
                  if name in self._columns or name in settings}  # fmt: skip
        stand_in = {**_STAND_INS, **dict.fromkeys(self._upstream, ""), **{n: v[0] for n, v in values.items()}}
        for name, some in values.items():
            for number, value in enumerate(some):
                try:
                    told = fill(text, {**stand_in, name: value}.__getitem__)
                    if "\0" in told:
                        raise ValueError("it has a null character, which no argument may have")
                    if len(os.fsencode(told)) > _LONGEST:
                        raise ValueError(
                            "it is longer than an argument may be; {config} names a file that has it"
                        )
                except Exception as error:  # whatever a value's __format__ raises
                    if self._upstream.intersection(names):
                        continue  # the text is of a result that is not there yet
                    raise MatrixError(
                        where,
                        f"{short_text(value, 40)}, a value of {name!r}, cannot be put into {text!r}: {error}.",
                        "Make it a text, a number or a name that the program understands.",
                    ) from error
                if name in self._written:
                    self._written[name][number] += f"{told}\0"

    def end(self) -> None:
        """Refuse what nothing takes, and values and repeats that nothing tells apart."""
        matrix, taken = self._matrix, self._taken
        if "config" in taken and "config" not in self._columns:
            self._take_all()
        needed = [*self._columns, *self._upstream]
        needed += [name for name in matrix.settings if name not in matrix.volatile]
        for name in needed:
            if name not in taken:
                what = "setting" if name in matrix.settings else "parameter"
                why = (
                    "it has no effect"
                    if what == "setting"
                    else "tasks that differ in it only would run the same"
                )
                raise MatrixError(
                    "command", f"nothing in it takes the {what} {name!r}: {why}.", _INSTEAD.format(name=name)
                )
        for name, written in self._written.items():
            first: dict[str, Any] = {}
            for text, value in zip(written, self._columns[name], strict=True):
                if text in first and not equal(first[text], value):
                    alike, one, other = text.split("\0")[0], first[text], value
                    kinds = f"{short_text(one)} ({type(one).__name__}) and {short_text(other)} ({type(other).__name__})"
                    raise MatrixError(
                        "command",
                        f"two values of {name!r} are written alike, {alike!r}: {kinds}.",
                        "Give texts or numbers that tell them apart, or a format that keeps all digits.",
                    )
                first[text] = value
        if matrix.repeats > 1 and not taken & _TELL_REPEATS:
            raise MatrixError(
                "command",
                f"the matrix has repeats={matrix.repeats}, and nothing in it tells them apart.",
                "Write {context.seed} or {repeat} where the program expects its seed.",
            )

    def _take_all(self) -> None:
        """Take everything, as JSON."""
        self._taken.update(self._known)
        for name, values in {**{n: [v] for n, v in self._matrix.settings.items()}, **self._columns}.items():
            for number, value in enumerate(values):
                try:
                    told = json_text({name: value})
                except (TypeError, ValueError) as error:
                    raise MatrixError(
                        "command", f"{{config}} is a JSON file, and {name!r} has {error}."
                    ) from None
                if name in self._written:
                    self._written[name][number] += told
