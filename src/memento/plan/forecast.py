"""Expect runtimes from past ones: an additive model of log-runtime over parameter values.

Knows: runtimes and readable parameters of earlier tasks. May not know: stores, executors.

    log(runtime) = mean + sum over parameters of effect[value]

fitted by backfitting: each effect in turn is the mean of what the others leave, drawn towards zero
where few tasks speak for it (Hastie & Tibshirani, Generalized Additive Models, 1990, section 4.4).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROUNDS = 5
_PRIOR = 1.0  # how many tasks' worth of "no effect" each value starts with
_FLOOR = 1e-5  # seconds; below this, runtimes are noise


def fit_costs(
    past: Iterable[tuple[str, float]], names: Sequence[str], fragments: Sequence[Sequence[str]]
) -> tuple[float, list[NDArray[np.float64]]] | None:
    """Fit the model and return it for the values of a new matrix.

    Parameters
    ----------
    past : iterable of (str, float)
        Readable JSON of the parameters, and seconds, of each earlier task.
    names : sequence of str
        The new matrix's parameters.
    fragments : sequence of sequence of str
        For each name, the readable JSON of its values, in slot order.

    Returns
    -------
    (float, list of arrays) or None
        The mean of log-seconds, and for each name the effect of each slot (unknown values: 0);
        None where there is no past.

    Examples
    --------
    >>> past = [('{"n": 1}', 1.0), ('{"n": 2}', 8.0)] * 50
    >>> mean, (effects,) = fit_costs(past, ["n"], [["1", "2", "3"]])
    >>> import numpy as np
    >>> [round(float(s), 1) for s in np.exp(mean + effects)]
    [1.0, 7.8, 2.8]
    """
    import numpy as np

    canonical = _Canonical()
    rows = [(_values(params, canonical), seconds) for params, seconds in past]
    if not rows:
        return None
    logs = np.log(np.maximum([seconds for _, seconds in rows], _FLOOR))
    mean = float(logs.mean())
    codes, texts = [], []
    for name in names:
        numbers: dict[str, int] = {}
        codes.append(np.array([numbers.setdefault(values.get(name, ""), len(numbers)) for values, _ in rows]))
        texts.append(numbers)
    effects = _backfit(logs - mean, codes, [len(numbers) for numbers in texts])
    slots = []
    for numbers, effect, known in zip(texts, effects, fragments, strict=True):
        found = [numbers.get(_canonical(fragment)) for fragment in known]
        slots.append(np.array([0.0 if i is None else effect[i] for i in found], dtype=np.float64))
    return mean, slots


def _backfit(
    residual: NDArray[np.float64], codes: list[NDArray[Any]], sizes: list[int]
) -> list[NDArray[np.float64]]:
    import numpy as np

    effects = [np.zeros(size) for size in sizes]
    counts = [np.bincount(code, minlength=size) for code, size in zip(codes, sizes, strict=True)]
    left = residual.copy()
    for _ in range(_ROUNDS):
        for code, count, effect in zip(codes, counts, effects, strict=True):
            left += effect[code]
            effect[:] = np.bincount(code, weights=left, minlength=len(effect)) / (count + _PRIOR)
            left -= effect[code]
    return effects


def _values(params: str, canonical: _Canonical) -> dict[str, str]:
    try:
        loaded = json.loads(params)
    except ValueError:
        return {}
    if not isinstance(loaded, dict):
        return {}
    return {name: canonical.text(value) for name, value in loaded.items()}


class _Canonical:
    """One text for each value; plain values come by the thousand, and each is written once."""

    def __init__(self) -> None:
        self._plain: dict[tuple[type, object], str] = {}

    def text(self, value: object) -> str:
        if isinstance(value, list | dict):
            return json.dumps(value, sort_keys=True)
        plain = type(value), value
        text = self._plain.get(plain)
        if text is None:
            text = self._plain[plain] = json.dumps(value)
        return text


def _canonical(fragment: str) -> str:
    try:
        return json.dumps(json.loads(fragment), sort_keys=True)
    except ValueError:
        return fragment
