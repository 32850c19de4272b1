"""A version is the same however the project is run, wherever it lies, and on every Python."""

from __future__ import annotations

import json
import linecache
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memento.keys.ast_normal_form import normal_form
from memento.keys.code_versions import code_version
from tests.keys.projects import Projects

# One of everything that Python's versions write, keep or compile in ways of their own.
KIT = '''
import abc, collections, contextlib, dataclasses, enum, functools, logging, os, re, threading, types, typing
from pathlib import Path
log = logging.getLogger(__name__)
HERE = Path(__file__).parent
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
NAME = __name__
LOCK = threading.Lock()
MISSING = object()
T = typing.TypeVar("T")
class Color(enum.Enum):
    RED = 1
    BLUE = "\U0001fae8"
    def paint(self): return self.value
class Flag(enum.Flag):
    A = 1
    B = 2
class Level(enum.IntEnum):
    A = enum.auto()
@dataclasses.dataclass
class Params:
    lr: float = 0.1
    root: Path = HERE / "x"
    xs: list = dataclasses.field(default_factory=list)
    def go(self): return self.lr
@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Frozen:
    a: int = 1
    b: str = DATA
class Point(typing.NamedTuple):
    x: int = 1
Pt = collections.namedtuple("Pt", "x y", defaults=[1])
class Base(abc.ABC, typing.Generic[T]):
    registry = {}
    def __init_subclass__(cls, tag=None, **kw): Base.registry[cls.__name__] = cls
    @abc.abstractmethod
    def run(self) -> T: ...
    @property
    def p(self): return 1
    @functools.cached_property
    def cp(self): return 2
    @staticmethod
    def s(x=MISSING): return x
    def __secret(self, __x=1): return [(lambda q: q + __x)(i) for i in range(3)]
class Impl(Base[int], tag="t"):
    def run(self): return super().run()
class Proto(typing.Protocol):
    def run(self) -> int: ...
class Typed(typing.TypedDict):
    a: int
@functools.singledispatch
def show(x): return "x"
@show.register
def _(x: int): return "int"
@show.register(str)
def _(x): return f"str{x!r:>{10}} {x=}"
@contextlib.contextmanager
def ctx(a, /, b, *, c=3, **kw):
    with LOCK: yield a
def deco(n):
    def outer(f):
        @functools.wraps(f)
        def inner(*a, **k): return f(*a, **k) * n
        return inner
    return outer
@deco(3)
def decorated(x): return x
@functools.lru_cache(maxsize=None)
def cached(x): return x
class Dispatching:
    @functools.singledispatchmethod
    def m(self, x): return x
    @m.register
    def _(self, x: int): return x + 1
    part = functools.partialmethod(m, 1)
def syntax(x):
    match x:
        case {"a": [1, *rest], **kw}: return rest
        case Point(x=0) | None: return 1
    try: pass
    except (ValueError, OSError) as e: raise KeyError from e
    global DATA
    return {**{}, "a": 1}, {1, 2}, x[1:2, ...], not x, (yy := 3), b"\\xff"
def constants(x):
    return 1e400, -0.0, 2j, "\\udc80", f"{x!s}{'a' 'b'}{{}}", 0xffff_ffff_ffff_ffff_ffff
async def co():
    async with x as y: return [z async for z in y]
def only():
    """Documented."""
TABLE = {"a": [Params(), Frozen()], Color.RED: functools.partial(cached, 1), "f": lambda x: x ** 2}
RE = re.compile("a+", re.I)
NS = types.SimpleNamespace(a=1, p=HERE / "y")
'''
SCRIPT = """
import lab_kit as lk
from lab_kit import *
from math import sqrt
def train(context, config):
    lk.log.info("x"); __name__; __file__; __doc__; __spec__
    from lab_late import late
    return (lk.HERE, lk.DATA, lk.NAME, lk.LOCK, lk.MISSING, Color, Flag, Level, Params, Frozen, Point, Pt, Base, Impl,
        Proto, Typed, show, ctx, decorated, cached, Dispatching, syntax, constants, co, only, TABLE, RE, NS, late,
        sqrt, lk)
def main():
    import json
    from memento.keys.code_versions import code_version
    version = code_version(train)
    print(json.dumps([version.digest.hex(), {name: mark for name, (mark, _) in version.functions.items()}]))
if __name__ == "__main__": main()
"""
FILES = {
    "lab_kit.py": KIT,
    "lab_exp.py": SCRIPT,
    "lab_late.py": "def late(): return 1\n",
    "pkg/__init__.py": "",
}
RUNS = {
    "python exp.py": ["lab_exp.py"],
    "import": ["-c", "import lab_exp; lab_exp.main()"],
    "python -m": ["-m", "lab_exp"],
    "runpy": ["-c", "import runpy; runpy.run_path('lab_exp.py', run_name='__main__')"],
    "another hash seed": ["-R", "lab_exp.py"],
    "without asserts": ["-O", "lab_exp.py"],
    "without docstrings": ["-OO", "lab_exp.py"],
    "without bytecode": ["-B", "lab_exp.py"],
}


def told(folder: Path, arguments: list[str]) -> Any:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Projects(tmp_path_factory.mktemp("places")).write(FILES)


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    return told(folder, RUNS["python exp.py"])


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(way, marks=() if way == "another hash seed" else pytest.mark.slow)
        for way in sorted({*RUNS} - {"python exp.py"})
    ],
)
def test_a_version_is_the_same_run_as(folder: Path, reference: Any, way: str) -> None:
    assert told(folder, RUNS[way]) == reference


def test_a_moved_checkout_has_the_same_version(folder: Path, reference: Any) -> None:
    there = folder.parent / "elsewhere" / "deep"
    shutil.copytree(folder, there)
    assert told(there, ["lab_exp.py"]) == reference


def test_a_version_is_the_same_from_another_working_folder(folder: Path, reference: Any) -> None:
    assert told(folder.parent, [os.path.join(folder.name, "lab_exp.py")]) == reference


# Of `KIT`, so that all Pythons that run this test agree. A change of the normal form changes it, and every version.
FORM = "ea924f56b2a793e8"


def test_the_normal_form_is_the_same_on_every_python() -> None:
    import ast
    from hashlib import blake2b

    form = normal_form(ast.parse(KIT))
    assert form.isascii()
    assert blake2b(form.encode(), digest_size=8).hexdigest() == FORM


# -- notebooks -------------------------------------------------------------------------------------------


class Notebook:
    """Cells as IPython runs them: in one `__main__`, their lines kept in `linecache`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.space: dict[str, Any] = {"__name__": "__main__"}
        self._patch = monkeypatch
        self._count = 0

    def run(self, source: str) -> None:
        self._count += 1
        file = f"/nowhere/ipykernel_1/{id(self)}_{self._count}.py"
        entry = (len(source), None, source.splitlines(keepends=True), file)
        self._patch.setitem(linecache.cache, file, entry)
        exec(compile(source, file, "exec"), self.space)

    def version(self) -> bytes:
        return code_version(self.space["train"]).digest


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    return Notebook(monkeypatch)


CELLS = {
    "a class of constants": "class Cfg:\n    depth = @@\n",
    "an enum": "import enum\nclass Cfg(enum.Enum):\n    depth = @@\n",
    "a record": "import dataclasses\n@dataclasses.dataclass\nclass Cfg:\n    depth: int = @@\n",
    "a class with a method": "class Cfg:\n    def depth(self): return @@\n",
    "a nested class": "class Cfg:\n    class Inner:\n        depth = @@\n",
    "an annotated class": "class Cfg:\n    depth: int = @@\n",
}


@pytest.mark.parametrize("kind", CELLS)
def test_a_class_of_a_cell_counts_by_the_cell_that_made_it(notebook: Notebook, kind: str) -> None:
    cell = CELLS[kind]
    notebook.run(cell.replace("@@", "1"))
    notebook.run("def train(context, config): return Cfg")
    one = notebook.version()
    notebook.run(cell.replace("@@", "2"))
    other = notebook.version()
    notebook.run(f"# a comment\n{cell.replace('@@', '1')}")
    assert notebook.version() == one != other


def test_a_function_of_a_cell_that_is_run_again_is_the_same(notebook: Notebook) -> None:
    cell = "def helper(x):\n    return x + 1\ndef train(context, config):\n    return helper(1)\n"
    notebook.run(cell)
    one = notebook.version()
    notebook.run(f"\n\n{cell}")
    assert notebook.version() == one
    notebook.run(cell.replace("+ 1", "+ 2"))
    assert notebook.version() != one
