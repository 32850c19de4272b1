"""What code versions promise: an edit of meaning is seen, all else is not, and it is told by name."""

from __future__ import annotations

import functools
import importlib
import itertools
import linecache
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from memento.keys.code_diff import Change, changes
from memento.keys.code_versions import CodeVersion, code_version
from memento.keys.find_source import find_function
from memento.keys.value_digest import digest

HELPERS = """
import json
LIMIT = 3
def clean(x):
    return x[:LIMIT]
def unused(x):
    return x
class Model:
    rate = 0.1
    def fit(self, x):
        return score(x) * self.rate
def score(x):
    return len(x)
"""
EXPERIMENT = '''
import json
import {helpers} as helpers
from {helpers} import Model
DEPTH = 2
STEPS = [helpers.score]
def train(context, config):
    """Train."""
    data = helpers.clean(json.loads("[1]"))
    return Model().fit(data) + inner(DEPTH)
def inner(n, again=True):
    return inner(n - 1) if n else 0
'''
numbers = itertools.count()


class Project:
    """Two modules of a user, written anew for each version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loaded: list[str] = []

    def load(self, experiment: str = EXPERIMENT, helpers: str = HELPERS) -> ModuleType:
        name = f"helpers_of_test_{next(numbers)}"
        # Each version lies in a folder of its own, under the same names.
        folder = self.folder / name
        folder.mkdir()
        (folder / "helpers_of_test.py").write_text(helpers)
        (folder / "exp_of_test.py").write_text(experiment.replace("{helpers}", "helpers_of_test"))
        sys.path.insert(0, str(folder))
        try:
            for module in ("helpers_of_test", "exp_of_test"):
                sys.modules.pop(module, None)
            importlib.invalidate_caches()
            return importlib.import_module("exp_of_test")
        finally:
            sys.path.remove(str(folder))

    def version(self, experiment: str = EXPERIMENT, helpers: str = HELPERS) -> CodeVersion:
        return code_version(self.load(experiment, helpers).train)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield Project(tmp_path)
    for name in ("helpers_of_test", "exp_of_test"):
        sys.modules.pop(name, None)


def changed(old: CodeVersion, new: CodeVersion) -> list[str]:
    found = changes(old.functions, new.functions)
    assert (old.digest != new.digest) == bool(found)
    return [told(change) for change in found]


def told(change: Change) -> str:
    """Name a change in a line: its place, and how many lines of its diff there are."""
    if change.kind != "changed":
        return change.lines()[0]
    if change.is_constant:
        return change.lines()[0].replace(":", " changed:", 1)
    diff = [line.strip() for line in change.lines()[1:]]
    lines = max(sum(line.startswith(sign) for line in diff) for sign in "+-")
    counted = f": {lines} line{'s' if lines != 1 else ''}" if lines else ""
    return f"{change.name} changed ({change.place}){counted}"


def test_it_names_what_the_experiment_reaches_and_nothing_else(project: Project) -> None:
    assert set(project.version().functions) == {
        "exp_of_test.py:train", "exp_of_test.py:inner", "exp_of_test.py:DEPTH",
        "helpers_of_test.py:clean", "helpers_of_test.py:LIMIT", "helpers_of_test.py:Model", "helpers_of_test.py:score",
        "exp_of_test.py:helpers", "exp_of_test.py:Model",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return len(x)", "    # how many\n\n    return   len( x )"),
        ("def score(x):", '\n\n\ndef score(x):\n    """Count."""\n'),
        ("    return x\nclass", "    return x + 1\nclass"),
        ("import json", "import json, math"),
        ("    rate = 0.1", '    """A model."""\n    rate = 0.1'),
    ],
)
def test_comments_docstrings_formatting_lines_and_unreached_code_do_not_count(
    project: Project, old: str, new: str
) -> None:
    assert old in HELPERS
    assert changed(project.version(), project.version(helpers=HELPERS.replace(old, new))) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("LIMIT = 3", "LIMIT = 4", "LIMIT changed: 3 -> 4"),
        ("    return len(x)", "    return len(x) + 1", "score changed (helpers_of_test.py:12): 1 line"),
        ("    rate = 0.1", "    rate = 0.2", "Model changed (helpers_of_test.py:8): 1 line"),
        (
            "    return x[:LIMIT]",
            "    y = x\n    return y[:LIMIT]",
            "clean changed (helpers_of_test.py:4): 2 lines",
        ),
    ],
)
def test_an_edit_is_named_with_its_place_and_size(project: Project, old: str, new: str, told: str) -> None:
    assert old in HELPERS
    assert changed(project.version(), project.version(helpers=HELPERS.replace(old, new))) == [told]


def test_functions_that_come_and_go_are_named(project: Project) -> None:
    new = EXPERIMENT.replace("inner(DEPTH)", "helpers.unused(1)")
    assert changed(project.version(), project.version(new)) == [
        "train changed (exp_of_test.py:7): 1 line",
        "new: unused (helpers_of_test.py:6)",
        "no longer used: DEPTH",
        "no longer used: inner",
    ]


REACHING = {
    "a default": "def train(context, config, f=helpers.unused): pass",
    "a container": "TOOLS = {'u': [helpers.unused]}\ndef train(context, config): return TOOLS",
    "a partial": "import functools\ntool = functools.partial(helpers.unused, 1)\ndef train(c, d): return tool()",
    "a closure": "def make(f):\n    def train(c, d): return f(1)\n    return train\ntrain = make(helpers.unused)",
    "a callable object": "class Train:\n    def __call__(self, c, d): return helpers.unused(1)\ntrain = Train()",
    "a bound method": "class Train:\n    def run(self, c, d): return helpers.unused(1)\ntrain = Train().run",
    "a base class": "class Base:\n    def go(self): return helpers.unused(1)\n"
    "class Some(Base): pass\ndef train(c, d): return Some().go()",
    "a decorator": "import functools\ndef deco(f):\n"
    "    @functools.wraps(f)\n    def w(*a): return f(*a)\n    return w\n"
    "@deco\ndef train(c, d): return helpers.unused(1)",
    "a nested function": "def train(c, d):\n    def go(): return helpers.unused(1)\n    return go()",
    "a lambda": "train = lambda c, d: helpers.unused(1)",
    "a cached function": "import functools\n@functools.lru_cache\n"
    "def step(): return helpers.unused(1)\ndef train(c, d): step()",
    "a property": "class M:\n    @property\n    def p(self): return helpers.unused(1)\ndef train(c, d): return M().p",
    "an instance": "class M:\n    def p(self): return helpers.unused(1)\nm = M()\ndef train(c, d): return m.p()",
    "a coroutine": "async def step(): return helpers.unused(1)\nasync def train(c, d): return await step()",
}


@pytest.mark.parametrize("way", REACHING)
def test_a_function_is_reached_through(project: Project, way: str) -> None:
    experiment = f"import {{helpers}} as helpers\n{REACHING[way]}\n"
    old = project.version(experiment)
    new = project.version(experiment, HELPERS.replace("    return x\n", "    return [x]\n"))
    assert changed(old, new) == ["unused changed (helpers_of_test.py:6): 1 line"]


@pytest.mark.parametrize("statement", ["import helpers_of_test as h", "from helpers_of_test import unused"])
@pytest.mark.parametrize("loaded", [True, False])
def test_a_module_that_a_function_imports_for_itself_counts_as_a_file(
    project: Project, statement: str, loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(helpers: str) -> CodeVersion:
        module = project.load(f"def train(c, d):\n    {statement}", helpers)
        with monkeypatch.context() as patch:
            assert module.__file__ is not None
            patch.syspath_prepend(str(Path(module.__file__).parent))
            if loaded:
                importlib.import_module("helpers_of_test")
            answer = code_version(module.train)
            assert loaded == ("helpers_of_test" in sys.modules)  # nothing was imported
        return answer

    old, new = version(HELPERS), version(HELPERS.replace("    return x\n", "    return [x]\n"))
    assert changed(old, new) == ["helpers_of_test changed (helpers_of_test.py:1): 1 line"]
    assert version(HELPERS + "# end\n").digest == old.digest


def test_data_counts_as_it_stands_whatever_its_name(project: Project) -> None:
    code = "seen = []\nTABLE = {'a': [1]}\ndef train(c, d): return seen, TABLE"
    module = project.load(code)
    before = code_version(module.train)
    assert changed(before, project.version(code.replace("[1]", "[2]"))) == [
        "TABLE changed: {'a': [1]} -> {'a': [2]}"
    ]
    module.seen.append(1)
    assert changed(before, code_version(module.train)) == ["seen changed: [] -> [1]"]


def test_code_that_runs_is_not_taken_for_what_its_file_says_by_now(project: Project) -> None:
    old = project.load("def train(c, d):\n    return 1\nquick = lambda: 1\n")
    file = Path(str(old.__file__))
    file.write_text("def train(c, d):\n    return 2\nquick = lambda: 2\n")
    linecache.checkcache()
    stale = digest(old.train), digest(old.quick), code_version(old.train).digest
    new = project.load(file.read_text())
    fresh = digest(new.train), digest(new.quick), code_version(new.train).digest
    assert set(stale).isdisjoint(fresh)


def test_what_an_experiment_was_made_with_counts() -> None:
    def make(rate: float, options: dict[str, int]) -> Any:
        def train() -> Any:
            return rate, options

        return train

    class Trainer:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def __call__(self) -> float:
            return self.rate

    def told(old: Any, new: Any) -> list[str]:
        assert changed(code_version(old), code_version(old)) == []
        return [line.rpartition(".")[2] for line in changed(code_version(old), code_version(new))]

    assert told(make(1, {}), make(2, {})) == ["train[rate] changed: 1 -> 2"]
    assert told(make(1, {}), make(1, {"a": 1})) == ["train[options] changed: {} -> {'a': 1}"]
    assert told(functools.partial(json_like, x=1), functools.partial(json_like, x=2)) == [
        "json_like(x) changed: 1 -> 2"
    ]
    assert told(Trainer(1), Trainer(2)) == ["rate changed: 1 -> 2"]
    assert told(Trainer(1).__call__, Trainer(2).__call__) == ["rate changed: 1 -> 2"]


def test_a_default_that_comes_from_elsewhere_counts(project: Project) -> None:
    code = "SIZE = 3\ndef train(c, d, size=SIZE, rest=0): return size\n"
    assert changed(project.version(code), project.version(code.replace("3", "4"))) == [
        "train(size=) changed: 3 -> 4"
    ]


def test_a_metaclass_counts(project: Project) -> None:
    code = (
        "class Meta(type):\n    def size(cls): return 3\n"
        "class Model(metaclass=Meta): pass\n"
        "def train(c, d): return Model.size()\n"
    )
    told = changed(project.version(code), project.version(code.replace("3", "4")))
    assert told == ["Meta changed (exp_of_test.py:1): 1 line"]


def test_an_empty_module_does_not_count(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(project.folder)
    (project.folder / "nothing_of_test.py").write_text("")
    code = "def train(c, d):\n    import nothing_of_test\n"
    assert set(project.version(code).functions) == {"exp_of_test.py:train"}


def test_installed_code_is_not_the_users() -> None:
    assert code_version(pytest.raises).functions == {}
    assert code_version(functools.partial(json_like, 1)).functions.keys() == {
        "tests/keys/test_code_versions.py:json_like", "tests/keys/test_code_versions.py:json_like(0)",
    }  # fmt: skip


def json_like(x: Any) -> Any:
    return importlib.import_module(str(x))


def test_code_without_source_still_counts() -> None:
    def version(body: str) -> CodeVersion:
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(f"def f(c, d):\n    return {body}", space)
        return code_version(space["f"])

    assert version("1 + c") == version("1 + c")
    assert version("1 + c").digest != version("2 + c").digest
    assert version("1 + c").digest != version("1 - c").digest


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")


def hostile_user() -> Any:
    return HIDDEN["thing"]


HIDDEN = {"thing": Hostile()}


@pytest.mark.parametrize("func", [hostile_user, None, 3, Hostile, functools.partial(hostile_user)])
def test_it_never_raises_and_runs_none_of_the_users_code(func: Any) -> None:
    assert len(code_version(func).digest) == 16


def test_a_notebook_cell_is_read_where_the_notebook_keeps_it() -> None:
    source = "def cell(c, d):\n    # a comment\n    return 41\n"
    file = "<ipython-input-1-test>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, file, "exec"), space)
    (entry,) = code_version(space["cell"]).functions.values()
    assert entry[1].endswith("def cell(c, d):\n    return 41")


def test_hundreds_of_functions_take_milliseconds_each_at_most(tmp_path: Path) -> None:
    lines = ["def f0(): return 0"]
    lines += [f"def f{i}():\n    '''Doc.'''\n    return f{i - 1}() + {i}" for i in range(1, 300)]
    project = Project(tmp_path)
    module = project.load("\n".join([*lines, "def train(c, d): return f299()"]))
    began = time.process_time()
    assert len(code_version(module.train).functions) == 301
    assert time.process_time() - began < 3


# -- lambdas and functions as values ---------------------------------------------------------------------

LAMBDAS: list[Any] = [
    lambda x: x + 1,
    lambda x: x - 1,
    lambda x: x + 2,
    (lambda x: lambda y: x + y),
    lambda x: x + 1,
]
CAPTURING: list[list[Any]] = [(lambda k: [lambda x: x + k, lambda x: x * k])(n) for n in (1, 2)]


def test_lambdas_on_one_line_are_told_apart() -> None:
    marks = [digest(f) for f in LAMBDAS]
    assert len(set(marks)) == 4
    assert marks[0] == marks[4]


def test_lambdas_are_told_apart_by_what_they_capture() -> None:
    assert len({digest(f) for pair in CAPTURING for f in pair}) == 4
    assert digest(LAMBDAS[3](1)) != digest(LAMBDAS[3](2))


def test_the_source_of_each_lambda_is_found() -> None:
    import ast

    found = [find_function(f) for f in (*LAMBDAS, *CAPTURING[0])]
    texts = [ast.unparse(f.tree) for f in found if f is not None]
    assert texts == [
        "lambda x: x + 1", "lambda x: x - 1", "lambda x: x + 2", "lambda x: lambda y: x + y", "lambda x: x + 1",
        "lambda x: x + k", "lambda x: x * k",
    ]  # fmt: skip


def test_a_script_functions_digest_follows_its_code_and_globals_not_its_comments(project: Project) -> None:
    def mark(experiment: str) -> bytes:
        return digest(project.load(experiment).train)

    code = "FACTOR = 2\ndef go(x): return x * FACTOR\ndef train(c, d): return go(1)\n"
    assert mark(code) == mark(code.replace("def train", "# why\ndef train"))
    assert mark(code) != mark(code.replace("FACTOR = 2", "FACTOR = 3"))
    assert mark(code) != mark(code.replace("x * FACTOR", "FACTOR * x"))
    assert mark(code) != mark(code.replace("go(1)", "go(2)"))
    assert mark(code) != mark(code.replace("(c, d)", "(c, d=1)"))


def test_a_global_that_only_shares_its_name_with_a_local_or_an_attribute_does_not_count(
    project: Project,
) -> None:
    code = (
        "class Model:\n    def fit(self, lr): self.lr = lr\n    def rates(self): return [m.lr for m in self.all]\n"
        "def train(c, d):\n    lr = d.lr\n    Model().fit(lr)\n    return [m.lr * lr for m in Model().all]\n"
    )
    plain = project.load(code)
    looped = project.load(code + "for lr in [0.1, 0.2]:\n    pass\n")
    assert digest(looped.train) == digest(plain.train)
    assert digest(looped.Model.fit) == digest(plain.Model.fit)
    assert code_version(looped.train).digest == code_version(plain.train).digest


@pytest.mark.parametrize("installed", [True, False])
def test_an_installed_packages_function_counts_by_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    package = tmp_path / ("site-packages" if installed else "lib") / f"package_of_test_{installed}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def load(): return 1\nquick = lambda: 1\n")
    monkeypatch.syspath_prepend(package.parent)
    module = importlib.import_module(package.name)
    before = digest(module.load), digest(module.quick)
    (package / "__init__.py").write_text("def load(): return 22\nquick = lambda: 22\n")
    linecache.checkcache()
    importlib.invalidate_caches()
    module = importlib.reload(module)
    assert (digest(module.load) == before[0]) == installed
    assert digest(module.quick) != before[1]


def test_a_local_class_counts_its_methods_and_what_they_capture() -> None:
    def make(k: int, other: bool = False) -> type:
        if other:

            class Local:
                def value(self) -> int:
                    return k - 1

            return Local

        class Local:  # type: ignore[no-redef]
            def value(self) -> int:
                return k

        return Local

    assert digest(make(1)) == digest(make(1))
    assert digest(make(1)()) == digest(make(1)())
    assert len({digest(make(1)), digest(make(2)), digest(make(1, other=True))}) == 3


def test_what_only_a_script_runs_is_no_part_of_a_module_that_is_imported(project: Project) -> None:
    main = 'if __name__ == "__main__":\n    import json\n    print(@@)\n'

    def version(number: int) -> CodeVersion:
        module = project.load(
            "def train(c, d):\n    import helpers_of_test", HELPERS + main.replace("@@", str(number))
        )
        assert module.__file__ is not None
        sys.path.insert(0, str(Path(module.__file__).parent))
        try:
            return code_version(module.train)
        finally:
            del sys.path[0]

    assert version(1).digest == version(2).digest
    assert "module:helpers_of_test" in version(1).names


@pytest.mark.parametrize(
    "put",
    [
        "M.g = lambda self: 2",
        "def g(self): return 2\nM.g = g",
        "def d(c):\n    c.g = lambda s: 2\n    return c\nM = d(M)",
    ],
)
def test_a_class_counts_by_its_source_whatever_was_put_into_it(project: Project, put: str) -> None:
    body = "class M:\n    def f(self):\n        return 1\n"
    module = project.load(f"{body}{put}\ndef train(c, d): return M().f() + M().g()", "")
    found = code_version(module.train).functions
    assert "def f(self):" in next(text for name, (_, text) in found.items() if name.endswith(":M"))


def test_what_lambdas_and_local_classes_read_is_told_once(project: Project) -> None:
    local = "C = 1\ndef make():\n    class K:\n        def h(self): return C\n    return K\nK = make()\n"
    experiment = (
        local
        + "f = lambda: K().h() + C\nT = [f, lambda: C]\ndef train(context, config): return f(), T[1]()\n"
    )
    assert changed(project.version(experiment), project.version(experiment.replace("C = 1", "C = 2"))) == [
        "C changed: 1 -> 2"
    ]
