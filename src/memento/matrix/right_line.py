"""Write the matrix that somebody meant who wrote something that is nearly one.

Knows: the words that other tools have for parameters. May not know: how a matrix is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memento.config import short_text
from memento.errors import MatrixTypeError
from memento.matrix.values import quoted

_LIKE_PARAMETERS = "params param param_grid grid hyperparameters hparams space config configs".split()


def right_line(given: Mapping[Any, Any], keys: Sequence[str]) -> str:
    """Return the right line for a matrix without the key 'parameters'."""
    unknown = [key for key in given if key not in keys]
    like = [key for key in unknown if str(key).casefold() in _LIKE_PARAMETERS]
    if len(like) == 1 and isinstance(given[like[0]], Mapping):
        return f"Write 'parameters' instead of {like[0]!r}."
    lists = {key: given[key] for key in unknown if isinstance(key, str) and is_list(given[key])}
    plain = {key: given[key] for key in unknown if isinstance(key, str) and key not in lists}
    known = {key: value for key, value in given.items() if key in keys and key != "parameters"}
    if not lists:
        lists, plain = {key: [value] for key, value in plain.items()}, {}
    if not lists:
        return "Write {'parameters': {'name': [value, ...]}}."
    settings = {"settings": {**(known.pop("settings", None) or {}), **plain}} if plain else {}
    return f"Write {as_typed({'parameters': lists, **settings, **known})}."


def is_list(value: object) -> bool:
    """Tell whether a value can be a list of values."""
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def as_typed(matrix: Mapping[str, Any]) -> str:
    """Write a matrix as one would type it, as far as it is short."""
    parts = []
    for key, value in matrix.items():
        if isinstance(value, Mapping):
            inside = [f"{name!r}: {_typed(each)}" for name, each in list(value.items())[:4]]
            more = ", ..." if len(value) > 4 else ""
            parts.append(f"{key!r}: {{{', '.join(inside)}{more}}}")
        else:
            parts.append(f"{key!r}: {_typed(value)}")
    return f"{{{', '.join(parts)}}}"


def _typed(value: object) -> str:
    if isinstance(value, (list, tuple)) and len(value) <= 6:
        text = f"[{', '.join(quoted(each) for each in value)}]"
    else:
        text = quoted(value) if not is_list(value) or isinstance(value, range) else "[...]"
    return text if len(text) <= 60 else "[...]" if is_list(value) else "..."


def no_matrix(given: object) -> MatrixTypeError:
    """Say what to write where something else stands than a dict, a Matrix or a file's path."""
    todo = "Write {'parameters': {'name': [value, ...]}}."
    if isinstance(given, (list, tuple)) and given and isinstance(given[0], Mapping):
        single = all(isinstance(one, Mapping) and not any(map(is_list, one.values())) for one in given)
        todo = f"Write {as_typed({'include' if single else 'parameters': list(given)})}."
        if "parameters" in given[0]:
            todo = "Run each, or give each to add_matrix and call run_all()."
    elif isinstance(given, (list, tuple)) and given and hasattr(given[0], "spec"):
        todo = "Run each, or give each to add_matrix and call run_all()."
    what = f"{short_text(given)} ({type(given).__qualname__})"
    return MatrixTypeError("matrix", f"a dict, a Matrix or a file's path is needed, got {what}.", todo)
