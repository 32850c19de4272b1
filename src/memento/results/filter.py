"""Choose results by their parameters, by value, as keys know it, or by short name.

Knows: axes. May not know: stores, frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from json import loads
from typing import TYPE_CHECKING, Any

from memento.config import config_text, plain
from memento.keys.readable import json_fragment
from memento.matrix.suggest import nearest
from memento.records import DONE
from memento.results.advice import unknown
from memento.results.parameters import ABSENT, PLAIN, Axis, identity
from memento.results.scan import STATUSES
from memento.wording import one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.results.result import Result
    from memento.results.selection import Selection

_SHOWN = 12  # values that an error lists
_LOOKED_AT = 1000  # values among which the nearest is looked for


def matching(selection: Selection, wanted: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return which of the tasks have all the wanted parameters."""
    import numpy as np

    chosen = np.ones(len(selection), dtype=bool)
    axes = {axis.name: axis for axis in selection.axes()}
    axes.setdefault("repeat", selection.tasks.repeat_axis(selection.numbers))
    for name, value in _told_apart(wanted, axes):
        if name == "status" and name not in axes:
            chosen &= matches(Axis("status", STATUSES, selection.status), value)
        elif name in axes:
            deeper = [axis for axis in axes if axis.startswith(f"{name}.")]
            chosen &= matches(axes[name], value, deeper)
        else:
            raise ValueError(_no_parameter(selection, name, [*axes, "status"]))
    return chosen


def _no_parameter(selection: Selection, name: str, known: Sequence[str]) -> str:
    from memento.results.to_frame import make_table

    if name not in make_table(selection).frame:
        return unknown("parameter", name, known)
    by_function = "results.filter(lambda result: ...)"
    return (
        f"{name!r} is a column of results.to_frame(), and no parameter. Write {by_function} to choose by it."
    )


def chosen(results: Iterable[Result], function: Callable[[Result], object]) -> list[int]:
    """Return the places of the results that a function keeps; where it fails, say for which and what to write."""
    kept = []
    for place, result in enumerate(results):
        try:
            if function(result):
                kept.append(place)
        except Exception as exc:
            kind = next((one for one in (TypeError, AttributeError) if isinstance(exc, one)), ValueError)
            raise kind(_why(result, exc)) from exc
    return kept


def _why(result: Result, exc: Exception) -> str:
    told = f"filter: the function raised {type(exc).__name__} for {config_text(result.config)}: {exc}"
    if "'Result'" in str(exc) and isinstance(exc, TypeError):
        first = next(iter(result.config), "name")
        return f"{told}. It gets a Result: write result.config[{first!r}] for a parameter, result.value for the value."
    if result.status != DONE:
        return f'{told}. This task is {result.status}, and has no value: write results.filter(function, status="done").'
    return told


def _told_apart(wanted: Mapping[str, Any], axes: Mapping[str, Axis]) -> Iterator[tuple[str, Any]]:
    """Yield what is wanted, a dict of an upstream task's parameters as these: clean={"dataset": "a"}."""
    for name, value in wanted.items():
        deeper = [axis for axis in axes if axis.startswith(f"{name}.")]
        if not deeper or not isinstance(value, Mapping):
            yield name, value
            continue
        for inner, one in value.items():
            yield f"{name}.{inner}", one


def matches(axis: Axis, wanted: Any, deeper: Sequence[str] = ()) -> NDArray[np.bool_]:
    """Return which tasks have the wanted value, or one of several; `deeper` are the upstream task's parameters."""
    import numpy as np

    slots = _slots(axis, wanted)
    if not slots and isinstance(wanted, list | tuple | set | frozenset | range):
        slots = {slot for one in wanted for slot in _known(axis, one, deeper)}
    elif not slots:
        slots = _known(axis, wanted, deeper)
    return np.isin(axis.codes, list(slots))


def _known(axis: Axis, wanted: Any, deeper: Sequence[str]) -> set[int]:
    slots = _slots(axis, wanted)
    if not slots and deeper:
        names = ", ".join(map(one_line, deeper[:_SHOWN]))
        inner = deeper[0].removeprefix(f"{axis.name}.")
        raise ValueError(
            f"no task has {axis.name}={wanted!r}: it is the result of another task, whose parameters are {names}."
            f" Write {axis.name}={{{inner!r}: ...}} or **{{{deeper[0]!r}: ...}}"
        )
    if not slots:
        shown = ", ".join(map(one_line, axis.texts[:_SHOWN])) + (", …" if len(axis.texts) > _SHOWN else "")
        near = nearest(wanted, axis.texts[:_LOOKED_AT])
        hint = f". Did you mean {near[0]!r}?" if near else _kind(axis, wanted)
        if wanted is None and (axis.codes < 0).any():
            hint = f". Tasks that do not have it: {axis.name}={ABSENT!r}"
        raise ValueError(f"no task has {axis.name}={wanted!r}; its values are: {shown}{hint}")
    return slots


def _kind(axis: Axis, wanted: Any) -> str:
    """Say that there is an equal value of another type."""
    if type(wanted) in PLAIN:
        for value in map(plain, axis.values):
            if type(value) in PLAIN and type(value) is not type(wanted) and value == wanted:
                return f". ({value!r} is another value than {wanted!r}, as in keys)"
    return ""


def _slots(axis: Axis, wanted: Any) -> set[int]:
    """Return the places of the values that are the wanted one: by what keys know, else by how they are called."""
    parameter = axis.parameter
    try:
        place = parameter.places.get(identity(wanted))
        if place is not None:
            return {place}
        if not isinstance(wanted, str):
            return parameter.uncertain(loads(json_fragment(wanted))) if callable(wanted) else set()
    except Exception:  # a class of the user's may do anything when it is looked at
        return set()
    found = parameter.called(wanted)
    return {-1} if not found and wanted == ABSENT and (axis.codes < 0).any() else found
