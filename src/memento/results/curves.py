"""Put the points of all metrics into one long frame, column by column.

Knows: selections, bulk reads of metrics, pandas. May not know: how points are stored or drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.results.scan import curves as read_curves
from memento.results.to_frame import free_name, parameter_columns

if TYPE_CHECKING:
    import pandas as pd

    from memento.results.selection import Selection


def curves(selection: Selection) -> pd.DataFrame:
    """Return a row for each point; see `Results.metrics`."""
    import numpy as np
    import pandas as pd

    selection.read()  # which finds again what a later run has computed anew
    rows = selection.rows.tolist()
    of_row = read_curves(selection.source.store, rows, selection.source.owner)
    found = [(place, *one) for place, row in enumerate(rows) for one in of_row.get(row, {}).items()]
    places = np.array([place for place, *_ in found], dtype=np.int64)
    counts = np.array([len(y) for *_, (_, y) in found], dtype=np.int64)
    names: dict[str, int] = {}
    codes = np.array([names.setdefault(name, len(names)) for _, name, _ in found], dtype=np.int64)
    x, y = (np.concatenate([np.empty(0), *(points[i] for *_, points in found)]) for i in (0, 1))
    columns = parameter_columns(selection, np.repeat(places, counts))
    metric = pd.Series(list(names), dtype=str).array.take(np.repeat(codes, counts))
    for name, column in (("metric", metric), ("x", x), ("y", y)):
        columns[free_name(name, "metric", columns)] = column
    frame: pd.DataFrame = pd.DataFrame(columns)
    return frame
