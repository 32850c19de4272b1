"""Choose results by their parameters, by value or by short name.

Knows: axes. May not know: stores, frames.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from memento.config import Deferred
from memento.results.axes import PLAIN, Axis
from memento.results.reading import STATUSES
from memento.wording import one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.results.results import Results

_SHOWN = 12  # values that an error lists


def select(results: Results, wanted: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return which of the results have all the wanted parameters."""
    import numpy as np

    chosen = np.ones(len(results), dtype=bool)
    axes = {axis.name: axis for axis in results._axes()}
    if "repeat" not in axes:
        axes["repeat"] = results._tasks.repeat_axis(results._numbers)
    for name, value in wanted.items():
        if name == "status" and name not in axes:
            chosen &= matches(Axis("status", STATUSES, results._status), value)
        elif name in axes:
            chosen &= matches(axes[name], value)
        else:
            raise ValueError(unknown("parameter", name, [*axes, "status"]))
    return chosen


def matches(axis: Axis, wanted: Any) -> NDArray[np.bool_]:
    """Return which tasks have the wanted value, or one of several."""
    import numpy as np

    slots = _slots(axis, wanted)
    if not slots and isinstance(wanted, list | tuple | set | frozenset | range):
        slots = {slot for one in wanted for slot in _known(axis, one)}
    elif not slots:
        slots = _known(axis, wanted)
    return np.isin(axis.codes, list(slots))


def unknown(kind: str, name: str, known: list[str]) -> str:
    """Say that there is no such name, which there are, and which was perhaps meant."""
    near = difflib.get_close_matches(name, known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"there is no {kind} {name!r}; there are: {', '.join(map(one_line, known))}.{hint}"


def _known(axis: Axis, wanted: Any) -> set[int]:
    slots = _slots(axis, wanted)
    if not slots:
        shown = ", ".join(map(one_line, axis.texts[:_SHOWN])) + (", …" if len(axis.texts) > _SHOWN else "")
        raise ValueError(f"no task has {axis.name}={wanted!r}; its values are: {shown}")
    return slots


def _slots(axis: Axis, wanted: Any) -> set[int]:
    if type(wanted) in PLAIN:  # looked up: who asks for half of 100,000 values asks 50,000 times
        equal = set(axis.plain.get((type(wanted) is bool, wanted), ()))
        equal.update(i for i in axis.others if _equal(axis.values[i], wanted))
    else:
        equal = {i for i, value in enumerate(axis.values) if _equal(value, wanted)}
    if equal or not isinstance(wanted, str):
        return equal
    # A stored class is "module:name"; people say the name.
    return {i for i, text in enumerate(axis.texts) if wanted in (text, text.rpartition(":")[2])}


def _equal(value: Any, wanted: Any) -> bool:
    if value is wanted:
        return True
    if isinstance(value, Deferred) or isinstance(value, bool) is not isinstance(wanted, bool):
        return False
    try:
        return bool(value == wanted)
    except Exception:  # arrays compare element by element and have no truth
        return False
