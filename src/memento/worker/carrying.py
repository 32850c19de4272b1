"""Take to fresh processes what the program has set: logging, warnings, arithmetic, options of libraries.

Knows: how each is asked for and set. May not know: processes, tasks.

A copy of the program has all of it. A fresh process has what imports leave; the rest is gathered here when such a
process is started, each piece pickled by itself, so that one that cannot be does not keep back the others. It is set
once the function is there; of a library that is imported later, right after its import.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from memento.values import pickling
from memento.worker import libraries, loggers
from memento.worker.imports import ImportWatch


class Carried(NamedTuple):
    """What the program has set, by its name; and what of that cannot be taken along, for people."""

    pieces: dict[str, bytes]
    left: tuple[str, ...]


def gather() -> Carried:
    """Ask for everything that this program may have set."""
    pieces: dict[str, bytes] = {}
    left: list[str] = []
    for name, (ask, _) in {**_OWN, **libraries.OPTIONS}.items():
        if name in libraries.OPTIONS and name not in sys.modules:
            continue
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pieces[name] = pickling.dumps(ask())
    if "logging" in sys.modules:
        found, left = loggers.gather()
        pieces["logging"] = pickling.dumps(found)
    # Asked outside of any `catch_warnings`, which would hide what there is.
    pieces["warnings"] = pickling.dumps(list(_filters()))
    return Carried(pieces, tuple(left))


def set_first(carried: Carried) -> None:
    """Set what imports of the user's modules may look at."""
    for name in _FIRST:
        _set(carried.pieces, name)


def set_rest(carried: Carried) -> None:
    """Set everything, now that the function and what it needs is there; what is imported later hears of it then."""
    pieces = carried.pieces
    for name in pieces:
        if name not in _FIRST and not _is_later(name):
            _set(pieces, name)
    later = list(filter(_is_later, pieces))
    ImportWatch(later, lambda name: _set(pieces, name)).stay()


def _is_later(name: str) -> bool:
    return name in libraries.OPTIONS and name not in sys.modules and name not in libraries.AT_ONCE


def _set(pieces: Mapping[str, bytes], name: str) -> None:
    # What this process' library does not know, it has not.
    with contextlib.suppress(Exception):
        value = pickling.loads(pieces[name])
        if name in ("warnings", "logging"):  # which `catch_warnings` would take back
            _SETTERS[name](value)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _SETTERS[name](value)


# -- Python's own


def _interpreter() -> tuple[Any, ...]:
    digits = getattr(sys, "get_int_max_str_digits", lambda: None)()
    return sys.getrecursionlimit(), sys.getswitchinterval(), digits


def _set_interpreter(asked: tuple[Any, ...]) -> None:
    depth, interval, digits = asked
    sys.setrecursionlimit(depth)
    sys.setswitchinterval(interval)
    if digits is not None:
        sys.set_int_max_str_digits(digits)


def _set_arguments(arguments: list[str]) -> None:
    sys.argv[:] = arguments


def _locale() -> list[tuple[int, str]]:
    import locale

    names = ("LC_CTYPE", "LC_COLLATE", "LC_MONETARY", "LC_NUMERIC", "LC_TIME", "LC_MESSAGES")
    categories = [getattr(locale, name) for name in names if hasattr(locale, name)]
    return [(category, locale.setlocale(category)) for category in categories]


def _set_locale(asked: list[tuple[int, str]]) -> None:
    import locale

    for category, name in asked:
        with contextlib.suppress(locale.Error):
            locale.setlocale(category, name)


def _decimal() -> Any:
    module = sys.modules.get("decimal")
    return None if module is None else module.getcontext()


def _set_decimal(context: Any) -> None:
    if context is not None:
        import decimal

        decimal.setcontext(context)


def _start_method() -> str | None:
    module = sys.modules.get("multiprocessing")
    return None if module is None else module.get_start_method(allow_none=True)


def _set_start_method(method: str | None) -> None:
    if method is not None:
        import multiprocessing

        multiprocessing.set_start_method(method, force=True)


def _filters() -> Iterator[tuple[str, bytes]]:
    """Yield the filters, each with the module of its category."""
    for one in warnings.filters:
        with contextlib.suppress(Exception):  # of a category that cannot be pickled
            yield one[2].__module__, pickling.dumps(one)


def _set_filters(asked: list[tuple[str, bytes]]) -> None:
    # Who imports a library later gets its categories then; none is imported for a filter.
    there = [pickling.loads(data) for module, data in asked if module in sys.modules or "." not in module]
    warnings.filters[:] = there  # type: ignore[index]  # typeshed calls it a Sequence
    getattr(warnings, "_filters_mutated", lambda: None)()


Asker = Callable[[], Any]
Setter = Callable[[Any], None]
_OWN: dict[str, tuple[Asker, Setter]] = {
    "arguments": (lambda: list(sys.argv), _set_arguments),
    "interpreter": (_interpreter, _set_interpreter),
    "locale": (_locale, _set_locale),
    "decimal": (_decimal, _set_decimal),
    "multiprocessing": (_start_method, _set_start_method),
}
_FIRST = ("arguments", "interpreter", "locale")
_SETTERS: dict[str, Setter] = {
    **{name: setter for name, (_, setter) in {**_OWN, **libraries.OPTIONS}.items()},
    "logging": loggers.restore,
    "warnings": _set_filters,
}
