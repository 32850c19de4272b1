"""Choose results by their parameters, by value, as keys know it, or by short name.

Knows: axes. May not know: stores, frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memento.config import config_text
from memento.records import DONE
from memento.results.advice import unknown
from memento.results.meant import no_text, no_value, slots, slots_of_text
from memento.results.parameters import Axis
from memento.results.scan import STATUSES
from memento.wording import one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.results.result import Result
    from memento.results.selection import Selection

_SHOWN = 12  # parameters that an error lists


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

    found = slots(axis.parameter, wanted, _lacks(axis))
    if not found and isinstance(wanted, list | tuple | set | frozenset | range):
        found = {slot for one in wanted for slot in _known(axis, one, deeper)}
    elif not found:
        found = _known(axis, wanted, deeper)
    return np.isin(axis.codes, list(found))


def matches_texts(axis: Axis, texts: Iterable[str], deeper: Sequence[str] = ()) -> NDArray[np.bool_]:
    """Return which tasks have a value that one of some typed texts means: 1 before "1", as tables show them."""
    import numpy as np

    found: set[int] = set()
    for text in texts:
        places = slots_of_text(axis.parameter, text, _lacks(axis))
        if not places and not deeper:
            raise ValueError(no_text(axis.parameter, text))
        found |= places or _known(axis, text, deeper)
    return np.isin(axis.codes, list(found))


def _lacks(axis: Axis) -> bool:
    return bool((axis.codes < 0).any())


def _known(axis: Axis, wanted: Any, deeper: Sequence[str]) -> set[int]:
    found = slots(axis.parameter, wanted, _lacks(axis))
    if not found and deeper:
        names = ", ".join(map(one_line, deeper[:_SHOWN]))
        inner = deeper[0].removeprefix(f"{axis.name}.")
        raise ValueError(
            f"no task has {axis.name}={wanted!r}: it is the result of another task, whose parameters are {names}."
            f" Write {axis.name}={{{inner!r}: ...}} or **{{{deeper[0]!r}: ...}}"
        )
    if not found:
        raise ValueError(no_value(axis.parameter, wanted, _lacks(axis)))
    return found
