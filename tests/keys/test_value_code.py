# ruff: noqa: E501 - tables of values, each kind on a line
"""A value brings along the code of the project that it is made of; combined versions are their union."""

from __future__ import annotations

import collections
import functools
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.keys.code_dependencies import CodeWalk
from memento.keys.code_versions import CodeVersion, code_version, combined, value_code
from tests.keys.projects import Projects, edited

CODE = """
import collections, dataclasses, enum, functools, types
LEAF = @@
def f(x=0): return x + LEAF
class Base:
    def go(self): return f()
class Model(Base):
    def __init__(self, held=None): self.held = held
    def __call__(self): return self.go()
class Slotted:
    __slots__ = ("held",)
    def __init__(self, held): self.held = held
@dataclasses.dataclass
class Record:
    held: object = None
    def go(self): return f()
class Kind(enum.Enum):
    ONE = 1
    def go(self): return f()
class Numbers(list):
    def go(self): return f()
class Depth(int):
    def go(self): return f()
class Row(collections.namedtuple("Row", "a")):
    def go(self): return f()
def make(n):
    def inner(): return f() + n
    return inner
def made():
    class Local:
        def go(self): return f()
    return Local
value = {value}
"""

BRINGING = {
    "a function": "f", "a class": "Model", "an instance": "Model()", "a subclass's instance": "type('M', (Model,), {})()",
    "a bound method": "Model().go", "a lambda": "lambda: f()", "a closure": "make(1)", "a partial": "functools.partial(f, 1)",
    "a local class": "made()", "its instance": "made()()", "a record": "Record()", "its class": "Record", "an enum": "Kind",
    "a member": "Kind.ONE", "a list of ours": "Numbers([1])", "an int of ours": "Depth(3)", "a row": "Row(1)",
    "in a list": "[1, f]", "in a tuple": "(f, 1)", "in a dict": "{'f': f}", "as a key": "{f: 1}", "in a set": "{f}",
    "in a frozen set": "frozenset([f])", "in a deque": "collections.deque([f])", "a default factory": "collections.defaultdict(f)",
    "in a namespace": "types.SimpleNamespace(f=f)", "in a proxy": "types.MappingProxyType({'f': f})",
    "in an instance": "Model(f)", "in a slot": "Slotted(f)", "in a record's field": "Record([f])",
    "in a partial's argument": "functools.partial(print, f)", "deep": "[{'a': (1, [functools.partial(print, Model())])}]",
    "in an object array": "__import__('numpy').array([None, f], dtype=object)", "a cached function": "functools.lru_cache(f)",
    "in a library's object": "__import__('argparse').Namespace(f=f)", "in an ordered dict": "collections.OrderedDict(f=f)",
    "vectorized": "__import__('numpy').vectorize(f)", "a ufunc": "__import__('numpy').frompyfunc(f, 0, 1)",
    "the method of a container": "{'f': f}.get", "two of a kind": "[Model(), Model()]",
}  # fmt: skip

BRINGING_NONE: list[Any] = [
    1, 1.5, "text", b"bytes", None, True, (1, "a", (2.5,)), [1, [2, {"a": {3}}]], range(3), slice(1), Path("a"), Fraction(1, 2),
    np.arange(3), np.float32(1), np.dtype("f4"), np.array([None, 1], dtype=object), len, print, dict, collections.Counter, np.sum, np.mean,
    functools.partial(print, 1), functools.partial(np.full, 3), collections.deque([1]), itertools.chain, Fraction, [].append,
]  # fmt: skip


@pytest.fixture
def projects(tmp_path: Path) -> Iterator[Projects]:
    found = Projects(tmp_path)
    yield found
    found.forget()


def brought(projects: Projects, value: str, leaf: int) -> CodeVersion | None:
    text = CODE.replace("{value}", value)
    with projects.loaded(projects.write(edited({"lab_exp.py": text}, "@@", str(leaf)))) as module:
        return value_code(module.value)


@pytest.mark.parametrize("kind", BRINGING)
def test_a_value_brings_its_code(projects: Projects, kind: str) -> None:
    one, again, other = (brought(projects, BRINGING[kind], leaf) for leaf in (1, 1, 2))
    assert one is not None
    assert again is not None
    assert other is not None
    assert one.digest == again.digest
    assert one.digest != other.digest
    assert "lab_exp.py:LEAF" in one.names


@pytest.mark.parametrize("value", BRINGING_NONE, ids=range(len(BRINGING_NONE)))
def test_what_holds_nothing_of_the_project_brings_no_code(value: Any) -> None:
    assert value_code(value) is None


def test_the_estimators_of_the_user_are_found_inside_those_of_scikit_learn(projects: Projects) -> None:
    pytest.importorskip("sklearn")
    code = (
        "from sklearn.base import BaseEstimator\nfrom sklearn.linear_model import Ridge\nfrom sklearn.pipeline import make_pipeline\n"
        "from sklearn.model_selection import GridSearchCV\n"
        "class Own(BaseEstimator):\n    def __init__(self, alpha=@@): self.alpha = alpha\n"
        "value = GridSearchCV(make_pipeline(Ridge(), Own(3)), {})\nplain = GridSearchCV(make_pipeline(Ridge()), {})\n"
    )
    versions = []
    for alpha in "1", "2":
        with projects.loaded(projects.write({"lab_exp.py": code.replace("@@", alpha)})) as module:
            assert value_code(module.plain) is None
            versions.append(value_code(module.value))
    assert None not in versions
    assert len({version.digest for version in versions if version is not None}) == 2


def test_plain_values_cost_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Any] = []
    visit = CodeWalk._visit

    def watched(self: CodeWalk, item: Any) -> Iterator[Any]:
        looked_at.append(item)
        return visit(self, item)

    monkeypatch.setattr(CodeWalk, "_visit", watched)
    assert not any(map(value_code, range(1_000)))
    assert looked_at == []
    assert value_code([*range(100_000), "a", 1.5]) is None
    assert looked_at == []
    assert value_code({"sizes": [*range(100_000)]}) is None
    assert len(looked_at) < 10  # containers and their classes, not what is in them


def one() -> int:
    return 1


def two() -> int:
    return one() + 2


def three() -> int:
    return 3


VERSIONS = [code_version(func) for func in (one, two, three)]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(range(3)), max_size=6), st.randoms())
def test_neither_order_nor_repetition_of_combined_versions_counts(chosen: list[int], random: Any) -> None:
    version = combined([VERSIONS[i] for i in chosen])
    shuffled = random.sample(chosen, len(chosen))
    assert combined([VERSIONS[i] for i in [*shuffled, *chosen]]).digest == version.digest
    assert combined([version, *(VERSIONS[i] for i in chosen)]).digest == version.digest
    assert set(version.names) == {name for i in chosen for name in VERSIONS[i].names}


def test_one_version_combined_is_itself() -> None:
    assert all(combined([version]).digest == version.digest for version in VERSIONS)
    assert combined([VERSIONS[0], VERSIONS[1]]).digest == VERSIONS[1].digest  # which has all of it
    assert combined([VERSIONS[0], VERSIONS[2]]).digest not in [version.digest for version in VERSIONS]
