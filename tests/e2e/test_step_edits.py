"""A step of `context.cached` is computed again after any edit that the experiment itself would notice; only then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.workplace import Workplace

# What differs between two versions is N; what the task returns comes from the step alone.
KINDS = {
    "its own body": ("def f(): return N", "steps.f"),
    "a helper": ("def g(): return N\ndef f(): return g()", "steps.f"),
    "a helper imported inside": ("def f():\n    from pkg.below import value\n    return value()", "steps.f"),
    "a decorator": (
        (
            "import functools\ndef deco(h):\n    @functools.wraps(h)\n    def w(): return h() + N\n"
            "    return w\n@deco\ndef f(): return 0"
        ),
        "steps.f",
    ),
    "a default": ("def f(n=N): return n", "steps.f"),
    "a class that is passed": (
        "class M:\n    def fit(self): return N\ndef f(m): return m().fit()",
        "steps.f, steps.M",
    ),
    "an instance that is passed": (
        "class M:\n    def fit(self): return N\ndef f(m): return m.fit()",
        "steps.f, steps.M()",
    ),
    "the base of an instance that is passed": (
        ("class B:\n    def fit(self): return N\nclass M(B): pass\ndef f(m): return m.fit()"),
        "steps.f, steps.M()",
    ),
    "an instance passed by name": (
        "class M:\n    def fit(self): return N\ndef f(m): return m.fit()",
        "steps.f, m=steps.M()",
    ),
    "an instance in a container": (
        "class M:\n    def fit(self): return N\ndef f(m): return m[0]['m'].fit()",
        "steps.f, [{'m': steps.M()}]",
    ),
    "a function that is passed": ("def g(): return N\ndef f(g): return g()", "steps.f, steps.g"),
    "a function in a partial that is passed": (
        "import functools\ndef g(n): return N\ndef f(g): return g()",
        "steps.f, functools.partial(steps.g, 1)",
    ),
    "a dataclass that is passed": (
        (
            "import dataclasses\n@dataclasses.dataclass\nclass D:\n    n: int = 0\n"
            "    def fit(self): return N\ndef f(d): return d.fit()"
        ),
        "steps.f, steps.D()",
    ),
    "a list in lower case": ("columns = [N]\ndef f(): return columns[0]", "steps.f"),
    "a dict in lower case": ("options = {'n': N}\ndef f(): return options['n']", "steps.f"),
    "an array": ("import numpy\nweights = numpy.full(3, N)\ndef f(): return int(weights[0])", "steps.f"),
    "a path": ("from pathlib import Path\nDATA = Path('vN.csv')\ndef f(): return str(DATA)", "steps.f"),
    "a compiled regular expression": ("import re\nP = re.compile('N')\ndef f(): return P.pattern", "steps.f"),
    "an alias of a library's function": (
        "from math import floor, ceil\nrnd = [floor, ceil][N - 1]\ndef f(): return rnd(1.5)",
        "steps.f",
    ),
    "a constant of another module": ("from pkg import below\ndef f(): return below.VALUE", "steps.f"),
    "a class attribute": ("class M:\n    k = N\ndef f(): return M.k", "steps.f"),
    "a named tuple's default": (
        "import typing\nclass T(typing.NamedTuple):\n    n: int = N\ndef f(): return T().n",
        "steps.f",
    ),
    "the function of a partial": (
        "import functools\ndef g(n): return N\nf = functools.partial(g, 1)",
        "steps.f",
    ),
    "a method": ("class M:\n    def fit(self): return N", "steps.M().fit"),
    "a method of a base": (
        "class B:\n    def h(self): return N\nclass M(B):\n    def fit(self): return self.h()",
        "steps.M().fit",
    ),
    "a function that a method's object holds": (
        (
            "def g(): return N\nclass M:\n    def __init__(self): self.g = g\n"
            "    def fit(self): return self.g()"
        ),
        "steps.M().fit",
    ),
    "a class method": (
        "class M:\n    k = N\n    @classmethod\n    def fit(cls): return cls.k",
        "steps.M.fit",
    ),
    "a callable object": ("class M:\n    def __call__(self): return N\nm = M()", "steps.m"),
    "a class as the step": ("class M(dict):\n    def __init__(self): self['n'] = N", "steps.M"),
}
BELOW = "VALUE = N\ndef value(): return N\n"
SCRIPT = """
import functools, json
from pathlib import Path
from memento import Memento
{imports}
{experiment}
if __name__ == "__main__":
    results = Memento(experiment, store="store", progress=False, num_workers=2, on_code_change="ignore").run(
        {{"parameters": {{"i": list(range({count})), "again": [0, 1]}}}}, force_run=True)
    print(json.dumps([str(r.inner) for r in results]))
"""


def numbered(code: str, number: int) -> str:
    return re.sub(r"\bN\b|(?<=v)N", str(number), code)


def written(place: Workplace, number: int) -> list[str]:
    place.write("pkg/__init__.py", "")
    place.write("pkg/below.py", numbered(BELOW, number))
    lines = ["def experiment(context, config):"]
    for i, (name, (code, call)) in enumerate(KINDS.items()):
        place.write(f"pkg/steps{i}.py", numbered(code, number))
        lines += [
            f"    if config.i == {i}: return context.cached({call.replace('steps.', f'steps{i}.')})  # {name}"
        ]
    imports = "\n".join(f"from pkg import steps{i}" for i in range(len(KINDS)))
    place.write("exp.py", SCRIPT.format(imports=imports, experiment="\n".join(lines), count=len(KINDS)))
    values: list[str] = json.loads(place.run("exp.py").out)
    return values


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[list[str]]]:
    place = Workplace(tmp_path_factory.mktemp("steps"))
    try:
        yield [written(place, number) for number in (1, 2, 2)]
    finally:
        place.clean()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_is_noticed_to(kind: str, values: list[list[str]]) -> None:
    at = 2 * list(KINDS).index(kind)
    first, second, third = (run[at] for run in values)
    assert first != second
    assert second == third
    assert all(run[at] == run[at + 1] for run in values)


DRAWS = """
import random
from random import choice
import numpy
from numpy.random import rand
from memento import Memento

def load(kind):
    with open(f"calls-{kind}", "a") as file: file.write("x")
    return float({"module": random.random, "name": lambda: choice([1.0]), "numpy": rand}[kind]())

def experiment(context, config):
    random.random(), numpy.random.rand()
    return context.cached(load, config.kind)

if __name__ == "__main__":
    matrix = {"parameters": {"kind": ["module", "name", "numpy"], "x": [1, 2, 3]}}
    Memento(experiment, store="store", progress=False, num_workers=2).run(matrix)
    Memento(experiment, store="store", progress=False, num_workers=2).run(matrix, force_run=True)
"""


@pytest.mark.slow
def test_a_step_that_draws_random_numbers_is_computed_once(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    try:
        place.write("exp.py", DRAWS)
        place.run("exp.py")
        called = {path.name: path.read_text() for path in tmp_path.glob("calls-*")}
        assert called == {"calls-module": "x", "calls-name": "x", "calls-numpy": "x"}
    finally:
        place.clean()
