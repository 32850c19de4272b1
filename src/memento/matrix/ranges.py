"""Numbers at equal distances or equal ratios, in place of a list that is written out.

Knows: exact arithmetic. May not know: parameters, rules.

An end counts as it is written, 0.1 as a tenth: a range has 0.3 where adding floats up gives 0.30000000000000004.
Values are ints where every end and the step is an int and all values are whole, else all of them are floats.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from memento.errors import MatrixError, MatrixTypeError

if TYPE_CHECKING:
    from fractions import Fraction

    from typing_extensions import Self

KEYS_OF_NUMBERS = ({"start", "stop"}, {"start", "stop", "step"}, {"log", "num"}, {"linear", "num"})
MAX_NUMBERS = 1_000_000  # of one range: it is written out in memory
_EXAMPLES = {"Range": (0, 1, 0.1), "Linear": (0, 1, 5), "Log": (1e-3, 1, 4)}
_DIGITS = 40  # of a value on a scale of equal ratios; a float has 17


class Numbers(tuple[Any, ...]):
    """Numbers that a rule makes: a tuple that is shown, and pickled, as the call that made it."""

    _call: tuple[Any, ...]  # the arguments

    @classmethod
    def _made(cls, values: Any, call: tuple[Any, ...]) -> Self:
        self = super().__new__(cls, values)
        self._call = call
        return self

    def __repr__(self) -> str:
        return _call_text(type(self).__name__, self._call)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._call

    def __memento_key__(self) -> tuple[Any, ...]:
        return tuple(self)


class Range(Numbers):
    """Numbers from `start` up to `stop`, which is not among them, `step` apart.

    Parameters
    ----------
    start : number
        The first.
    stop : number
        What all are below; with a negative step, above.
    step : number
        How far they are apart.

    Raises
    ------
    MatrixError
        There would be no value, or too many.

    Examples
    --------
    >>> list(Range(0, 0.5, 0.1)), list(Range(5, 0, -2))
    ([0.0, 0.1, 0.2, 0.3, 0.4], [5, 3, 1])
    """

    def __new__(cls, start: float, stop: float, step: float = 1) -> Range:
        call = (start, stop) if _is_int(step) and step == 1 else (start, stop, step)
        first, end, by = (_exact(cls, value) for value in (start, stop, step))
        if not by:
            raise _wrong(cls, "the step is 0.", (start, stop))
        count = -((first - end) // by)  # rounded up
        if count < 1:
            if first == end:
                raise _wrong(
                    cls, "start and stop are equal, and stop is not among the values.", (start, start + 1)
                )
            raise _wrong(
                cls, f"steps of {step!r} from {start!r} never come near {stop!r}.", (start, stop, -step)
            )
        return cls._made(_spaced(cls, first, by, count, call, all(map(_is_int, (start, stop, step)))), call)


class Linear(Numbers):
    """`num` numbers from `low` to `high`, both among them, at equal distances.

    Parameters
    ----------
    low, high : number
        The ends.
    num : int
        How many; 1 is `low` alone.

    Raises
    ------
    MatrixError
        There would be no value, or too many.

    Examples
    --------
    >>> list(Linear(0, 1, num=6)), list(Linear(10, 30, num=3))
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [10, 20, 30])
    """

    def __new__(cls, low: float, high: float, num: int) -> Linear:
        call = low, high, num
        first, last = (_exact(cls, value) for value in (low, high))
        count = _count(cls, call)
        by = (last - first) / max(count - 1, 1)
        whole = _is_int(low) and _is_int(high) and by.denominator == 1
        return cls._made(_spaced(cls, first, by, count, call, whole), call)


class Log(Numbers):
    """`num` numbers from `low` to `high`, both among them, at equal ratios.

    Parameters
    ----------
    low, high : number
        The ends, above 0.
    num : int
        How many; 1 is `low` alone.

    Raises
    ------
    MatrixError
        An end is not above 0, or there would be no value, or too many.

    Examples
    --------
    >>> list(Log(1e-5, 0.1, num=5)), list(Log(1, 64, num=4))
    ([1e-05, 0.0001, 0.001, 0.01, 0.1], [1, 4, 16, 64])
    """

    def __new__(cls, low: float, high: float, num: int) -> Log:
        call = low, high, num
        ends = [_exact(cls, value) for value in (low, high)]
        count = _count(cls, call)
        if min(ends) <= 0:
            right = tuple(value if end > 0 else 1e-3 for value, end in zip((low, high), ends, strict=True))
            raise _wrong(cls, "equal ratios need ends above 0.", (*right, num))
        from decimal import Context, localcontext

        rounded = Context(prec=_DIGITS).plus
        with localcontext(Context(prec=_DIGITS + 20)) as exact:
            value, last = (exact.divide(*map(exact.create_decimal, end.as_integer_ratio())) for end in ends)
            ratio = ((last.ln() - value.ln()) / max(count - 1, 1)).exp()
            values = [rounded(value)]
            for _ in range(count - 1):
                value *= ratio
                values.append(rounded(value))
        whole = _is_int(low) and _is_int(high) and all(one == one.to_integral_value() for one in values)
        return cls._made(map(int if whole else float, values), call)


def as_numbers(given: Mapping[Any, Any], where: str) -> Numbers | None:
    """Return the numbers that a dict or a file's mapping stands for; None where it has other keys."""
    if given.keys() not in KEYS_OF_NUMBERS:
        return None
    kind: Callable[..., Numbers] = Range
    call = dict(given)
    if "num" in given:
        kind = Log if "log" in given else Linear
        ends = given[kind.__name__.lower()]
        if not isinstance(ends, (list, tuple)) or len(ends) != 2:
            right = _mapping_text(kind.__name__, _EXAMPLES[kind.__name__])
            raise MatrixTypeError(
                where, f"the two ends are needed as a list, got {ends!r}.", f"Write {right}."
            )
        call = {"low": ends[0], "high": ends[1], "num": given["num"]}
    try:
        return kind(**call)
    except MatrixError as exc:
        labels = " Labelled values need other labels." if isinstance(exc, MatrixTypeError) else ""
        raise type(exc)(where, exc.problem, exc.todo + labels) from None


def _spaced(
    cls: type[Numbers], first: Fraction, by: Fraction, count: int, call: tuple[Any, ...], whole: bool
) -> list[float]:
    _check_count(cls, count, call)
    below = first.denominator * by.denominator
    start, step = first.numerator * by.denominator, by.numerator * first.denominator
    if whole:
        return [(start + step * i) // below for i in range(count)]
    # Of two ints: rounded once, to the nearest float.
    return [(start + step * i) / below for i in range(count)]


def _exact(cls: type[Numbers], value: Any) -> Fraction:
    """Return what a number is as it is written."""
    from fractions import Fraction
    from numbers import Real

    kind = type(value).__qualname__
    if isinstance(value, bool) or not (isinstance(value, Real) or kind == "Decimal"):
        problem = f"a number is needed, got {value!r} ({kind})."
        raise MatrixTypeError(cls.__name__, problem, _right(cls, _EXAMPLES[cls.__name__]))
    try:
        float(value)
        return Fraction(value) if _is_int(value) or isinstance(value, Fraction) else Fraction(str(value))
    except (ValueError, OverflowError):
        raise MatrixError(cls.__name__, f"{value!r} is no end.", "Write a finite number.") from None


def _is_int(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _count(cls: type[Numbers], call: tuple[Any, ...]) -> int:
    low, high, num = call
    if isinstance(num, bool) or not _is_int(num) or num < 1:
        raise _wrong(cls, f"num says how many values: a whole number from 1 on, got {num!r}.", (low, high, 5))
    _check_count(cls, num, call)
    return operator.index(num)


def _check_count(cls: type[Numbers], count: int, call: tuple[Any, ...]) -> None:
    if count > MAX_NUMBERS:
        problem = f"these are {count:,} values, more than {MAX_NUMBERS:,}."
        raise MatrixError(_call_text(cls.__name__, call), problem, "Take larger steps.")


def _wrong(cls: type[Numbers], problem: str, right: tuple[Any, ...]) -> MatrixError:
    return MatrixError(cls.__name__, problem, _right(cls, right))


def _right(cls: type[Numbers], call: tuple[Any, ...]) -> str:
    return f"Write memento.{_call_text(cls.__name__, call)}, in a file {_mapping_text(cls.__name__, call)}."


def _call_text(name: str, call: tuple[Any, ...]) -> str:
    texts = list(map(str, call))
    if name != "Range":
        texts[2] = f"num={texts[2]}"
    return f"{name}({', '.join(texts)})"


def _mapping_text(name: str, call: tuple[Any, ...]) -> str:
    if name == "Range":
        pairs = zip(("start", "stop", "step"), call, strict=False)
        return f"{{{', '.join(f'{key}: {value}' for key, value in pairs)}}}"
    return f"{{{name.lower()}: [{call[0]}, {call[1]}], num: {call[2]}}}"
