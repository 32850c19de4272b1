"""Give some parameters and settings of a matrix other values than its file says.

Knows: a matrix as a dict, before it is checked. May not know: where changes come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memento.errors import MatrixError
from memento.matrix.labels import Labelled, labelled, meant
from memento.matrix.ranges import as_numbers
from memento.matrix.suggest import did_you_mean
from memento.matrix.values import is_list

_NUMBERS = re.compile(r"[-+\d.eE]+(\s*,\s*[-+\d.eE]+)+")


def parse_changes(texts: Iterable[str]) -> dict[str, Any]:
    """Return what texts like ``lr=0.1`` and ``lr=[0.1, 1]`` say; a value is written as in a YAML file.

    >>> parse_changes(["lr=[1e-3, 1]", "model=svc", "n={start: 0, stop: 3}"])
    {'lr': [0.001, 1], 'model': 'svc', 'n': {'start': 0, 'stop': 3}}
    """
    from memento.matrix.yaml import read_yaml

    changes = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        where = f"--set {text}"
        if not (name and equals and value):
            raise MatrixError(
                where, "there is no value." if name else "there is no name.", "Write NAME=VALUE."
            )
        if _NUMBERS.fullmatch(value):
            raise MatrixError(where, "several values are a list.", f"Write '{name}=[{value}]'.")
        changes[name] = read_yaml(value, where)
    return changes


def with_changes(declared: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a matrix' dict with other values; a parameter gets one value, or the values of a list.

    A label of the parameter means its value.

    >>> with_changes({"parameters": {"lr": [1, 2]}, "settings": {"n": 5}}, {"lr": 0.1, "n": 9, "repeats": 2})
    {'parameters': {'lr': [0.1]}, 'settings': {'n': 9}, 'repeats': 2}
    """
    made = dict(declared)
    grids, settings = made.get("parameters"), made.get("settings")
    one = isinstance(grids, Mapping)
    parameters = [dict(g) for g in ([grids] if one else grids or ()) if isinstance(g, Mapping)]
    constants = dict(settings) if isinstance(settings, Mapping) else {}
    known = list(dict.fromkeys([*(name for grid in parameters for name in grid), *constants, "repeats"]))
    for name, value in changes.items():
        if name not in known:
            raise MatrixError(
                f"--set {name}", "the matrix has no such parameter or setting.", did_you_mean(name, known)
            )
        values = value if is_list(value) or isinstance(value, Mapping) else [value]
        values = _with_labels(name, values, [grid[name] for grid in parameters if name in grid])
        for grid in parameters:
            if name in grid:
                grid[name] = values
        if name in constants:
            constants[name] = value
        elif name == "repeats":
            made[name] = value
    if parameters:
        made["parameters"] = parameters[0] if one else parameters
    return {**made, "settings": constants} if constants else made


def _with_labels(name: str, values: Any, before: Sequence[Any]) -> Any:
    """Return new values of a parameter; what is named by a label that it has had is that value, so labelled."""
    where = f"parameters[{name!r}]"
    mappings = [one for one in before if isinstance(one, Mapping) and as_numbers(one, where) is None]
    if not mappings or isinstance(values, Mapping):
        return values
    known = {name: labelled({label: value for one in mappings for label, value in one.items()}, where)}
    texts = list(values)
    found = [meant({name: text}, known, "--set")[name] for text in texts]
    return Labelled(found, ["" if one is text else text for one, text in zip(found, texts, strict=True)])
