"""Read a matrix from a YAML, TOML or JSON file, safely.

Knows: three formats, and the one tag that names a Python object; modules. May not know: what the keys mean.

``!py module:qualname`` imports an object; nothing else in a file runs or builds anything. YAML is read as
version 1.2 says: only true and false are booleans, 1e-3 is a number, 12:30 and 2026-01-01 are strings. PyYAML composes
the nodes; the values are built here, so that no constructor of its can be reached and a key that stands twice is seen.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from memento.errors import MatrixError
from memento.suggest import did_you_mean, near_file, nearest

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
_DEEPEST = 64  # a matrix is a few levels deep; an alias inside its own anchor would never end
_MOST_BY_ALIASES = 100_000  # nodes that they may add: aliases of aliases grow without bound
_PREFIX = "!py "


def load_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a YAML, TOML or JSON file holds, with the objects that it names imported."""
    name, suffix = str(path), Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        kind = f"{suffix!r} is no format that a matrix can have." if suffix else "the name has no suffix."
        raise MatrixError(name, kind, f"Use {', '.join(SUFFIXES)}.")
    text = _read(Path(path), name)
    try:
        if suffix == ".json":
            data = _json(text, name)
        elif suffix == ".toml":
            data = _toml(text, name)
        else:
            data = read_yaml(text, name)
    except RecursionError:
        raise MatrixError(name, "it is nested too deeply.", "A matrix needs a few levels.") from None
    if not isinstance(data, dict):
        kind = "nothing" if data is None else f"a {type(data).__name__}"
        raise MatrixError(name, f"it holds {kind}, not a mapping.", "Start with 'parameters'.")
    return data


def _read(path: Path, name: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        looked = f"Looked from {Path.cwd()}.{near_file(path, SUFFIXES)}"
        raise MatrixError(name, "there is no such file.", looked) from None
    except (OSError, ValueError) as exc:
        if isinstance(exc, UnicodeDecodeError):
            raise MatrixError(name, f"it is not UTF-8 text: {exc.reason}.", "Save it as UTF-8.") from None
        raise MatrixError(name, f"it cannot be read: {exc}.", "Check the path and its permissions.") from exc


def _toml(text: str, name: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        data = tomllib.loads(text)
    except ValueError as exc:  # TOMLDecodeError is one, and so is an int of too many digits
        raise MatrixError(name, f"it is not TOML: {exc}.", "Correct it there.") from None
    return _named(data, name, "", 0)


def _json(text: str, name: str) -> Any:
    import json

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise MatrixError(name, f"an object has the key {twice!r} twice.", "Keep one.")
        return made

    try:
        data = json.loads(text, object_pairs_hook=once)
    except MatrixError:
        raise
    except json.JSONDecodeError as exc:
        where = f"{name}, line {exc.lineno}"
        problem = f"it is not JSON: {exc.msg} (column {exc.colno})."
        raise MatrixError(where, problem, "Correct it there.") from None
    except ValueError as exc:  # an int of too many digits
        raise MatrixError(name, f"it is not JSON that can be read: {exc}.", "Correct it.") from None
    return _named(data, name, "", 0)


def _named(data: Any, name: str, path: str, depth: int) -> Any:
    """Replace the strings that name objects by these, in what TOML or JSON gave."""
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(data, Mapping):
        return {k: _named(v, name, f"{path}[{k!r}]" if path else str(k), depth + 1) for k, v in data.items()}
    if isinstance(data, list):
        return [_named(v, name, f"{path}[{i}]", depth + 1) for i, v in enumerate(data)]
    if isinstance(data, str) and data.startswith(_PREFIX):
        return _object_named(data[len(_PREFIX) :], f"{name}: {path}")
    return data


# -- objects ---------------------------------------------------------------------------------------------


def _object_named(name: str, where: str) -> Any:
    """Return the object that ``module:qualname`` names."""
    module_name, colon, qualname = name.strip().partition(":")
    if not colon or not _dotted(module_name) or not _dotted(qualname):
        module, _, last = name.strip().rpartition(".")
        guess = f"{module}:{last}" if _dotted(module) and _dotted(last) else "sklearn.svm:SVC"
        raise MatrixError(
            where, f"{name!r} is no name of a Python object.", f"Write module:name, like {guess}."
        )
    found: Any = _imported(module_name, where)
    walked = module_name
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            public = [n for n in dir(found) if not n.startswith("_")]
            raise MatrixError(
                where, f"{walked} has no {part!r}.", did_you_mean(part, public, "It has")
            ) from None
        except Exception as exc:
            raise MatrixError(
                where,
                f"getting {part!r} from {walked} raised {type(exc).__name__}: {exc}.",
                "Import it by hand.",
            ) from exc
        walked += f"{':' if walked == module_name else '.'}{part}"
    return found


def _dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _imported(name: str, where: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (name == exc.name or name.startswith(f"{exc.name}.")):
            raise _broken(name, where, exc) from exc  # the module is there; something that it needs is not
        parent, _, last = exc.name.rpartition(".")
        close = nearest(last, _children(parent))
        meant = f"Did you mean {f'{parent}.' if parent else ''}{close[0]}?" if close else ""
        todo = meant or "Install it, or run from the folder that has it."
        raise MatrixError(where, f"there is no module {exc.name!r}.", todo) from None
    except (Exception, SystemExit) as exc:  # a script that is imported may end itself
        raise _broken(name, where, exc) from exc


def _children(parent: str) -> Iterable[str]:
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if parent and path is None:
        return []
    found = [module.name for module in pkgutil.iter_modules(path)]
    return found if parent else [*found, *sys.builtin_module_names]


def _broken(name: str, where: str, exc: BaseException) -> MatrixError:
    return MatrixError(
        where, f"importing {name!r} raised {type(exc).__name__}: {exc}.", f"Try: python -c 'import {name}'."
    )


# -- YAML ------------------------------------------------------------------------------------------------

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
        self._seen: set[int] = set()
        self._again = 0  # nodes that were built before, for another alias

    def build(self, node: Any, path: str, depth: int) -> Any:
        """Return a node's value; `path` is its place for errors."""
        if depth > _DEEPEST:
            todo = "Does an alias (*name) stand inside its anchor?"
            raise self._error(node, path, "it is nested too deeply.", todo)
        self._again += id(node) in self._seen
        if self._again > _MOST_BY_ALIASES:
            raise self._error(node, path, "aliases (*name) grow it beyond measure.", "Write it out.")
        self._seen.add(id(node))
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
            return _object_named(text, f"{self._place(node)}: {path}" if path else self._place(node))
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
