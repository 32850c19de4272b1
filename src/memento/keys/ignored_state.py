"""Tell what never counts in a value: global random states, locks, weak references and caches.

Knows: where Python and libraries keep what differs between processes, or changes when a value is merely used. May not
know: how values are encoded. Nothing is imported for it.

Each kind stands in a key by its name: that an object has a lock is part of it, what the lock does is not.
"""

from __future__ import annotations

import _thread
import _weakref
import functools
import sys
from collections.abc import Iterator
from typing import Any

from memento.keys.encode import node, text

_LOCKS = {("_thread", "lock"), ("_thread", "RLock")}
_WEAK_CONTAINERS = ("WeakKeyDictionary", "WeakValueDictionary", "WeakSet")


def encode_ignored(value: Any) -> bytes | None:
    """Return the frame of what never counts, or None for all else."""
    cls = type(value)
    place = cls.__module__, cls.__qualname__
    if place in _LOCKS or place[0] == "multiprocessing.synchronize":
        return node("lock", text(place[1]))
    if issubclass(cls, _thread._local):
        return node("thread's own", text(place[1]))
    if issubclass(cls, _weakref.ReferenceType) or cls in (_weakref.ProxyType, _weakref.CallableProxyType):
        return node("weak reference")
    weakref = sys.modules.get("weakref")
    if weakref is not None and cls in [getattr(weakref, name, None) for name in _WEAK_CONTAINERS]:
        return node("weak container", text(place[1]))
    if place[1] in _GENERATORS and any(value is state for state in _global_states(place[1])):
        return node("global generator", text(place[0].partition(".")[0]))
    return None


_GENERATORS = frozenset(
    {"Random", "RandomState", "MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64", "Generator"}
)


def _global_states(kind: str) -> Iterator[Any]:
    """Yield the generators that a library's functions share: seeded by the system, changed by every draw.

    One that a user makes and passes is a value like any other.
    """
    if kind == "Random":
        yield getattr(sys.modules.get("random"), "_inst", None)
    elif kind == "Generator":
        torch = sys.modules.get("torch")
        yield getattr(torch, "default_generator", None)
        yield from getattr(getattr(torch, "cuda", None), "default_generators", ())
    else:
        state = getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)
        yield state
        yield getattr(state, "_bit_generator", None)


def without_global_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return attributes less NumPy's global state, and the copies of it that pickles make."""
    return {name: value for name, value in state.items() if not _draws_from_the_global(value)}


def _draws_from_the_global(value: Any) -> bool:
    mtrand = sys.modules.get("numpy.random.mtrand")
    if mtrand is None or type(value) is not mtrand.RandomState:
        return False
    return value is mtrand._rand or is_seeded_by_the_system(value)


def is_seeded_by_the_system(value: Any) -> bool:
    """Say whether a generator of NumPy was made without a seed: then it is another in every process."""
    cls = type(value)
    if cls.__name__ not in ("Generator", "RandomState") or not cls.__module__.startswith("numpy.random"):
        return False
    bits = value.bit_generator if cls.__name__ == "Generator" else value._bit_generator
    drawn = getattr(getattr(bits, "seed_seq", None), "entropy", None)
    # The system gives seeds of 128 bits; 64 is a guess at what nobody writes by hand.
    return type(drawn) is int and drawn.bit_length() > 64


def library_of(cls: Any) -> str:
    """Return the name of the top-level package or module that a class comes from."""
    module = cls.__module__
    return module.partition(".")[0] if isinstance(module, str) else ""  # of some types it is a descriptor


# By library: attributes that hold what was computed before, or where in memory it is. Using a value changes them.
_CACHES: dict[str, dict[str, tuple[str, ...]]] = {
    "numpy": {"vectorize": ("_ufunc",)},
    "pandas": {"": ("_cache", "_item_cache", "_cacher")},
    "sklearn": {"": ("_stop_words_id",), "_BaseScorer": ("_deprecation_msg",)},
    "xarray": {"": ("_cache", "_close")},
}
# What `functools.update_wrapper` copies from the function that an object wraps, in some versions of Python more.
OF_WRAPPERS = frozenset({*functools.WRAPPER_ASSIGNMENTS, "__type_params__"})
# Descriptors that keep what they computed under their own name in the instance.
_KEEPING = frozenset(
    {"cached_property", "lazy_property", "lazyproperty", "cache_readonly", "under_cached_property", "reify"}
)


def without_caches(cls: type, state: dict[str, Any]) -> dict[str, Any]:
    """Return an object's attributes less what is merely cached there: reading it is no change."""
    dropped = set(OF_WRAPPERS) if "__wrapped__" in state else set()
    for base in cls.__mro__:
        for name, attributes in _CACHES.get(library_of(base), {}).items():
            if name in ("", base.__name__):
                dropped.update(attributes)
    return {name: value for name, value in state.items() if name not in dropped and not _is_kept(cls, name)}


def _is_kept(cls: type, name: str) -> bool:
    """Say whether a descriptor keeps what it computed under a name; none of it runs."""
    descriptor = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    return any(base.__name__ in _KEEPING for base in type(descriptor).__mro__)
