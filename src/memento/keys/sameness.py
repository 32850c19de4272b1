"""Tell whether another process sees what this one sees: the same globals, the same definitions, by their names.

Knows: what counts as an experiment's code. May not know: processes, who compares.

What the script itself defines travels with the function. What stands in other modules of the project a fresh process
imports anew, so it has what the import leaves, and nothing of what the program has changed since.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from memento.keys.code import code_version
from memento.keys.names import module_name
from memento.keys.places import place_of_file


def seen_by(func: Any, apart: Callable[[Any], object] | None = None) -> dict[str, tuple[str, str]]:
    """Return what an experiment reads of the project's modules, but for the script's: digests, and words for data.

    Parameters
    ----------
    func : callable
        The experiment.
    apart : callable, optional
        Says of a global's value whether it reaches other processes in a way of its own.
    """
    scripts = {name for name in (_place_of(sys.modules.get("__main__")), module_name("__main__")) if name}
    seen = {
        name: (mark, told if isinstance(told, str) else "")
        for name, (mark, told) in code_version(func)._marks.items()
        if name.partition(":")[0] not in (*scripts, "unknown") and "#" not in name
    }
    if apart is not None and any(told for _, told in seen.values()):
        modules = {_place_of(module): module for module in list(sys.modules.values())}
        for name in [name for name, (_, told) in seen.items() if told]:
            place, _, attribute = name.partition(":")
            if apart(getattr(modules.get(place), "__dict__", {}).get(attribute)):
                del seen[name]
    return seen


def differences(there: Mapping[str, tuple[str, str]], func: Any) -> list[tuple[str, str, str]]:
    """Compare what the program saw with what is seen here.

    Parameters
    ----------
    there : dict
        Of `seen_by`, in the program.
    func : callable
        The experiment, as it has arrived here.

    Returns
    -------
    list of (str, str, str)
        What differs: its name, what the program has, what is here; each "" where that cannot be shown.
    """
    here = seen_by(func)
    found = [
        (name, told, here[name][1])
        for name, (mark, told) in there.items()
        if name in here and here[name][0] != mark
    ]
    missing = [(name, told, "nothing") for name, (_, told) in there.items() if told and name not in here]
    if missing:
        # A module that is not here yet may come with what is missed.
        loaded = {_place_of(module) for module in list(sys.modules.values())}
        found += [one for one in missing if one[0].partition(":")[0] in loaded]
    return found


def _place_of(module: Any) -> str | None:
    file = getattr(module, "__dict__", {}).get("__file__")
    return place_of_file(file) if isinstance(file, str) else None
