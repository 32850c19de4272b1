# ruff: noqa: E501 - a table of programs, each on a line of its own
"""Data that code reads is told when its content changes, wherever it lies and whatever holds it; else nothing is told."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.keys.code_versions import code_version
from memento.keys.data_digest import DataEncoder
from tests.keys.corpus import own
from tests.keys.corpus.leaves import variants
from tests.keys.projects import Projects

# How a task reaches data: what stands above it, what it reads, and what is written to in place.
READ = {
    "a global": ("D = make()", "D[0]", "D"),
    "another name": ("D = make()\nE = D", "E[0]", "D"),
    "an import": ("from lab_data import D", "D[0]", "D"),
    "a module's attribute": ("import lab_data", "lab_data.D[0]", "lab_data.D"),
    "a module's attribute by name": ("import lab_data", "getattr(lab_data, 'D')[0]", "lab_data.D"),
    "a global by name": ("D = make()", "globals()['D'][0]", "D"),
    "two calls down": ("D = make()\ndef a(): return b()\ndef b(): return D[0]", "a()", "D"),
    "a module between": ("import lab_between\nfrom lab_data import D", "lab_between.f()", "D"),
    "a branch": ("D = make()\ndef a(c):\n    if c.flag:\n        return D[0]", "a(config)", "D"),
    "a comprehension": ("D = make()", "[D[i] for i in range(2)]", "D"),
    "a function that also writes it": ("D = make()\ndef f():\n    global D\n    D = D[:]\n    return D[0]", "f()", "D"),
    "a class": ("class C:\n    D = make()", "C.D[0]", "C.D"),
    "a base class": ("class B:\n    D = make()\nclass C(B): pass", "C().D[0]", "B.D"),
    "a metaclass": ("class T(type):\n    D = make()\nclass C(metaclass=T): pass", "C.D[0]", "T.D"),
    "what was put into a class": ("class C: pass\nC.D = make()", "C.D[0]", "C.D"),
    "a closure": ("def outer(d):\n    def f(): return d[0]\n    return f\nD = make()\nf = outer(D)", "f()", "D"),
    "a decorator": ("D = make()\ndef deco(f):\n    def w(): return f() + D[0]\n    return w\n@deco\ndef g(): return 1", "g()", "D"),
    "a default": ("D = make()\ndef f(d=D): return d[0]", "f()", "D"),
    "a keyword's default": ("D = make()\ndef f(*, d=D): return d[0]", "f()", "D"),
    "a method's default": ("D = make()\nclass C:\n    @staticmethod\n    def f(d=D): return d[0]", "C.f()", "D"),
    "a field's factory": ("import dataclasses\nD = make()\n@dataclasses.dataclass\nclass C:\n    d: list = dataclasses.field(default_factory=lambda: D)", "C().d[0]", "D"),
    "a function's attribute": ("D = make()\ndef f(): return f.d[0]\nf.d = D", "f()", "D"),
    "a partial": ("import functools\nD = make()\ndef g(d): return d[0]\nf = functools.partial(g, D)", "f()", "D"),
    "a bound method": ("class C:\n    def __init__(s): s.d = make()\n    def f(s): return s.d[0]\nc = C()\nf = c.f", "f()", "c.d"),
    "a list": ("D = make()\nL = [1, [D]]", "L[1][0][0]", "D"),
    "a dict": ("D = make()\nL = {'a': (D,)}", "L['a'][0][0]", "D"),
    "a dict of its own class": ("class C(dict): pass\nD = make()\nc = C(a=D)", "c['a'][0]", "D"),
    "a set": ("class C:\n    def __init__(s): s.d = make()\nc = C()\nL = {c}", "[*L][0].d[0]", "c.d"),
    "a dataclass": ("import dataclasses\n@dataclasses.dataclass\nclass C:\n    d: list\nD = make()\nc = C(D)", "c.d[0]", "D"),
    "slots": ("class C:\n    __slots__ = ('d',)\nD = make()\nc = C()\nc.d = D", "c.d[0]", "D"),
    "an enum": ("import enum\nD = make()\nclass E(enum.Enum):\n    A = (1, D)", "E.A.value[1][0]", "D"),
    "a lock beside it": ("import threading\nclass C:\n    def __init__(s): s.d = make(); s.l = threading.Lock()\nc = C()", "c.d[0]", "c.d"),
    "an open file beside it": ("class C:\n    def __init__(s): s.d = make(); s.f = open(__file__)\nc = C()\nimport weakref\nweakref.finalize(c, c.f.close)", "c.d[0]", "c.d"),
    "an object that cannot be pickled": ("class C:\n    def __init__(s): s.d = make()\n    def __getstate__(s): raise TypeError\nc = C()", "c.d[0]", "c.d"),
    "an object that knows its address": ("class C:\n    def __init__(s): s.d = make(); s.a = id(s)\nc = C()", "c.d[0]", "c.d"),
    "an object that holds itself": ("class C:\n    def __init__(s): s.d = make(); s.me = s\nc = C()", "c.d[0]", "c.d"),
}  # fmt: skip
KINDS = {
    "array": "import numpy as np\ndef make(): return np.zeros(8)",
    "large array": "import numpy as np\ndef make(): return np.zeros(200_000)",
    "large array with gaps": "import numpy as np\ndef make(): return np.zeros(400_000)[::2]",
    "mapped file": "import numpy as np\ndef make(): return np.memmap(__file__ + '.data', mode='w+', shape=(2_000_000,))",
    "list": "def make(): return [0.0, 1.0]",
    "dict": "def make(): return {0: [0.0], 1: 5}",
    "frame": "import pandas as pd\ndef make(): return pd.DataFrame({0: [1.0, 2.0]})",
    "tensor": "import torch\ndef make(): return torch.zeros(8)",
    "large tensor": "import torch\ndef make(): return torch.zeros(400_000)",
}  # fmt: skip


def unnoticed(projects: Projects, make: str, above: str, result: str, place: str) -> list[str]:
    """Say what went wrong when data was changed in place between two looks at one process's code."""
    files = {
        "lab_exp.py": f"{make}\n{above}\ndef train(context, config):\n    return {result}\n",
        "lab_data.py": f"{make}\nD = make()\n",
        "lab_between.py": "import lab_data\ndef f(): return lab_data.D[0]\n",
    }
    with projects.loaded(projects.write(files)) as module:
        before, again = code_version(module.train), code_version(module.train)
        eval(place, vars(module))[0] = 7
        after = code_version(module.train)
    told = [name for name, mark in after.marks.items() if before.marks.get(name) != mark]
    return ["a change without one"] * (before != again) + ["a change in silence"] * (not told)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_data_that_is_changed_in_place_is_told_however_it_is_read(kind: str, tmp_path: Path) -> None:
    if "tensor" in kind:
        pytest.importorskip("torch")
    projects = Projects(tmp_path)
    wrong = {name: unnoticed(projects, KINDS[kind], *way) for name, way in READ.items()}
    assert {name: found for name, found in wrong.items() if found} == {}


# -- values of every shape -----------------------------------------------------------------------------------

LEAVES = (
    st.integers(-3, 300) | st.floats(-2, 2) | st.text("ab/", max_size=3) | st.booleans() | st.none()
    | st.binary(max_size=2)
    | st.builds(np.array, st.lists(st.integers(0, 3), min_size=1, max_size=3))
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=3)
        | st.sets(st.integers(0, 9), max_size=3)
        | st.builds(own.Plain, a=inner, b=inner)
        | st.builds(own.SlotsAndDict, inner, inner, more=inner)
    ),
    max_leaves=6,
)


def told(value: Any) -> str:
    return DataEncoder("tests.keys.corpus.own").digest(value)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(VALUES, st.data())
def test_a_change_of_one_leaf_is_told_and_a_copy_is_none(value: Any, data: st.DataObject) -> None:
    assert told(copy.deepcopy(value)) == told(value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        others = [other for _, other in zip(range(40), variants(value), strict=False)]
    if others:
        path, other = data.draw(st.sampled_from(others))
        assert told(other) != told(value), path
