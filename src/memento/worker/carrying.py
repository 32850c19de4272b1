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
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from memento.values import pickling
from memento.worker import logging_state
from memento.worker.import_watch import ImportWatch
from memento.worker.isolation import set_filters
from memento.worker.options import LIBRARIES, options_of

_AT_ONCE = (
    "numpy",
    "multiprocessing",
)  # imported for their options: set in the middle of a task, these would end with it


class Carried(NamedTuple):
    """What the program has set; and what of that cannot be taken along, for people."""

    own: dict[str, bytes]  # of Python itself
    libraries: dict[str, dict[str, bytes]]  # by module, then by option
    left: tuple[str, ...]


def gather() -> Carried:
    """Ask for everything that this program may have set."""
    own: dict[str, bytes] = {}
    libraries: dict[str, dict[str, bytes]] = {}
    left: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (ask, _) in _OWN.items():
            with contextlib.suppress(Exception):
                own[name] = pickling.dumps(ask())
        for name in LIBRARIES:
            found: dict[str, bytes] = {}
            for option in options_of(name):
                with contextlib.suppress(Exception):  # some ask for what is not installed
                    value = option.get() if option.carried else None
                    if value is not None:
                        found[option.what] = pickling.dumps(value)
            if found:
                libraries[name] = found
    if "logging" in sys.modules:
        described, left = logging_state.describe()
        own["logging"] = pickling.dumps(described)
    # Asked outside of any `catch_warnings`, which would hide what there is.
    own["warnings"] = pickling.dumps(list(_filters()))
    return Carried(own, libraries, tuple(left))


def set_first(carried: Carried) -> None:
    """Set what imports of the user's modules may look at."""
    for name in _FIRST:
        _set_own(carried, name)


def set_rest(carried: Carried) -> None:
    """Set everything, now that the function and what it needs is there; what is imported later hears of it then."""
    for name in carried.own:
        if name not in _FIRST:
            _set_own(carried, name)
    for name in filter(carried.libraries.__contains__, _AT_ONCE):
        with contextlib.suppress(ImportError):
            __import__(name)
    for name in filter(sys.modules.__contains__, carried.libraries):
        _set_options(carried, name)
    later = [name for name in carried.libraries if name not in sys.modules]
    ImportWatch(later, lambda name: _set_options(carried, name)).stay()


def _set_own(carried: Carried, name: str) -> None:
    # What this process' Python does not know, it has not.
    with contextlib.suppress(Exception):
        value = pickling.loads(carried.own[name])
        if name in ("warnings", "logging"):  # which `catch_warnings` would take back
            _SETTERS[name](value)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _SETTERS[name](value)


def _set_options(carried: Carried, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for option in options_of(name):
            if option.what in carried.libraries[name]:
                with contextlib.suppress(Exception):
                    option.set(pickling.loads(carried.libraries[name][option.what]))


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


def _filters() -> Iterator[tuple[str, bytes]]:
    """Yield the filters, each with the module of its category."""
    for one in warnings.filters:
        with contextlib.suppress(Exception):  # of a category that cannot be pickled
            yield one[2].__module__, pickling.dumps(one)


def _set_filters(asked: list[tuple[str, bytes]]) -> None:
    # Who imports a library later gets its categories then; none is imported for a filter.
    there = [pickling.loads(data) for module, data in asked if module in sys.modules or "." not in module]
    set_filters(there)


_OWN: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "arguments": (lambda: list(sys.argv), _set_arguments),
    "interpreter": (_interpreter, _set_interpreter),
    "locale": (_locale, _set_locale),
    "decimal": (_decimal, _set_decimal),
}
_FIRST = ("arguments", "interpreter", "locale")
_SETTERS: dict[str, Callable[[Any], None]] = {
    **{name: setter for name, (_, setter) in _OWN.items()},
    "logging": logging_state.set_up,
    "warnings": _set_filters,
}
