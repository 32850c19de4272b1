"""Read YAML 1.2 into plain values, and name the line of whatever is wrong.

Knows: PyYAML's nodes and marks. May not know: what the keys mean.

PyYAML composes the nodes; the values are built here, so that no constructor of its can be reached and a key that
stands twice is seen. An alias is the value of its anchor, not a copy; yet whoever walks through the value (keys do)
meets it each time, so aliases of aliases may not grow without bound.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from memento.errors import MatrixError
from memento.matrix.import_object import import_name

_DEEPEST = 64  # a matrix is a few levels deep; an alias inside its own anchor would never end
_MOST_BY_ALIASES = 100_000  # nodes that they may add to a walk through the value
_CORE = "tag:yaml.org,2002:"
_ESCAPES = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
# The core schema of YAML 1.2; PyYAML's own resolvers follow 1.1, where `no` is False and `1e-3` a string.
_RESOLVERS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
)


def read_yaml(text: str, name: str) -> Any:
    """Return the value that a YAML document stands for; `name` is the file's, for errors."""
    import yaml

    try:
        loader = _loader()(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{name}, line {mark.line + 1}" if mark else name
        raise MatrixError(
            where, f"it is not YAML: {exc.problem or exc.context}.", "Correct it there."
        ) from None
    except (yaml.YAMLError, ValueError) as exc:
        raise MatrixError(name, f"it is not YAML: {' '.join(str(exc).split())}.", "Correct it.") from None
    return None if node is None else _Builder(name).build(node, "", 0)


@lru_cache(maxsize=1)
def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Composes nodes, with the scalars of YAML 1.2."""

        yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  # PyYAML's own hook

    for kind, pattern, first in _RESOLVERS:
        Loader.add_implicit_resolver(_CORE + kind, re.compile(f"^(?:{pattern})$"), first)
    return Loader


class _Builder:
    """Builds the value of one document's nodes."""

    def __init__(self, name: str) -> None:
        self._name = name
        # By node: its value, how many nodes a walk through it meets, how many levels it has.
        self._built: dict[int, tuple[Any, int, int]] = {}
        self._met = self._by_aliases = self._deepest = 0

    def build(self, node: Any, path: str, depth: int) -> Any:
        """Return a node's value; `path` is its place for errors."""
        value, size, levels = self._built.get(id(node), (None, 0, 0))
        if depth + levels > _DEEPEST:
            todo = "Does an alias (*name) stand inside its anchor?"
            raise self._error(node, path, "it is nested too deeply.", todo)
        if size:
            self._by_aliases += size
            if self._by_aliases > _MOST_BY_ALIASES:
                raise self._error(node, path, "aliases (*name) grow it beyond measure.", "Write it out.")
            self._met += size
            self._deepest = max(self._deepest, depth + levels)
            return value
        met, deepest = self._met, self._deepest
        self._met, self._deepest = met + 1, depth
        value = self._value(node, path, depth)
        self._built[id(node)] = value, self._met - met, self._deepest - depth
        self._deepest = max(self._deepest, deepest)
        return value

    def _value(self, node: Any, path: str, depth: int) -> Any:
        if node.id == "scalar":
            return self._scalar(node, path)
        if node.tag == _CORE + "seq" and node.id == "sequence":
            return [self.build(child, f"{path}[{i}]", depth + 1) for i, child in enumerate(node.value)]
        if node.tag == _CORE + "map" and node.id == "mapping":
            return self._mapping(node, path, depth)
        raise self._foreign(node, path)

    def _scalar(self, node: Any, path: str) -> Any:
        text: str = node.value
        if node.tag == "!py":
            return import_name(text, f"{self._place(node)}: {path}" if path else self._place(node))
        kind = node.tag[len(_CORE) :] if node.tag.startswith(_CORE) else ""
        try:
            if kind in ("str", "merge"):
                return text
            if kind == "null":
                return None
            if kind == "bool":
                return {"true": True, "false": False}[text.lower()]
            if kind == "int":
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            if kind == "float":
                return _ESCAPES[text.lower()] if text.lower() in _ESCAPES else float(text)
        except (KeyError, ValueError):
            raise self._error(node, path, f"{text[:60]!r} is no {kind}.", "Correct it there.") from None
        raise self._foreign(node, path)

    def _mapping(self, node: Any, path: str, depth: int) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _CORE + "merge":
                for key, value in self._merged(value_node, path, depth):
                    merged.setdefault(key, value)
                continue
            if key_node.id != "scalar":
                raise self._error(
                    key_node, path, "a key must be a single value.", "Is a colon or quote misplaced?"
                )
            key = self.build(key_node, path, depth + 1)
            try:
                repeated = key in made
            except TypeError:
                raise self._error(key_node, path, f"{key!r} cannot be a key.", "Use its name.") from None
            if repeated:
                raise self._error(key_node, path, f"the key {key!r} stands here twice.", "Keep one.")
            made[key] = self.build(value_node, f"{path}[{key!r}]" if path else str(key), depth + 1)
        return {**{k: v for k, v in merged.items() if k not in made}, **made}

    def _merged(self, node: Any, path: str, depth: int) -> list[tuple[Any, Any]]:
        parts = node.value if node.id == "sequence" else [node]
        pairs: list[tuple[Any, Any]] = []
        for part in parts:
            value = self.build(part, path, depth + 1)
            if not isinstance(value, dict):
                raise self._error(part, path, "'<<' needs a mapping.", "Write <<: *name.")
            pairs.extend(value.items())
        return pairs

    def _place(self, node: Any) -> str:
        return f"{self._name}, line {node.start_mark.line + 1}"

    def _error(self, node: Any, path: str, problem: str, todo: str) -> MatrixError:
        where = f"{self._place(node)}: {path}" if path else self._place(node)
        return MatrixError(where, problem, todo)

    def _foreign(self, node: Any, path: str) -> MatrixError:
        tag = node.tag.replace(_CORE, "!!")
        if node.tag == "!py":
            return self._error(node, path, "!py needs one name.", "Write !py module:name.")
        return self._error(
            node,
            path,
            f"the tag {tag} is not allowed: a file builds no objects.",
            "Name one: !py module:name.",
        )
