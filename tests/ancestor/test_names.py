"""Every public name of 1.2.0 is here, where it was, and takes what it took."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import memento

NAMES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "ancestor" / "names.json").read_text(encoding="utf-8")
)
CALLED_BY_NAME = ("__init__", "__new__", "__call__")
Parameter = tuple[str, str, str | None]  # name, kind, default's repr


def calls() -> list[tuple[str, list[Parameter]]]:
    """Every public callable of 1.2.0, as a dotted path, with its parameters."""
    found = [(name, entry["signature"]) for name, entry in NAMES.items() if "signature" in entry]
    for name, entry in NAMES.items():
        found += [(f"{name}.{member}", signature) for member, signature in entry.get("members", {}).items()]
    return [(path, [tuple(p) for p in signature]) for path, signature in found]


def named(path: str) -> Any:
    name, _, member = path.partition(".")
    value = getattr(memento, name)
    return getattr(value, member) if member else value


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_importable_from_memento(name: str) -> None:
    assert name in memento.__all__
    value = getattr(memento, name)
    assert value == NAMES[name].get("value", value)


@pytest.mark.parametrize("name", [name for name, entry in NAMES.items() if "home" in entry])
def test_a_public_name_is_importable_from_the_module_it_stood_in(name: str) -> None:
    module = importlib.import_module(NAMES[name]["home"])
    assert getattr(module, name) is getattr(memento, name)


@pytest.mark.parametrize(("path", "then"), calls(), ids=[path for path, _ in calls()])
def test_a_call_written_for_1_2_0_fits(path: str, then: list[Parameter]) -> None:
    now = list(inspect.signature(named(path)).parameters.values())
    positional = [p for p in now if p.kind is p.POSITIONAL_OR_KEYWORD]
    kinds = {p.kind.name: p for p in now}
    for place, (name, kind, default) in enumerate(q for q in then if q[1] == "POSITIONAL_OR_KEYWORD"):
        if place >= len(positional):
            assert "VAR_POSITIONAL" in kinds, f"{path} takes no {place + 1}. argument {name} any more"
            continue
        if path.rpartition(".")[2] in CALLED_BY_NAME or not path.endswith("__"):  # operators take no names
            assert positional[place].name == name
        assert kind == "POSITIONAL_OR_KEYWORD"
        if default is not None:
            assert repr(positional[place].default) == default
    for name, kind, default in then:
        if kind.startswith("VAR_"):
            assert kind in kinds
        elif kind == "KEYWORD_ONLY":
            assert repr({p.name: p for p in now}[name].default) == default
    known = {name for name, _, _ in then} | {p.name for p in positional[: len(then)]}
    for parameter in now:
        optional = parameter.default is not parameter.empty or parameter.kind.name.startswith("VAR_")
        assert parameter.name in known or optional, f"{path} cannot be called without {parameter.name}"


@pytest.mark.parametrize("name", [name for name, entry in NAMES.items() if entry.get("bases")])
def test_a_class_is_still_a_subclass_of_what_it_was(name: str) -> None:
    ours = {base.__name__ for base in getattr(memento, name).__mro__}
    assert ours >= set(NAMES[name]["bases"])


@pytest.mark.parametrize(
    ("name", "attribute"),
    [(name, attribute) for name, entry in NAMES.items() for attribute in entry.get("properties", ())],
)
def test_a_public_property_is_still_there(name: str, attribute: str) -> None:
    assert inspect.isdatadescriptor(inspect.getattr_static(getattr(memento, name), attribute))


def test_a_star_import_brings_every_name_of_1_2_0() -> None:
    code = "from memento import *; import json; print(json.dumps(sorted(globals())))"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert set(json.loads(told.stdout)) >= set(NAMES)
