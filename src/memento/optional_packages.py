"""Import packages of other programs when they are used, and say what to install where they are missing.

Knows: names of packages and extras. May not know: stores, formats.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from memento.errors import MissingExtra


def imported(module: str, what: str, extra: str) -> Any:
    """Return a module that `what` needs and `extra` brings.

    Raises
    ------
    MissingExtra
        It is not installed; one that is installed and broken says itself why.

    Examples
    --------
    >>> imported("nowhere.to_be.found", "export --to nowhere", "nowhere")
    Traceback (most recent call last):
    memento.errors.MissingExtra: export --to nowhere needs a package that is not installed: pip install \
'memento-ml[nowhere]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # what it needs itself is missing
        raise MissingExtra(what, extra) from error
