"""Import what a package offers when it is first asked for, so that importing the package costs next to nothing.

Knows: names and modules. May not know: what is in them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any


def on_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose names live elsewhere.

    Parameters
    ----------
    package : str
        Its name.
    homes : mapping of str to str
        Each name with the module in which it lives.

    Returns
    -------
    callable
        Gives a name's value, and leaves it in the package, so that Python asks once only.

    Examples
    --------
    >>> get = on_first_use("memento", {"Config": "memento.config"})
    >>> get("Config").__module__
    'memento.config'
    >>> get("Konfig")
    Traceback (most recent call last):
    AttributeError: module 'memento' has no attribute 'Konfig'
    """

    def get(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        __import__(home)  # a module that every run loads spares it the package `importlib`
        found = getattr(sys.modules[home], name)
        setattr(sys.modules[package], name, found)
        return found

    return get
