"""Import what a package offers when it is first asked for, so that importing the package costs next to nothing.

Knows: names and modules, and what people call what is here. May not know: what is in them.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as in `memento`, whose import this is a part of
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class NoSuchName(AttributeError):
    """A package does not have a name; what is nearest is looked for when the text is read, since few ever are."""

    def __init__(self, package: str, name: str, known: list[str]) -> None:
        super().__init__(package, name, known)
        self.name = name

    def __str__(self) -> str:
        package, name, known = self.args
        return f"module {package!r} has no attribute {name!r}{_instead(package, name, known)}"


# Words that people try -> what they find under another name.
_INSTEAD = {
    "memento.Memento(func).run(matrix)": "run runall execute launch map submit start main experiment runner study sweep"
    " experiments task tasks pipeline job jobs project session",
    "memento.Matrix({'lr': [0.1, 0.01]})": "grid parametergrid paramgrid product gridsearch space searchspace"
    " parameters params choice sample combinations",
    "context.cached(func, ...) inside the experiment": "cached cache memoize memo cachedfunction step",
    "context.record({'loss': 0.3}) inside the experiment": "record log logmetric logmetrics metric metrics report",
    "context.checkpoint(state) inside the experiment": "checkpoint save restore",
    "context.seed inside the experiment": "seed setseed rng randomstate",
    "memento.load('memento-store')": "results open read store loadresults",
}


def _instead(package: str, name: str, known: list[str]) -> str:
    """Say what to write instead of a name that a package does not have; "" where nothing is near."""
    from memento.suggest import in_other_words, nearest

    if name.startswith("_"):
        return ""
    line = in_other_words(name, _INSTEAD) if package == "memento" else None
    if line is not None:
        return f". Write {line}."
    near = nearest(name, known, likeness=0.8)
    return f". Did you mean {near[0]!r}?" if near else ""


def on_first_use(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """Give a package its `__getattr__` and `__all__` from the table of its modules, each with the names it has."""
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        home = home_of.get(name)
        if home is None:
            raise NoSuchName(package, name, sorted(home_of))
        __import__(home)  # a module that every run loads spares it the package `importlib`
        found = getattr(sys.modules[home], name)
        setattr(sys.modules[package], name, found)  # Python asks once only
        return found

    return get, sorted(home_of)
