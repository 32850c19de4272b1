"""Give some parameters and settings of a matrix other values than its file says.

Knows: a matrix as a dict, before it is checked. May not know: where changes come from.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memento.config import short_text
from memento.errors import MatrixError
from memento.matrix.labels import Labelled, labelled, meant
from memento.matrix.ranges import as_numbers
from memento.matrix.values import is_list
from memento.suggest import did_you_mean

_PLAIN = (str, int, float, bytes, type(None))  # values that are written as they are; all others have a name
_NUMBERS = re.compile(r"[-+\d.eE]+(\s*,\s*[-+\d.eE]+)+")


def parse_changes(texts: Iterable[str]) -> dict[str, Any]:
    """Return what texts like ``lr=0.1`` and ``lr=[0.1, 1]`` say; a value is written as in a YAML file."""
    from memento.matrix.matrix_files import read_yaml

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

    A text that is a label or the name of a value that the parameter has means that value.
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
        values = _as_meant(name, values, [grid[name] for grid in parameters if name in grid])
        for grid in parameters:
            if name in grid:
                grid[name] = values
        if name in constants:
            constants[name] = values[0] if isinstance(value, str) else value
        elif name == "repeats":
            made[name] = value
    if parameters:
        made["parameters"] = parameters[0] if one else parameters
    return {**made, "settings": constants} if constants else made


def _as_meant(name: str, values: Any, before: Sequence[Any]) -> Any:
    """Return new values of a parameter; a text that names a value that it has had is that value, so labelled."""
    if isinstance(values, Mapping):
        return values
    where = f"parameters[{name!r}]"
    mappings = [one for one in before if isinstance(one, Mapping) and as_numbers(one, where) is None]
    known = {name: labelled({label: value for one in mappings for label, value in one.items()}, where)}
    texts = list(values)
    found = [meant({name: text}, known, "--set")[name] for text in texts]
    labels = ["" if one is text else text for one, text in zip(found, texts, strict=True)]
    had = [value for one in before for value in _listed(one, where)]
    found = [
        _called(text, one, had, known[name].labels, name) for one, text in zip(found, texts, strict=True)
    ]
    return Labelled(found, labels) if mappings else found


def _listed(values: Any, where: str) -> Sequence[Any]:
    """Return the values that a file gives to a parameter; none where what it gives is wrong."""
    if isinstance(values, Mapping):
        return as_numbers(values, where) or list(values.values())
    return values if is_list(values) else ()


def _called(text: Any, found: Any, had: Sequence[Any], labels: Sequence[str], name: str) -> Any:
    """Return the value that a text names, unless one is found already; else the text itself, where it can be new."""
    texts = [value for value in had if isinstance(value, str)]
    if found is not text or not isinstance(text, str) or text in texts:
        return found
    names: dict[str, list[Any]] = {}
    for value in had:
        same = names.setdefault(short_text(value), [])
        if not any(value is one for one in same):
            same.append(value)
    values = [value for same in names.values() for value in same if not isinstance(value, _PLAIN)]
    meant_by = [value for value in names.get(text, ()) if not isinstance(value, _PLAIN)]
    imported = _imported(text)
    meant_by += [value for value in values if imported is not None and value is imported]
    if len(meant_by) > 1 and callable(meant_by[0]):
        raise MatrixError(
            f"--set {name}", f"{len(meant_by)} values are called {text!r}.", f"Write '{name}=module:{text}'."
        )
    if meant_by:
        return meant_by[0]
    if not had or texts or text in names:
        return text
    raise MatrixError(
        f"--set {name}", f"no value is called {text!r}.", did_you_mean(text, [*labels, *names], "Values")
    )


def _imported(text: str) -> Any:
    """Return what ``module:name`` names, where that module is imported; None for anything else."""
    module, colon, path = text.partition(":")
    found = sys.modules.get(module) if colon else None
    for part in path.split("."):
        found = getattr(found, part, None)
    return found
