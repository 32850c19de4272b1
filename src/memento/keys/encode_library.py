"""Encode the values of libraries that are already loaded; none is ever imported here.

Knows: which library's values which file encodes. May not know: the libraries themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from memento.keys import encode_arrow, encode_models, encode_numpy, encode_pandas
from memento.keys.encode import Encoder
from memento.keys.ignored_state import library_of

_LIBRARIES: dict[str, Callable[[Encoder, Any, Any], bytes | None]] = {
    "numpy": encode_numpy.encode_numpy,
    "scipy": encode_numpy.encode_scipy,
    "pandas": encode_pandas.encode_pandas,
    "polars": encode_arrow.encode_polars,
    "pyarrow": encode_arrow.encode_pyarrow,
    "sklearn": encode_models.encode_sklearn,
    "torch": encode_models.encode_torch,
    "xarray": encode_pandas.encode_xarray,
    "pydantic": encode_models.encode_pydantic,
}


def encode(enc: Encoder, value: Any) -> bytes | None:
    """Return the frame of a value of a library, which is loaded by whoever has it; None for other values."""
    cls = type(value)
    # A subclass of the user's is found by what it inherits.
    for root in dict.fromkeys(map(library_of, cls.__mro__)):
        library = sys.modules.get(root) if root in _LIBRARIES else None
        encoded = _LIBRARIES[root](enc, value, library) if library is not None else None
        if encoded is not None:
            return encoded
    return encode_models.encode_attrs(enc, value) if hasattr(cls, "__attrs_attrs__") else None
