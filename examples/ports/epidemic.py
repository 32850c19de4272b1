"""Paths of an epidemic: constant reproduction numbers, and reproduction numbers that measures bring down.

After the lecture "Modeling COVID-19" of Thomas J. Sargent and John Stachurski, QuantEcon, with code of Andrew Atkeson
(https://python.quantecon.org/sir_model.html), written anew. Every task returns a frame, one row for each day.
Lines without imports, comments and figures: 38 there, 14 here.

    python examples/ports/epidemic.py
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.integrate import odeint

from memento import Memento


def path(R0=None, eta=None):
    """Fractions of the population that are infected, and that have been: a row for each time."""

    def change(x, t):
        s, e, i = x
        r = R0 or 3 * np.exp(-eta * t) + 1.6 * (1 - np.exp(-eta * t))
        new = r * s * i / 18
        return -new, new - e / 5.2, e / 5.2 - i / 18

    times = np.linspace(0, 550, 1000)
    s, e, i = odeint(change, (1 - 5e-7, 4e-7, 1e-7), times).T
    return pd.DataFrame({"day": times, "infected": i, "cumulative": 1 - s - e})


grids = [{"R0": {"linear": [1.6, 3.0], "num": 6}}, {"eta": [1 / 5, 1 / 10, 1 / 20, 1 / 50, 1 / 100]}]
results = Memento(path).run({"parameters": grids})
days = results.explode()
peaks = days.loc[days.groupby(["R0", "eta"], dropna=False)["infected"].idxmax()]
print(peaks.to_string(index=False))
