"""Read a matrix from a YAML, TOML or JSON file, safely.

Knows: three formats, and the one tag that names a Python object. May not know: what the keys mean.

``!py module:qualname`` imports an object; nothing else in a file runs or builds anything. YAML is read as
version 1.2 says: only true and false are booleans, 1e-3 is a number, 12:30 and 2026-01-01 are strings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memento.errors import MatrixError
from memento.matrix.import_object import import_name

_SUFFIXES = (".yaml", ".yml", ".toml", ".json")
_DEEPEST = 64  # a matrix is a few levels deep; recursion would end at some hundreds
_PREFIX = "!py "


def load_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a YAML, TOML or JSON file holds, with the objects that it names imported.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "matrix.yaml"
    >>> _ = path.write_text("parameters: {C: [1e-3, 1], norm: [!py math:hypot]}")
    >>> load_file(path)
    {'parameters': {'C': [0.001, 1], 'norm': [<built-in function hypot>]}}
    """
    name, suffix = str(path), Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        kind = f"{suffix!r} is no format that a matrix can have." if suffix else "the name has no suffix."
        raise MatrixError(name, kind, f"Use {', '.join(_SUFFIXES)}.")
    text = _read(Path(path), name)
    try:
        if suffix == ".json":
            data = _json(text, name)
        elif suffix == ".toml":
            data = _toml(text, name)
        else:
            from memento.matrix.yaml import read_yaml

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
        raise MatrixError(name, "there is no such file.", f"Looked from {Path.cwd()}.") from None
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


class _Repeated(Exception):
    """A key stands twice in one object."""


def _json(text: str, name: str) -> Any:
    import json
    from json import decoder, scanner

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            raise _Repeated(next(key for key in keys if keys.count(key) > 1))
        return made

    def parse_object(place: tuple[str, int], *rest: Any) -> Any:
        try:
            return decoder.JSONObject(place, *rest)  # type: ignore[attr-defined]  # in no stub, in every release
        except _Repeated as exc:
            line = text.count("\n", 0, place[1]) + 1
            raise MatrixError(
                f"{name}, line {line}",
                f"the object that starts here has the key {exc.args[0]!r} twice.",
                "Keep one.",
            ) from None

    reader = json.JSONDecoder(object_pairs_hook=once)
    reader.parse_object = parse_object  # type: ignore[attr-defined]  # in no stub, in every release
    # The scanner in C would not call parse_object, so no line would be known.
    reader.scan_once = scanner.py_make_scanner(reader)  # type: ignore[attr-defined]  # in no stub, in every release
    try:
        data = reader.decode(text)
    except json.JSONDecodeError as exc:
        raise MatrixError(
            f"{name}, line {exc.lineno}",
            f"it is not JSON: {exc.msg} (column {exc.colno}).",
            "Correct it there.",
        ) from None
    except MatrixError:
        raise
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
        return import_name(data[len(_PREFIX) :], f"{name}: {path}")
    return data
