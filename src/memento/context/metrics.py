"""Keep the metrics that a task records, and tell their latest values now and then.

Knows: numbers. May not know: stores, tasks, processes.

A value costs two appends to a C array; the clock is read once a call, which gives both
the default x and the moment of the next live update.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from memento.records import Series

if TYPE_CHECKING:
    import pandas


class Curve:
    """One metric: all x and all y, as doubles."""

    __slots__ = ("add_x", "add_y", "x", "y")

    def __init__(self) -> None:
        self.x, self.y = array("d"), array("d")
        self.add_x, self.add_y = self.x.append, self.y.append


class Metrics:
    """All curves of one task."""

    __slots__ = ("curves", "saved")

    def __init__(self) -> None:
        self.curves: dict[str, Curve] = {}
        self.saved: dict[str, int] = {}  # name -> how many of its values a checkpoint has

    def record(self, values: Mapping[str, Any], now: float) -> None:
        """Append one value to each named curve; `now` is the x of those that bring none."""
        curves = self.curves
        for name, value in values.items():
            x: float = now
            if type(value) is not float:
                if isinstance(value, (tuple, list)) and len(value) == 2:
                    x = number(name, value[0], "the x of ")
                    value = value[1]
                value = number(name, value)
            curve = curves.get(name)
            if curve is None:
                if not isinstance(name, str):
                    raise TypeError(
                        f"record: a metric's name must be a str, not {type(name).__name__} {name!r}"
                    )
                curve = curves[name] = Curve()
            curve.add_x(x)
            curve.add_y(value)

    def latest(self) -> dict[str, float]:
        """Return the last value of each curve."""
        return {name: curve.y[-1] for name, curve in self.curves.items()}

    def series(self) -> tuple[Series, ...]:
        """Pack the curves for the store."""
        return tuple(pack(name, curve) for name, curve in self.curves.items())

    def packed(self) -> dict[str, bytes]:
        """Return the curves for a checkpoint; from now on they count as saved."""
        self.saved = {name: len(curve.y) for name, curve in self.curves.items()}
        return {series.name: series.data for series in self.series()}

    def restore(self, packed: Mapping[str, bytes], *, again: bool = False) -> None:
        """Put what a checkpoint brought before what was recorded since; nothing comes twice.

        The first `saved[name]` values of a curve came from a checkpoint or stand in one: a longer
        beginning replaces them, a shorter or equal one is known already. With `again`, what was recorded since stands
        in the checkpoint too: the task has run the lines before its loop a second time.
        """
        for name, data in packed.items():
            half = len(data) // 2
            known = self.saved.get(name, 0)
            curve = self.curves.get(name)
            if half // 8 < known or (half // 8 == known and not again):
                continue
            since_x, since_y = (curve.x[known:], curve.y[known:]) if curve else (array("d"), array("d"))
            if again:
                since_x, since_y = array("d"), array("d")
            whole = self.curves[name] = Curve()
            whole.x.frombytes(data[:half])
            whole.y.frombytes(data[half:])
            if sys.byteorder == "big":
                whole.x.byteswap()
                whole.y.byteswap()
            self.saved[name] = half // 8
            whole.x.extend(since_x)
            whole.y.extend(since_y)

    def frames(self) -> dict[str, pandas.DataFrame]:
        """Return each curve as a frame with columns ``x`` and ``y``."""
        import numpy
        import pandas

        return {
            name: pandas.DataFrame({"x": numpy.array(curve.x), "y": numpy.array(curve.y)})
            for name, curve in self.curves.items()
        }


def number(name: object, value: Any, what: str = "") -> float:
    """Return a recorded value as a float: an int, a bool, a NumPy or torch scalar, an array of one number."""
    if isinstance(value, (float, int)):
        return float(value)
    if not isinstance(value, (str, bytes, complex, list, tuple, dict)):
        shape = getattr(value, "shape", ())
        item = getattr(value, "item", None)
        if callable(item) and not any(n != 1 for n in shape):
            plain = item()
            if isinstance(plain, (float, int)):
                return float(plain)
        elif hasattr(value, "__float__") and not hasattr(value, "shape"):
            return float(value)
    raise TypeError(
        f"record: {what}metric {name!r} must be a number or a pair (x, y) of numbers,"
        f" not {type(value).__module__}.{type(value).__qualname__}"
    )


def pack(name: str, curve: Curve) -> Series:
    """Pack one curve: little-endian doubles, all x then all y."""
    x, y = curve.x, curve.y
    if sys.byteorder == "big":
        x, y = x[:], y[:]
        x.byteswap()
        y.byteswap()
    data = x.tobytes() + y.tobytes()
    if len(curve.y) > 1000:
        import numpy

        values = numpy.frombuffer(curve.y)
        low, high = float(numpy.fmin.reduce(values)), float(numpy.fmax.reduce(values))
    else:
        finite = [v for v in curve.y if v == v] or [float("nan")]
        low, high = min(finite), max(finite)
    return Series(name, len(curve.y), curve.y[-1], low, high, data)
