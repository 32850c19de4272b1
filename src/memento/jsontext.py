"""JSON as of `json`, written without the import of `json`: it brings `re`, 3 ms of every start.

Knows: the encoder in C behind `json`. May not know: what is written, who reads it.
"""

from __future__ import annotations

from collections.abc import Callable

from memento.hints import Any

try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder
except ImportError:  # another Python than CPython
    make_encoder = None  # type: ignore[assignment,misc]  # what it is only where it is missing


def _refuse(value: object) -> Any:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def dumps(value: Any, *, ensure_ascii: bool = True, default: Callable[[Any], Any] = _refuse) -> str:
    """Return a value as JSON.

    Parameters
    ----------
    value : object
        What `json.dumps` takes.
    ensure_ascii : bool
        Whether to write other letters as escapes.
    default : callable, optional
        Makes something that can be written of what cannot be.

    Returns
    -------
    str
        The same text as of `json.dumps`.

    Examples
    --------
    >>> dumps({"lr": 0.1, "names": ["a", None, True]})
    '{"lr": 0.1, "names": ["a", null, true]}'
    """
    if make_encoder is None:
        import json

        return json.dumps(value, ensure_ascii=ensure_ascii, default=default)
    text = encode_basestring_ascii if ensure_ascii else encode_basestring
    if isinstance(value, str):
        return str(text(value))
    encode = make_encoder({}, default, text, None, ": ", ", ", False, False, True)
    return "".join(encode(value, 0))


def loads(text: str | bytes | bytearray) -> Any:
    """Read JSON."""
    import json

    return json.loads(text)
