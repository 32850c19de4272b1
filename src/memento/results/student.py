"""Quantiles of Student's t distribution, without SciPy.

Knows: arithmetic. May not know: anything of ours.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_TERMS = 500


def t_quantile(p: float, freedom: int) -> float:
    """Return the value below which a t-distributed variable lies with probability `p`.

    Parameters
    ----------
    p : float
        Between 0.5 and 1, both excluded.
    freedom : int
        Degrees of freedom, at least 1.

    Examples
    --------
    >>> round(t_quantile(0.975, 4), 4), round(t_quantile(0.975, 1_000_000), 4)
    (2.7764, 1.96)
    """
    assert 0.5 < p < 1, p
    assert freedom >= 1, freedom
    # The tail beyond t is I_x(v/2, 1/2) / 2 with x = v / (v + t²): look for t by halving.
    tail = 2 * (1 - p)

    def beyond(t: float) -> float:
        return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))

    low, high = 0.0, 1.0
    while beyond(high) > tail:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if beyond(middle) > tail:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # The fraction converges fast on one side of the mean; the other side follows from symmetry.
    if x < (a + 1) / (a + b + 2):
        return math.exp(log) * _fraction(a, b, x) / a
    return 1 - math.exp(log) * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (DLMF 8.17.22)."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _away_from_zero(1 + step * d)
            c = _away_from_zero(1 + step / c)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
