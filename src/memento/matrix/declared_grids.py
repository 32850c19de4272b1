"""Check what a matrix says under `parameters`: one grid or several, each a name and values.

Knows: names, values, ranges, labels. May not know: rules, tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memento.config import Config
from memento.errors import MatrixError, MatrixTypeError
from memento.keys.encode import is_plain_scalar
from memento.matrix.labels import Labelled, labelled, listed_twice, together
from memento.matrix.ranges import Numbers, as_numbers
from memento.matrix.values import is_list, listed, token, wrong_type

_RESERVED = (frozenset(dir(Config)) - {"keys", "items", "values"}) | {"settings", "repeat", "_dict"}


def make_grids(given: object, notes: list[str]) -> tuple[dict[str, tuple[Any, ...]], ...]:
    """Return the parameters of each grid; a dict is one."""
    if given is None or isinstance(given, Mapping):
        return (_parameters(given or {}, "parameters", notes),)
    from memento.matrix.right_line import right_grid

    grids = listed(given, "parameters", of="grids") if is_list(given) else ()
    if not grids or not all(isinstance(grid, Mapping) for grid in grids):
        raise wrong_type("parameters", "a dict is needed", given, right_grid(given))
    if any(grids) and not any(is_list(v) or isinstance(v, Mapping) for grid in grids for v in grid.values()):
        raise MatrixTypeError(
            "parameters",
            "each of these dicts is a single task: no parameter has a list of values.",
            right_grid(given, grids),
        )
    return tuple(
        _parameters(grid, "parameters" if len(grids) == 1 else f"parameters[{i}]", notes)
        for i, grid in enumerate(grids)
    )


def united(grids: tuple[dict[str, tuple[Any, ...]], ...]) -> dict[str, tuple[Any, ...]]:
    """Return the parameters of all grids, each with every value that it has in one of them."""
    all_values: dict[str, tuple[Any, ...]] = dict(grids[0])
    for name, values in (pair for grid in grids[1:] for pair in grid.items()):
        there = all_values.get(name, values)
        all_values[name] = together(there, values, f"parameters[{name!r}]")
    return all_values


def _parameters(given: Mapping[Any, Any], where: str, notes: list[str]) -> dict[str, tuple[Any, ...]]:
    parameters = {}
    for name, values in given.items():
        check_name(name, where)
        parameters[name] = _values(name, values, f"{where}[{name!r}]", notes)
    return parameters


def _values(name: str, given: Any, where: str, notes: list[str]) -> tuple[Any, ...]:
    """Return the values of one parameter."""
    if name == "parameters" and isinstance(given, Mapping):
        raise MatrixError(
            where, "a matrix stands where its parameters are needed.", "Write Matrix.of(matrix)."
        )
    values: tuple[Any, ...]
    if isinstance(given, Mapping):
        values = as_numbers(given, where) or labelled(given, where)
    elif isinstance(given, (Labelled, Numbers)):
        values = given
    elif given is None or not is_list(given):
        from memento.matrix.right_line import no_list

        raise MatrixTypeError(where, *no_list(name, given))
    else:
        values = listed(given, where)
    if not values:
        again = "It is an iterator, which gives its values only once: write a list, list(...)."
        todo = again if hasattr(given, "__next__") else "Give it a value or leave the parameter out."
        raise MatrixError(where, "the list is empty, so there would be no task at all.", todo)
    if type(given) not in (list, tuple) or not _is_cheap(type(given[0])):  # plain values are what they are
        from memento.matrix.right_line import perhaps_not_meant

        notes.extend(f"{where} {said}" for said in perhaps_not_meant(name, given))
    return values


def check_name(name: object, where: str) -> None:
    """Raise MatrixError where a parameter cannot have this name."""
    if not isinstance(name, str):
        raise wrong_type(where, "a name must be a string", name, f"Write {str(name)!r}.")
    check_text(name, where)
    if not name:
        raise MatrixError(where, "a name must not be empty.", "Give the parameter a name.")
    if name in _RESERVED:
        todo = (
            "For several runs of each task use 'repeats'."
            if name == "repeat"
            else f"Rename it, e.g. '{name}_'."
        )
        raise MatrixError(
            where, f"{name!r} is a reserved parameter name: config.{name} is something else.", todo
        )


def check_text(name: str, where: str) -> None:
    """Raise MatrixError for half a character, of which no key can be made and which no file takes."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise MatrixError(
            where, f"the name {name!a} is no Unicode text ({exc.reason}).", "Give it another name."
        ) from None


def note_repeated_values(
    parameters: dict[str, tuple[Any, ...]], groups: tuple[tuple[str, ...], ...], notes: list[str]
) -> None:
    """Note which parameter has a value twice, where values are compared at no cost."""
    zipped = {name for group in groups for name in group}
    for name, values in parameters.items():
        if name in zipped or not all(map(_is_cheap, set(map(type, values)))):
            continue
        if len(set(values)) == len(values):
            continue
        seen: dict[object, int] = {}
        for place, value in enumerate(values):
            first = seen.setdefault(token(value), place)
            if first < place:
                notes.append(listed_twice(name, values, first, place))
                break


def _is_cheap(kind: type) -> bool:
    """Say whether values of a type are compared at no cost."""
    return kind in (str, int, float, bool, type(None)) or is_plain_scalar(kind)
