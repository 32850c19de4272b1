"""Expect runtimes from past ones: an additive model of log-runtime over parameter values.

Knows: runtimes and readable parameters of earlier tasks. May not know: stores, executors.

    log(runtime) = mean + sum over parameters of effect[value]

fitted by backfitting: each effect in turn is the mean of what the others leave, drawn towards zero
where few tasks speak for it (Hastie & Tibshirani, Generalized Additive Models, 1990, section 4.4); that of a number not
towards zero but towards a line through those of other numbers, which also tells of numbers that no task had.
How far a task may be from that is read from how far the past ones are from what the others say of them (Barber et al.,
Predictive inference with the jackknife+, 2021): nine of ten stay below the expected time by `stretch`.
Without NumPy: for some thousand runtimes its import would take longer than the fit.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from math import ceil, exp, fsum, log, sqrt
from operator import add, sub
from typing import Any, NamedTuple

_ROUNDS = 5
_SHARE, _QUANTILE = 0.9, 1.2816  # of tasks that stay below `stretch`; of a normal distribution
_FEW = 20  # tasks; with fewer the spread is also what is usual
# Spread of log-runtimes where nothing is known; how many tasks' worth it starts with.
_USUAL, _WEIGHT = (0.5, 2.0)
_LINE = 3  # numbers, through which a line says something
_LARGE = 1e300  # what no number of an experiment is
_OWN = 0.9  # what a task says of itself, at most: nobody else speaks for it
_PRIOR = 1.0  # how many tasks' worth of "no effect" each value starts with
_FLOOR = 1e-5  # seconds; below this, runtimes are noise


class Model(NamedTuple):
    """The fitted model, for the values of a matrix: for each parameter a number by slot."""

    mean: float  # of log-runtimes
    effects: list[list[float]]
    stretch: float  # nine of ten tasks take at most so many times the expected time
    # What a value that no task had adds to the square of the logarithm of `stretch`.
    unseen: list[list[float]]


class _Trend(NamedTuple):
    """A weighted least-squares line; of numbers above zero over their logarithms, so that powers are lines."""

    slope: float
    centre: float  # of what it goes over
    height: float  # there
    is_log: bool
    spread: float  # squared, of effects around the line
    weight: float  # of all
    width: float  # sum of squared distances from the centre

    def at(self, number: float) -> tuple[float, float]:
        """Return the effect that is expected of a number, and how far off that may be, squared."""
        away = (log(number) if self.is_log else number) - self.centre
        return self.height + self.slope * away, self.spread * (1 + self.own_share(number))

    def own_share(self, number: float) -> float:
        """Return how much of what is said there comes from a task that is there."""
        away = (log(number) if self.is_log else number) - self.centre
        return 1 / self.weight + away * away / self.width

    def takes(self, number: float) -> bool:
        """Tell whether it says anything of a number."""
        return number > 0 or not self.is_log


def _trend_of(known: Sequence[tuple[float, float, int]]) -> _Trend | None:
    """Return the line through (number, effect, how many tasks); None where the numbers are all one."""
    is_log = all(number > 0 for number, _, _ in known)
    points = [(log(number) if is_log else number, effect, count) for number, effect, count in known]
    weight = fsum(count for _, _, count in points)
    centre = fsum(count * x for x, _, count in points) / weight
    height = fsum(count * y for _, y, count in points) / weight
    width = fsum(count * (x - centre) ** 2 for x, _, count in points)
    if not width > 0:
        return None
    slope = fsum(count * (x - centre) * (y - height) for x, y, count in points) / width
    off = fsum((y - height - slope * (x - centre)) ** 2 for x, y, _ in points)
    return _Trend(slope, centre, height, is_log, (off + 2 * _USUAL**2) / len(points), weight, width)


class _Column:
    """A parameter of past tasks: its values by slot, which of them are numbers, and the slot of each task."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.slots: dict[str, int] = {}
        self.code = [self.slots.setdefault(text, len(self.slots)) for text in texts]
        self.counts = Counter(self.code)
        numbers = {slot: _number(text) for text, slot in self.slots.items()}
        self.numbers = {slot: number for slot, number in numbers.items() if number is not None}
        self.effects = [0.0] * len(self.slots)
        self.trend: _Trend | None = None

    def fit(self, left: list[float]) -> None:
        """Let the effects be the means of what is left of each task, drawn towards what other numbers say of one."""
        sums = [0.0] * len(self.slots)
        for slot, rest in zip(self.code, left, strict=True):
            sums[slot] += rest
        if len(self.numbers) >= _LINE:
            points = [
                (n, sums[slot] / self.counts[slot], self.counts[slot]) for slot, n in self.numbers.items()
            ]
            self.trend = _trend_of(points)
        for slot, total in enumerate(sums):
            count, usual = self.counts[slot], self._expected(slot)
            self.effects[slot] = usual + (total - count * usual) / (count + _PRIOR)

    def _expected(self, slot: int) -> float:
        return self.trend.at(self.numbers[slot])[0] if self.trend and slot in self.numbers else 0.0

    def own_share(self, slot: int) -> float:
        """Return how much of what is said of a task with this value is its own saying."""
        if len(self.slots) < 2:
            return 0.0
        line = self.trend.own_share(self.numbers[slot]) if self.trend and slot in self.numbers else 0.0
        return line + 1 / (self.counts[slot] + _PRIOR)

    def of(self, fragment: str) -> tuple[float, float]:
        """Return the effect of a value, and how far off it may be, squared, where no task had that value."""
        slot = self.slots.get(_canonical(fragment))
        if slot is not None:
            return self.effects[slot], 0.0
        number = _number(fragment)
        if self.trend is not None and number is not None and self.trend.takes(number):
            return self.trend.at(number)
        known = len(self.effects)
        return 0.0, _USUAL**2 if known < 2 else fsum(map(_squared, self.effects)) / (known - 1)


def fit_costs(
    past: Iterable[tuple[str, float]], names: Sequence[str], fragments: Sequence[Sequence[str]]
) -> Model | None:
    """Fit the model and return it for the values of a new matrix; 0 s say that a time is not known."""
    rows = [(_values(params), seconds) for params, seconds in past if seconds > 0]
    if not rows:
        return None
    logs = [log(max(seconds, _FLOOR)) for _, seconds in rows]
    mean = fsum(logs) / len(logs)
    columns = [_Column(values.get(name, "") for values, _ in rows) for name in names]
    left = _backfit([seconds - mean for seconds in logs], columns)
    told = [list(map(column.of, known)) for column, known in zip(columns, fragments, strict=True)]
    return Model(
        mean,
        [[effect for effect, _ in pairs] for pairs in told],
        exp(_upper(_left_out(left, columns))),
        [[_QUANTILE**2 * width for _, width in pairs] for pairs in told],
    )


def _backfit(left: list[float], columns: Sequence[_Column]) -> list[float]:
    """Fit the columns' effects, and return what they leave; `left` is what the mean leaves of each log-runtime."""
    for _ in range(_ROUNDS):
        for column in columns:
            left = list(map(add, left, map(column.effects.__getitem__, column.code)))
            column.fit(left)
            left = list(map(sub, left, map(column.effects.__getitem__, column.code)))
    return left


def _left_out(left: list[float], columns: Sequence[_Column]) -> list[float]:
    """Return how far each task is from what all the others say of it."""
    own = [1 / len(left)] * len(left)
    for column in columns:
        shares = list(map(column.own_share, range(len(column.slots))))
        own = list(map(add, own, map(shares.__getitem__, column.code)))
    return [rest / (1 - min(share, _OWN)) for rest, share in zip(left, own, strict=True)]


def _upper(distances: list[float]) -> float:
    """Return what nine of ten such distances stay below, that of the next task counted in."""
    count = len(distances)
    spread = sqrt((fsum(map(_squared, distances)) + _WEIGHT * _USUAL**2) / (count + _WEIGHT))
    usual = _QUANTILE * (1 + 1 / count) * spread
    if count < _FEW:
        return usual
    place = ceil(_SHARE * (count + 1)) - 1
    return max(sorted(distances)[min(place, count - 1)], 0.0)


def _squared(number: float) -> float:
    return number * number


def _number(text: str) -> float | None:
    """Return the number that a text of JSON is; None where it is none."""
    try:
        number = json.loads(text)
    except ValueError:
        return None
    return float(number) if type(number) in (int, float) and abs(number) < _LARGE else None


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
