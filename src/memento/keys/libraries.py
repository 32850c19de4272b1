"""Encode the values of libraries that are already loaded; none is ever imported here.

Knows: which library's values which file encodes. May not know: the libraries themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from memento.keys import arrays, columns, frames, models
from memento.keys.encode import Encoder
from memento.keys.hidden import library_of

_WAYS: dict[str, Callable[[Encoder, Any, Any], bytes | None]] = {
    "numpy": arrays.encode,
    "scipy": arrays.encode_scipy,
    "pandas": frames.encode_pandas,
    "polars": columns.encode_polars,
    "pyarrow": columns.encode_pyarrow,
    "sklearn": models.encode_sklearn,
    "torch": models.encode_torch,
    "xarray": frames.encode_xarray,
    "pydantic": models.encode_pydantic,
}


def encode(enc: Encoder, value: Any) -> bytes | None:
    """Return the frame of a library's value, or None for other values."""
    cls = type(value)
    asked: set[str] = set()
    for base in cls.__mro__:  # a subclass of the user's is found by what it inherits from
        root = library_of(base)
        way = _WAYS.get(root)
        library = sys.modules.get(root)
        if way is None or library is None or root in asked:
            continue
        asked.add(root)
        encoded = way(enc, value, library)
        if encoded is not None:
            return encoded
    if hasattr(cls, "__attrs_attrs__"):
        return models.encode_attrs(enc, value)
    return None
