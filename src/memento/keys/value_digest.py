"""Choose for a value how it is encoded, and compute digests.

Knows: the order in which ways to encode are tried. May not know: tasks, matrices.

    exact plain types (NumPy's scalars among them) > register_key > __memento_key__ > what never counts
    > classes and functions > standard kinds > libraries, by name > __reduce_ex__ walked structurally
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from memento.config import Deferred
from memento.errors import UnkeyableValue
from memento.keys.encode import LEAVES, Encoder, frame, node, plain_number
from memento.keys.ignored_state import encode_ignored
from memento.keys.names import qualified_name
from memento.settings import Settings

_REGISTRY: dict[type, Callable[[Any], Any]] = {}

_CONTAINERS: dict[type, Callable[[Encoder, Any], bytes]] = {
    list: Encoder.listed,
    tuple: lambda enc, value: frame(b"t", enc.sequence(value)),
    dict: lambda enc, value: frame(b"d", enc.pairs(value.items())),
    set: lambda enc, value: frame(b"S", enc.unordered(value)),
    frozenset: lambda enc, value: frame(b"Z", enc.unordered(value)),
}


def register_key(type: type, func: Callable[[Any], Any]) -> None:  # noqa: A002 - the name in the contract
    """Teach Memento what identifies the values of a type.

    Parameters
    ----------
    type : type
        The class; its subclasses follow unless they are registered themselves.
    func : callable
        ``func(value)`` returns something that can be keyed: text, numbers, arrays, tuples of these.

    Examples
    --------
    >>> class Connection:
    ...     def __init__(self, url):
    ...         self.url = url
    >>> register_key(Connection, lambda connection: connection.url)
    >>> digest(Connection("a")) == digest(Connection("a"))
    True
    """
    if not isinstance(type, _TYPE):
        raise TypeError(
            f"register_key: expected a class, not {type!r}. Pass the class of the values to be keyed."
        )
    if not callable(func):
        raise TypeError(f"register_key: expected a function of the value, not {func!r}.")
    _REGISTRY[type] = func


_TYPE = type


def digest(value: Any, where: str = "", encoder: type[Encoder] = Encoder) -> bytes:
    """Return 16 bytes that stand for a value: equal for equal values, in every process."""
    leaf = LEAVES.get(type(value))
    if leaf is not None:  # most values by far; of a grid's seeds there may be a million
        return blake2b(leaf(value), digest_size=16, person=b"memento value").digest()
    try:
        encoded = encoder(dispatch).encode(value)
    except UnkeyableValue as error:
        raise UnkeyableValue(where + error.where, error.kind, error.reason) from error.__cause__
    except RecursionError:
        kind = qualified_name(type(value))
        raise UnkeyableValue(where, kind, "it is nested too deeply to be read to its end") from None
    except Exception as error:  # a property or get_params() of the user's, a tensor without data
        kind = qualified_name(type(value))
        reason = f"reading it raised {type(error).__name__}: {error}"
        raise UnkeyableValue(where, kind, reason) from error
    return blake2b(encoded, digest_size=16, person=b"memento value").digest()


def dispatch(enc: Encoder, value: Any) -> bytes:
    """Return the frame of a compound value."""
    cls = type(value)
    container = _CONTAINERS.get(dict if cls is Settings else cls)  # settings are the dict that they were
    if container is not None:
        return container(enc, value)
    plain = plain_number(value)
    if plain is not value:
        return enc.encode(plain)
    if not isinstance(value, type):
        override = _override(enc, value, cls)
        if override is not None:
            return override
    # Here: they load `inspect` and `pathlib`, and a grid of numbers and texts needs none of them.
    from memento.keys import encode_callable, encode_library, encode_object, encode_standard

    encoded = encode_ignored(value)
    for way in (encode_callable.encode, encode_standard.encode, encode_library.encode, encode_object.encode):
        if encoded is not None:
            return encoded
        encoded = way(enc, value)
    assert encoded is not None
    return encoded


def _override(enc: Encoder, value: Any, cls: type) -> bytes | None:
    if _REGISTRY:
        for base in cls.__mro__:
            if base in _REGISTRY:
                return _ask(enc, value, _REGISTRY[base], f"the function registered for {base.__qualname__}")
    if hasattr(cls, "__memento_key__"):
        return _ask(enc, value, cls.__memento_key__, "its __memento_key__()")
    return None


def _ask(enc: Encoder, value: Any, func: Callable[[Any], Any], who: str) -> bytes:
    try:
        answer = func(value)
    except Exception as error:
        kind = qualified_name(type(value))
        raise UnkeyableValue("", kind, f"{who} raised {type(error).__name__}: {error}") from error
    if answer is value:
        raise UnkeyableValue("", qualified_name(type(value)), f"{who} returned the value itself")
    # The class counts too: two classes that answer alike are still two.
    return node("own key", enc.encode(type(value)), enc.at(".__memento_key__()", answer))


def identity(value: object) -> object:
    """Return what is equal for values that are one in keys; its own for a value that keys do not know."""
    key = getattr(value, "key", None) if isinstance(value, Deferred) else None
    if isinstance(key, bytes):  # so that nothing is loaded
        return "task", key
    try:
        return digest(value)
    except (UnkeyableValue, RecursionError):
        return "id", id(value)
