"""Write a value in one line for people, without running any of its code.

Knows: plain values, containers, attributes. May not know: keys; this text identifies nothing.
"""

from __future__ import annotations

import types
from typing import Any

from memento.keys.names import module_name, qualified_name
from memento.keys.parts import attributes_of

_PLAIN = (int, float, complex, str, bytes, bool, type(None), range, type(...))
_LIMIT = 500  # characters
_ITEMS = 100
_DEPTH = 6


def outline(value: Any) -> tuple[str, bool]:
    """Return a value as one line, and whether all of it is there.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    tuple of (str, bool)
        The text; whether values of different texts only differ.

    Examples
    --------
    >>> outline({"lr": [0.1, len]})
    ("{'lr': [0.1, builtins:len]}", True)
    """
    writer = _Writer()
    text = writer.write(value, _DEPTH)
    if len(text) > _LIMIT:
        return f"{text[: _LIMIT - 3]}...", False
    return text, writer.whole


class _Writer:
    def __init__(self) -> None:
        self.whole = True
        self._room = _LIMIT

    def write(self, value: Any, depth: int) -> str:
        cls = type(value)
        if cls in _PLAIN:
            return self._plain(value)
        if isinstance(value, types.ModuleType):
            return module_name(value.__name__)
        if isinstance(value, type) or cls in (types.FunctionType, types.BuiltinFunctionType):
            return qualified_name(value)
        if depth == 0 or self._room <= 0:
            self.whole = False
            return "..."
        if cls is dict:
            parts = [
                f"{self.write(k, depth - 1)}: {self.write(v, depth - 1)}"
                for k, v in self._some(value.items())
            ]
            return f"{{{', '.join(parts)}}}"
        for kind, opening, closing in (
            (list, "[", "]"),
            (tuple, "(", ")"),
            (set, "{", "}"),
            (frozenset, "{", "}"),
        ):
            if cls is kind:
                parts = [self.write(part, depth - 1) for part in self._some(value)]
                return f"{opening}{', '.join(sorted(parts) if opening == '{' else parts)}{closing}"
        return self._object(value, cls, depth)

    def _plain(self, value: Any) -> str:
        if isinstance(value, (str, bytes)) and len(value) > _LIMIT:
            self.whole = False
            value = value[:_LIMIT]
        try:
            text = repr(value)
        except ValueError:  # an int of too many digits
            text, self.whole = hex(value), False
        self._room -= len(text)
        return text

    def _some(self, values: Any) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if len(found) == _ITEMS:
                self.whole = False
                break
            found.append(value)
        return found

    def _object(self, value: Any, cls: type, depth: int) -> str:
        name = qualified_name(cls).rpartition(":")[2]
        if cls.__module__.partition(".")[0] in ("numpy", "pandas", "torch") or not (
            held := attributes_of(value)
        ):
            self.whole = False
            shape = getattr(value, "shape", None) if cls.__module__ == "numpy" else None
            return f"{name} {value.dtype} {shape}" if shape else name
        parts = [f"{key}={self.write(part, depth - 1)}" for key, part in self._some(held.items())]
        return f"{name}({', '.join(parts)})"
