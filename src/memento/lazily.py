"""Import what a package offers when it is first asked for, so that importing the package costs next to nothing.

Knows: names and modules. May not know: what is in them.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False  # as in `memento`, whose import this is a part of
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class Loading:
    """A block that imports many modules, for which Python's search for garbage would take a tenth of the time.

    What was made by its end counts as old, and is looked through with all that is.

    >>> with Loading():
    ...     gc.isenabled()
    False
    """

    def __enter__(self) -> None:
        self._on = gc.isenabled()
        gc.disable()

    def __exit__(self, *error: object) -> None:
        if not gc.get_freeze_count():  # else what the program has frozen would thaw
            gc.freeze()
            gc.unfreeze()
        if self._on:
            gc.enable()


def on_first_use(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """Give a package its `__getattr__` and `__all__` from the table of its modules, each with the names it has.

    >>> get, names = on_first_use("memento", {"memento.config": "Config Configurations"})
    >>> get("Config").__module__, names
    ('memento.config', ['Config', 'Configurations'])
    >>> get("Konfig")
    Traceback (most recent call last):
    AttributeError: module 'memento' has no attribute 'Konfig'
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with Loading():
            __import__(home)  # a module that every run loads spares it the package `importlib`
        found = getattr(sys.modules[home], name)
        setattr(sys.modules[package], name, found)  # Python asks once only
        return found

    return get, sorted(home_of)
