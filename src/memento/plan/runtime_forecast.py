"""Expect runtimes from past ones: an additive model of log-runtime over parameter values.

Knows: runtimes and readable parameters of earlier tasks. May not know: stores, executors.

    log(runtime) = mean + sum over parameters of effect[value]

fitted by backfitting: each effect in turn is the mean of what the others leave, drawn towards zero
where few tasks speak for it (Hastie & Tibshirani, Generalized Additive Models, 1990, section 4.4).
Without NumPy: for some thousand runtimes its import would take longer than the fit.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from math import fsum, log
from operator import add, sub
from typing import Any

_ROUNDS = 5
_PRIOR = 1.0  # how many tasks' worth of "no effect" each value starts with
_FLOOR = 1e-5  # seconds; below this, runtimes are noise


def fit_costs(
    past: Iterable[tuple[str, float]], names: Sequence[str], fragments: Sequence[Sequence[str]]
) -> tuple[float, list[list[float]]] | None:
    """Fit the model and return it for the values of a new matrix."""
    rows = [(_values(params), seconds) for params, seconds in past]
    if not rows:
        return None
    logs = [log(max(seconds, _FLOOR)) for _, seconds in rows]
    mean = fsum(logs) / len(logs)
    codes: list[list[int]] = []
    texts: list[dict[str, int]] = []
    for name in names:
        numbers: dict[str, int] = {}
        codes.append([numbers.setdefault(values.get(name, ""), len(numbers)) for values, _ in rows])
        texts.append(numbers)
    effects = _backfit([seconds - mean for seconds in logs], codes, [len(numbers) for numbers in texts])
    slots = []
    for numbers, effect, known in zip(texts, effects, fragments, strict=True):
        found = [numbers.get(_canonical(fragment)) for fragment in known]
        slots.append([0.0 if i is None else effect[i] for i in found])
    return mean, slots


def _backfit(left: list[float], codes: list[list[int]], sizes: list[int]) -> list[list[float]]:
    """Return each column's effects; `left` is what the mean leaves of each log-runtime."""
    effects = [[0.0] * size for size in sizes]
    counts = [Counter(code) for code in codes]
    for _ in range(_ROUNDS):
        for column, (code, count) in enumerate(zip(codes, counts, strict=True)):
            left = list(map(add, left, map(effects[column].__getitem__, code)))
            sums = [0.0] * sizes[column]
            for slot, rest in zip(code, left, strict=True):
                sums[slot] += rest
            effect = effects[column] = [total / (count[slot] + _PRIOR) for slot, total in enumerate(sums)]
            left = list(map(sub, left, map(effect.__getitem__, code)))
    return effects


def _values(params: str) -> dict[str, str]:
    """Return the canonical text of each parameter."""
    try:
        loaded = json.loads(params)
    except ValueError:
        loaded = None
    return {name: _text(value) for name, value in loaded.items()} if isinstance(loaded, dict) else {}


def _canonical(fragment: str) -> str:
    try:
        return _text(json.loads(fragment))
    except ValueError:
        return fragment


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else _plain_text(value)


# Plain values come by the thousand, and each is written once; typed, since 1, 1.0 and true are three.
@lru_cache(maxsize=4096, typed=True)
def _plain_text(value: Hashable) -> str:
    return json.dumps(value)
