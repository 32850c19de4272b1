"""All values of the corpus under one name each."""

from __future__ import annotations

import warnings
from typing import Any

from memento.keys.value_digest import digest
from tests.keys.corpus import libraries, own, standard


def values() -> dict[str, Any]:
    """Return all values, made anew, by ``group:name``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        groups = {
            "plain": standard.plain(),
            "standard": standard.of_library(),
            "own": own.values(),
            **libraries.values(),
        }
    return {f"{group}:{name}": value for group, values in groups.items() for name, value in values.items()}


def digests() -> dict[str, str]:
    """Return the digest of each value."""
    return {name: digest(value, name).hex() for name, value in values().items()}
