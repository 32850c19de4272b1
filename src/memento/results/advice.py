"""Say the right line to somebody who asks results for what they do not have, or gets less than asked for.

Knows: the words of other tools, warnings. May not know: what they do, results.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from memento.suggest import instead_of, nearest
from memento.wording import one_line

# What to write -> words for it.
_OF_RESULTS = {
    "results.to_frame()": "df dataframe frame topandas todf todataframe toframe data table pandas columns iloc",
    "results.to_frame().to_csv(path)": "tocsv save export toexcel tojson",
    "[result.value for result in results]": "value values inner results outputs scores tolist",
    "results.summary()": "mean std describe groupby agg aggregate average stats",
    "results.best()": "max min top bestresult bestparams bestconfig bestscore argmax argmin",
    "results.filter(name=value)": "query where select get find",
    "[result.config for result in results]": "configs config parameters params",
    "results.failures": "failed exceptions traceback tracebacks",
}
_OF_RESULT = {
    "result.value": "result output outputs score scores ret returned returnvalue data get",
    "result.config": "params parameters configuration cfg hparams args",
    "result.config.settings": "settings",
    "result.error": "exception traceback err exc",
    "result.runtime": "duration time elapsed seconds walltime",
    "result.key": "id uid hash name taskid",
    "result.log": "logs stdout stderr printed",
    "result.was_cached": "cached fromcache iscached",
    "result.status == 'done'": "ok success successful done failed state",
    "result.config.repeat": "seed rep fold",
    "results[:1].upstream()": "upstream dependencies parents",
    "memento show KEY on the command line": "steps step",
}


class NoSuchColumn(AttributeError):
    """Results have no attribute of this name; says what to write, and looks for it only when somebody reads that.

    Programs ask objects for names that these need not have, and to know all columns is to read the values.
    """

    def __init__(self, owner: object, name: str, columns: Callable[[], Sequence[str]]) -> None:
        super().__init__(name=name, obj=owner)
        self._columns = columns

    def __str__(self) -> str:
        return no_such_attribute(self.obj, str(self.name), columns=self._columns)

    def __reduce__(self) -> tuple[Any, ...]:
        return AttributeError, (str(self),)


class Recorded(dict[str, Any]):
    """What a task recorded by its names; says which there are where one is wrong."""

    def __missing__(self, name: object) -> NoReturn:
        raise KeyError(unknown("metric", str(name), list(self)))

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Pickle and copy it as a dict."""
        return dict, ({**self},)


def check_one(name: object, line: str) -> None:
    """Refuse several names, or a function, where the name of one column is meant; `line` has "{}" for it."""
    if isinstance(name, (list, tuple, set)) or callable(name):
        first = "name" if callable(name) else next(iter(name), "name")
        raise TypeError(
            f"it takes the name of one column, got {one_line(repr(name), 60)}. Write {line.format(first)}."
        )


def no_such_attribute(
    owner: object,
    name: str,
    parameters: Iterable[str] = (),
    columns: Callable[[], Sequence[str]] = list,
) -> str:
    """Say that a result, or several, have no attribute of this name, and what to write instead."""
    problem = f"{type(owner).__name__!r} object has no attribute {name!r}"
    if name.startswith("_"):
        return problem
    one, words = ("results", _OF_RESULTS) if isinstance(owner, Sequence) else ("result", _OF_RESULT)
    if name in parameters:
        return f"{problem}. It is a parameter: write {one}.config.{name}."
    line = instead_of(name, words, one, [n for n in dir(type(owner)) if not n.startswith("_")])
    if line is None and one == "result":
        return f"{problem}. What the task returned is result.value, what it recorded result.metrics."
    known = [] if line else columns()
    return (
        f"{problem}. Write {line}." if line else f"{problem}. {_of_column(name, known)}" if known else problem
    )


def no_such_index(index: object, columns: Sequence[str]) -> str:
    """Say what to write where results are asked for a column or a configuration."""
    instead = (
        _of_column(index, columns)
        if isinstance(index, str)
        else "Write results.filter(name=value) to choose some."
    )
    return f"results are numbered, and {index!r} is no number. {instead}"


def _of_column(name: str, columns: Sequence[str]) -> str:
    if name not in columns:
        return f"In results.to_frame() {unknown('column', name, columns)}"
    return f"It is a column: write results.to_frame()[{name!r}]."


def no_filter(given: object) -> str:
    """Say how to filter."""
    if isinstance(given, dict):
        told = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return (
            f"filter takes parameters by name. Write results.filter({told}), or results.filter(**parameters)."
        )
    return f"filter takes parameters by name, or a function, got {given!r}. Write results.filter(name=value)."


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """Say that there is no such name, which there are, and which was perhaps meant."""
    # "seed" for "load.seed", and "metric.acc" for "acc", which has its kind in front only where that is needed.
    ends = [one for one in known if one.endswith(f".{name}") or name.endswith(f".{one}")]
    near = ends[:1] or nearest(name, known)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"there is no {kind} {name!r}; there are: {', '.join(map(one_line, known)) or 'none'}.{hint}"


def warn(text: str) -> None:
    """Warn of what a table or a choice could not show, pointing at the nearest line that is not Memento's own."""
    level, frame = 2, sys._getframe(1)  # as `warnings.warn` counts: 1 is this function
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("memento."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
