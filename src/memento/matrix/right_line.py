"""Write the matrix that somebody meant who wrote something that is nearly one.

Knows: the words that other tools have for parameters. May not know: how a matrix is checked.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memento.config import short_text
from memento.errors import MatrixTypeError
from memento.matrix.arguments import FLAGS, ONLY_IN_PYTHON, OPTIONS
from memento.matrix.ranges import KEYS_OF_NUMBERS, Numbers
from memento.matrix.values import is_list, quoted
from memento.suggest import did_you_mean, in_other_words, misspelled, nearest

# A matrix' keys -> words for them.
_WORDS = {
    "parameters": "params param paramgrid grid grids hyperparameters hparams space searchspace config configs sweep",
    "settings": "constants constant fixed common shared globals static options",
    "exclude": "skip filter filters constraints forbid forbidden remove drop invalid",
    "include": "extra extras add also additional tasks",
    "when": "conditions condition conditional only onlyif if where",
    "zip": "zipped paired pairs together linked",
    "volatile": "ignore ignored untracked nokey",
    "repeats": "seeds nseeds runs nruns trials ntrials repetitions reps replicates nrepeats repeat times",
    "dependencies": "depends dependson requires needs after upstream",
}
_OF_SCALES = frozenset(
    "start stop end step num n count steps low high min max from to log linear logspace linspace geomspace range"
    " arange by size distribution type scale".split()
)
_HOW_MANY = frozenset("step num n count steps by size".split())


def parameters_meant(unknown: Sequence[Any], given: Mapping[Any, Any]) -> str | None:
    """Return the unknown key that is a misspelt 'parameters'."""
    return next(
        (k for k in unknown if misspelled(str(k), ["parameters"]) and isinstance(given[k], Mapping)), None
    )


def right_line(given: Mapping[Any, Any], keys: Sequence[str]) -> str:
    """Return the right line for a matrix without the key 'parameters'."""
    unknown = [key for key in given if key not in keys]
    for key in unknown:
        if isinstance(given[key], Mapping) and "parameters" in given[key]:
            return f"Write what stands under {key!r} without it: {as_typed(given[key])}."
    like = [key for key in unknown if in_other_words(str(key), _WORDS) == "parameters"]
    if len(like) == 1 and isinstance(given[like[0]], Mapping):
        return f"Write 'parameters' instead of {like[0]!r}."
    tried = {key: given[key] for key in unknown if is_list(given[key]) or isinstance(given[key], Mapping)}
    plain = {key: given[key] for key in unknown if key not in tried}
    known = {key: value for key, value in given.items() if key in keys and key != "parameters"}
    if not tried:
        tried, plain = {key: [value] for key, value in plain.items()}, {}
    if not tried:
        return "Write {'parameters': {'name': [value, ...]}}."
    settings = {"settings": {**(known.pop("settings", None) or {}), **plain}} if plain else {}
    return f"Write {as_typed({'parameters': tried, **settings, **known})}."


def right_key(key: Any, given: Mapping[Any, Any], keys: Sequence[str]) -> str:
    """Return what to write instead of an unknown key beside 'parameters'."""
    meant = misspelled(str(key), keys) or in_other_words(str(key), _WORDS)
    value = given[key]
    if meant == "parameters" and isinstance(value, Mapping) and isinstance(given.get(meant), Mapping):
        return f"For several grids write {as_typed({meant: [given[meant], value]})}."
    if meant == "repeats" and is_list(value):
        values = as_typed({"parameters": {key: value}})
        return (
            f"To run each task several times write 'repeats': {len(list(value))}; values to try are {values}."
        )
    if meant is not None:
        return f"Did you mean {meant!r}?"
    if isinstance(key, str) and is_list(value):
        return f"Values to try stand under 'parameters': {as_typed({'parameters': {key: value}})}."
    if key in OPTIONS or key in FLAGS:
        line = f"run(matrix, {key}=...)" if key in FLAGS else f"Memento(func, {key}=...).run(matrix)"
        typed = _as_option(key, value)
        or_typed = f", or on the command line {typed}" if typed else ""
        return f"It is no part of the matrix: write {line.replace('...', quoted(value))}{or_typed}."
    if isinstance(key, str) and not isinstance(value, Mapping):
        return f"A constant stands under 'settings': {as_typed({'settings': {key: value}})}."
    return did_you_mean(key, [one for one in keys if len(one) > 4] if nearest(key, keys) else keys, "Keys")


def _as_option(key: str, value: Any) -> str:
    """Return an option as `memento run` takes it; "" where it takes none."""
    word = f"--{key.replace('_', '-')}"
    if key in ONLY_IN_PYTHON or not isinstance(value, (str, int, float)):
        return ""
    if isinstance(value, bool):
        return word if value else ""
    return f"{word} {shlex.quote(str(value))}"


def right_grid(given: Any, single: Sequence[Any] = ()) -> str:
    """Return what to write in place of what stands under 'parameters', which may be single tasks."""
    grids = getattr(given, "param_grid", None)  # scikit-learn's ParameterGrid
    if isinstance(grids, list):
        return f"Write {as_typed({'parameters': grids[0] if len(grids) == 1 else grids})}."
    return f"Write {as_typed({'include': single})}." if single else "Write {'name': [value, ...]}."


def no_list(name: str, given: Any) -> tuple[str, str]:
    """Say that a parameter needs a list of values, and what to write."""
    text = quoted(given)
    if isinstance(given, str) and given.startswith("[") and given.endswith("]") and len(given) < 60:
        text = given  # a list in quotes
    else:
        text = f"[{text}]" if len(text) < 60 else "[...]"
    if name in _WORDS or name == "defaults":
        todo = f"Write {name!r}: {text}. The matrix' own key {name!r} stands beside 'parameters', not in it."
    elif hasattr(given, "rvs"):  # a distribution of SciPy
        todo = f"Draw values of it, {name!r}: distribution.rvs(20, random_state=0), or write Log(0.001, 1, num=7)."
    elif given is None:
        return "there are no values.", f"Write {name!r}: [value, ...], or [None] for the value None."
    else:
        todo = f"Write {name!r}: {text}."
    return f"a list of values is needed, got the {type(given).__qualname__} {quoted(given)}.", todo


def perhaps_not_meant(name: str, given: Any) -> Iterator[str]:
    """Yield what is allowed as the values of a parameter, and may yet not be meant."""
    if isinstance(given, (set, frozenset)) and len(given) > 1:
        yield "is a set: its values are taken in sorted order. A list keeps your own order."
    if isinstance(given, Mapping):
        yield from _nearly_numbers(given)
        return
    if not isinstance(given, (list, tuple)) or not given:
        return
    if name in ("exclude", "include") and all(isinstance(one, Mapping) for one in given):
        yield f"is a parameter: the matrix' own key {name!r} stands beside 'parameters', not in it."
    (only, *more) = given
    if more or not isinstance(only, (list, range, Numbers)) or len(only) < 2:
        return
    if isinstance(only, list) and not all(isinstance(one, (str, float, int)) for one in only):
        return
    if isinstance(only, list) and all(type(one) is int for one in only):
        return  # the sizes of layers, a shape
    yield f"has one value, {quoted(only)}. For {len(only)} values write {name!r}: {_typed(only)}."


def _nearly_numbers(given: Mapping[Any, Any]) -> Iterator[str]:
    """Say how to write a range, where the labels of some values are the words for one."""
    words = {str(key).casefold() for key in given}
    if words in ({"values"}, {"choices"}, {"options"}) and all(map(is_list, given.values())):
        yield f"has one value, with the label {next(iter(given))!r}. For several write the list itself."
        return
    if given.keys() in KEYS_OF_NUMBERS or not words <= _OF_SCALES:
        return
    if (words & _HOW_MANY and len(words) > 1) or any(map(is_list, given.values())):
        labels = ", ".join(map(repr, given))
        yield (
            f"has values with the labels {labels}. A range is {{start: 0, stop: 1, step: 0.1}},"
            " a scale {linear: [0, 1], num: 5} or {log: [0.001, 1], num: 4}."
        )


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
    first = given[0] if isinstance(given, (list, tuple)) and given else None
    if hasattr(given, "param_grid"):
        todo = right_grid(given)
    elif hasattr(first, "spec") or (isinstance(first, Mapping) and "parameters" in first):
        todo = "Run each, or give each to add_matrix and call run_all()."
    elif isinstance(first, Mapping) and isinstance(given, (list, tuple)):
        single = all(isinstance(one, Mapping) and not any(map(is_list, one.values())) for one in given)
        todo = f"Write {as_typed({'include' if single else 'parameters': list(given)})}."
    what = f"{short_text(given)} ({type(given).__qualname__})"
    return MatrixTypeError("matrix", f"a dict, a Matrix or a file's path is needed, got {what}.", todo)
