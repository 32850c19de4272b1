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
from collections.abc import Iterable
from typing import Any, NamedTuple

from memento import system
from memento.values import pickling
from memento.worker import logging_state
from memento.worker.import_watch import ImportWatch
from memento.worker.process_options import LIBRARIES, Option, options_of, python, set_filters

# Imported for their options: set in the middle of a task, these would end with it.
_AT_ONCE = ("numpy", "multiprocessing")


class Carried(NamedTuple):
    """What the program has set; and what of that cannot be taken along, for people."""

    pieces: dict[str, bytes]  # by option
    at_once: list[str]  # modules to import for their options
    left: tuple[str, ...]


def gather() -> Carried:
    """Ask for everything that this program may have set."""
    pieces: dict[str, bytes] = {}
    at_once = []
    with system.quiet():  # some options are deprecated
        _ask(python(), pieces)
        for name in LIBRARIES:
            before = len(pieces)
            _ask(options_of(name), pieces)
            if name in _AT_ONCE and len(pieces) > before:
                at_once.append(name)
    _ask(_OWN, pieces)
    left = logging_state.describe()[1] if "logging" in sys.modules else []
    return Carried(pieces, at_once, tuple(left))


def _ask(options: Iterable[Option], pieces: dict[str, bytes]) -> None:
    for option in options:
        # It asks for what is not installed, or is nothing that can be pickled.
        with contextlib.suppress(Exception):
            value = option.get() if option.carried else None
            if value is not None:
                pieces[option.what] = pickling.dumps(value)


def set_first(carried: Carried) -> None:
    """Set what imports of the user's modules may look at."""
    _set(python(), carried)


def set_rest(carried: Carried) -> None:
    """Set everything, now that the function and what it needs is there; what is imported later hears of it then."""
    for name in carried.at_once:
        with contextlib.suppress(ImportError):
            __import__(name)
    _set(_OWN, carried)

    def set_options(name: str) -> None:
        with system.quiet():
            _set(options_of(name), carried)

    for name in LIBRARIES:
        set_options(name)
    ImportWatch(list(LIBRARIES), set_options).stay()


def _set(options: Iterable[Option], carried: Carried) -> None:
    for option in options:
        if option.what in carried.pieces:
            with contextlib.suppress(Exception):  # what this process' library does not know, it has not
                option.set(pickling.loads(carried.pieces[option.what]))


def _decimal() -> Any:
    module = sys.modules.get("decimal")
    return None if module is None else module.getcontext()


def _set_decimal(context: Any) -> None:
    import decimal

    decimal.setcontext(context)


def _filters() -> list[tuple[str, bytes]]:
    """Return the filters, each with the module of its category."""
    found = []
    with system.turn():
        filters = list(warnings.filters)
    for one in filters:
        with contextlib.suppress(Exception):  # of a category that cannot be pickled
            found.append((one[2].__module__, pickling.dumps(one)))
    return found


def _set_filters(asked: list[tuple[str, bytes]]) -> None:
    # Who imports a library later gets its categories then; none is imported for a filter.
    set_filters(
        [pickling.loads(data) for module, data in asked if module in sys.modules or "." not in module]
    )


def _logging() -> Any:
    return logging_state.describe()[0] if "logging" in sys.modules else None


# Asked and set outside of any `catch_warnings`, which would hide what there is, and take back what is set.
_OWN = (
    Option("decimal", _decimal, _set_decimal),
    Option("warnings", _filters, _set_filters),
    Option("logging", _logging, logging_state.set_up),
)
