"""Say which values of a parameter somebody means: by value, as keys know it, by what it is called, as it is written.

Knows: parameters and their texts. May not know: which tasks have them, stores, frames, commands.

A text that was typed means, of these the first that there is: a label; what a table shows so, 1 before "1"; a name
with or without its module; "-" for tasks without the parameter; what YAML reads it as, 1e-3 for 0.001; of a list,
any of its values.
"""

from __future__ import annotations

from collections.abc import Iterable
from json import loads
from math import isfinite
from typing import Any

from memento.config import plain
from memento.keys.readable import json_fragment
from memento.keys.value_digest import identity
from memento.results.distinct_texts import LIMIT
from memento.results.parameters import ABSENT, PLAIN, Parameter
from memento.suggest import nearest
from memento.wording import one_line

LACKING = -1  # the place that stands for tasks without the parameter
_SHOWN = 12  # values that an error lists
_LOOKED_AT = 1000  # values among which the nearest is looked for
_MARKS = frozenset("!&*")  # of YAML: they name objects, which would be imported, or other places of a file


def slots(parameter: Parameter, wanted: Any, lacking: bool) -> set[int]:
    """Return the places of the values that are the wanted one: by what keys know, else by how they are called.

    `lacking` says whether tasks may be without the parameter.
    """
    try:
        place = parameter.places.get(identity(wanted))
        if place is not None:
            return {place}
        if not isinstance(wanted, str):
            return parameter.uncertain(loads(json_fragment(wanted))) if callable(wanted) else set()
    except Exception:  # a class of the user's may do anything when it is looked at
        return set()
    return slots_of_text(parameter, wanted, lacking)


def slots_of_text(parameter: Parameter, text: str, lacking: bool) -> set[int]:
    """Return the places of the values that a typed text means; see above."""
    found = _called(parameter, text)
    if found:
        return found
    if text == ABSENT and lacking:
        return {LACKING}
    found = _of_value(parameter, _read(text))
    if not found:
        each = [slots_of_text(parameter, one, lacking) for one in texts_in(text)]
        found = set().union(*each) if all(each) else set()
    return found


def texts_in(text: str) -> list[str]:
    """Return what stands in a typed list, as texts; nothing of another text.

    >>> texts_in("[1e-3, SVC, true]"), texts_in("SVC")
    (['0.001', 'SVC', 'True'], [])
    """
    read = _read(text) if text.startswith("[") else None
    return list(map(str, read)) if isinstance(read, list) else []


def _called(parameter: Parameter, text: str) -> set[int]:
    """Return the places of the values that are called so; without a text for each of a million plain values."""
    for kind in (int, float):
        if parameter.is_plainly(kind):
            try:
                return _of_value(parameter, kind(text)) if str(kind(text)) == text else set()
            except ValueError:
                return set()
    if (
        parameter.is_plainly(str)
        and len(text) < LIMIT
        and text.isprintable()
        and text != ABSENT
        and text in parameter.values
    ):
        return {parameter.values.index(text)}
    return parameter.called(text)


def _of_value(parameter: Parameter, value: object) -> set[int]:
    """Return the place of this very value."""
    kind = type(value)
    for number in (int, float):
        if parameter.is_plainly(number):
            if kind is not number:
                return set()
            if value and value == value:  # -0.0 is another value than 0.0
                return {parameter.values.index(value)} if value in parameter.values else set()
    if kind not in PLAIN and kind not in (list, dict):
        return set()
    place = parameter.places.get(identity(value))
    return set() if place is None else {place}


def _read(text: str) -> Any:
    """Return what a text says, written as in a YAML file; the text itself where that is nothing else."""
    if not text.strip() or not _MARKS.isdisjoint(text):
        return text
    from memento.errors import MatrixError
    from memento.matrix.matrix_files import read_yaml

    try:
        return read_yaml(text, text)
    except MatrixError:
        return text


def no_value(parameter: Parameter, wanted: Any, lacking: bool) -> str:
    """Say that no task has the wanted value, which there are, and which was perhaps meant."""
    hint = _kind(parameter.values, wanted)
    if wanted is None and lacking:
        hint = f". Tasks that do not have it: {parameter.name}={ABSENT!r}"
    return _none_has(parameter, repr(wanted), wanted, hint)


def no_text(parameter: Parameter, text: str) -> str:
    """Say the same of a text that was typed."""
    return _none_has(parameter, one_line(text), text, _kind(parameter.values, _read(text)))


def _none_has(parameter: Parameter, written: str, wanted: Any, hint: str) -> str:
    count = len(parameter.values)
    texts = [parameter.text(place) for place in range(min(count, _LOOKED_AT))]
    texts = list(dict.fromkeys(texts))
    shown = ", ".join(map(one_line, texts[:_SHOWN])) + (
        ", …" if len(texts) > _SHOWN or count > _LOOKED_AT else ""
    )
    hint = hint or _nearest_number(parameter, wanted)
    near = [] if hint else nearest(wanted, texts)
    hint = hint or (f". Did you mean {near[0]!r}?" if near else "")
    return f"no task has {parameter.name}={written}; its values are: {shown}{hint}"


def _nearest_number(parameter: Parameter, wanted: Any) -> str:
    """Name the number that lies nearest: of numbers, what looks alike may be far away."""
    try:
        number = float(wanted)
    except (TypeError, ValueError, OverflowError):
        return ""
    apart = [
        (abs(value - number), place)
        for place, value in enumerate(map(plain, parameter.values))
        if type(value) in (int, float) and value == value
    ]
    if not apart or not isfinite(number):
        return ""
    return f". The nearest is {one_line(parameter.text(min(apart)[1]))}"


def _kind(values: Iterable[object], wanted: Any) -> str:
    """Say that there is an equal value of another type."""
    if type(wanted) in PLAIN:
        for value in map(plain, values):
            if type(value) in PLAIN and type(value) is not type(wanted) and value == wanted:
                return f". ({value!r} is another value than {wanted!r}, as in keys)"
    return ""
