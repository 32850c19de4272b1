"""What a version cannot see is told by name; nothing of the user's runs for it, and nothing raises."""

# ruff: noqa: E501 - tables of values, each kind on a line
from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento.keys import data_digest
from memento.keys.code_versions import CodeVersion, code_version, combined, value_code
from tests.keys.projects import Projects


@pytest.fixture
def projects(tmp_path: Path) -> Iterator[Projects]:
    found = Projects(tmp_path)
    yield found
    found.forget()


BY_TEXT = {
    "eval of a computed text": ("", "eval('f' + config)", "eval(...)"),
    "exec of a computed text": ("", "exec(config)", "exec(...)"),
    "a computed name among the globals": ("", "globals()[config]", "globals()"),
    "a computed module": ("import importlib", "importlib.import_module(config)", "import_module(...)"),
    "a computed import": ("", "__import__(config)", "import_module(...)"),
    "a file that it runs": ("import runpy", "runpy.run_path(config)", "run_path(...)"),
    "a file that it loads": (
        "import importlib.util",
        "importlib.util.spec_from_file_location('m', config)",
        "spec_from_file_location(...)",
    ),
    "a computed name among the modules": ("import sys", "sys.modules[config]", "sys.modules[...]"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", BY_TEXT)
@pytest.mark.parametrize("nested", [False, True])
def test_what_looks_names_up_as_text_is_told(projects: Projects, way: str, nested: bool) -> None:
    above, used, told = BY_TEXT[way]
    body = f"    def inner(): return {used}\n    return inner()" if nested else f"    return {used}"
    version = projects.version({"lab_exp.py": f"{above}\ndef train(context, config):\n{body}\n"})
    assert version.unfollowed == (("lab_exp.py:train", f"{told} looks names up as text"),)


@pytest.mark.parametrize(
    "used", ["model.eval()", "frame.eval(config)", "getattr(config, 'a')", "locals()['x']", "vars()"]
)
def test_what_only_sounds_so_is_not_told(projects: Projects, used: str) -> None:
    text = f"class M:\n    def eval(self): return 1\nmodel = frame = M()\ndef train(context, config): return {used}\n"
    assert projects.version({"lab_exp.py": text}).unfollowed == ()


UNKEYABLE = {
    "a stream": ("__import__('io').TextIOWrapper(__import__('io').BytesIO())", "TextIOWrapper"),
    "a mapping of memory": ("__import__('mmap').mmap(-1, 8)", "mmap"),
    "a generator": ("(i for i in [1])", "generator"),
    "a bare object": ("object()", "object"),
    "an iterator": ("iter([1, 2])", "list_iterator"),
    "a frame": ("__import__('sys')._getframe()", "frame"),
    "a generator in a table": ("{'a': [(i for i in [1])]}", "generator"),
}


@pytest.mark.parametrize("kind", UNKEYABLE)
def test_what_cannot_be_keyed_counts_by_its_type_and_is_told(projects: Projects, kind: str) -> None:
    value, name = UNKEYABLE[kind]
    text = f"held = {value}\nlimit = @@\ndef train(context, config): return held, limit\n"
    one, again, other = (projects.version({"lab_exp.py": text.replace("@@", limit)}) for limit in "112")
    assert one.digest == again.digest != other.digest
    ((where, reason),) = one.unfollowed
    assert where == "lab_exp.py:held"
    assert name in reason
    another = projects.version({"lab_exp.py": text.replace("@@", "1").replace(value, "[3]", 1)})
    assert another.digest != one.digest


DIFFERENT_EACH_TIME = {
    "a lock": "__import__('threading').Lock()", "an event": "__import__('threading').Event()",
    "a logger": "__import__('logging').getLogger('x')", "a weak table": "__import__('weakref').WeakKeyDictionary()",
    "an unseeded generator": "__import__('numpy').random.default_rng()", "a thread's own": "__import__('threading').local()",
    "an unseeded state": "__import__('numpy').random.RandomState()", "a pool": "__import__('queue').Queue()",
    "an instance with a lock": "type('A', (), {'__init__': lambda self: setattr(self, 'l', __import__('threading').Lock())})()",
}  # fmt: skip


@pytest.mark.parametrize("kind", DIFFERENT_EACH_TIME)
def test_what_differs_in_every_process_is_no_change(projects: Projects, kind: str) -> None:
    text = f"held = {DIFFERENT_EACH_TIME[kind]}\ndef train(context, config): return held\n"
    one, other = (projects.version({"lab_exp.py": text}) for _ in "12")
    assert one.digest == other.digest


def test_what_is_not_followed_is_united_and_does_not_count() -> None:
    def one() -> Any:
        return eval(str(1))

    def two() -> Any:
        return globals()

    versions = [code_version(one), code_version(two)]
    assert len(combined(versions).unfollowed) == 2
    assert CodeVersion({}, [("a", "b")]).digest == CodeVersion({}).digest


class Hostile:
    """Whoever asks it for anything is punished."""

    def __init__(self) -> None:
        object.__setattr__(self, "held", 1)

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")

    __repr__ = __str__ = __bool__ = __len__ = __iter__ = __call__ = __getattr__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    def __hash__(self) -> int:
        raise RuntimeError("hashed")

    @property
    def asked(self) -> int:
        raise RuntimeError("a property was read")


class HostileList(list[Any]):
    def __iter__(self) -> Any:
        raise RuntimeError("iterated")

    def __len__(self) -> int:
        raise RuntimeError("measured")


class HostileDict(dict[Any, Any]):
    def items(self) -> Any:
        raise RuntimeError("asked for items")

    keys = values = __iter__ = __getitem__ = items  # type: ignore[assignment]


HIDDEN = {"thing": Hostile(), "list": HostileList([1]), "dict": HostileDict(a=1)}
ALONE = Hostile()


def hostile_user() -> Any:
    return HIDDEN["thing"], ALONE


class Endless:
    """Holds itself, deeply."""

    def __init__(self) -> None:
        self.me: Any = [self]
        for _ in range(3_000):
            self.me = [self.me]


ENDLESS = Endless()


def endless_user() -> Any:
    return ENDLESS


@pytest.mark.parametrize(
    "func",
    [
        hostile_user, endless_user, None, 3, Hostile, Hostile(), functools.partial(hostile_user), functools.partial(Hostile()),
        Hostile().__getattr__, HostileList([1]), HostileDict(a=1), HIDDEN, type("Made", (Hostile,), {})(), len, print, type,
    ],
    ids=range(16),
)  # fmt: skip
def test_it_never_raises_and_runs_none_of_the_users_code(func: Any) -> None:
    version = code_version(func)
    assert len(version.digest) == 16
    assert isinstance(version.functions, dict)
    assert not any(name.startswith("unknown") for name in version.names)
    value_code(func)


def test_a_large_mapped_file_counts_by_its_size_and_time_and_is_told(
    projects: Projects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_digest, "_MOST_MAPPED", 100)
    text = (
        "import pathlib\nimport numpy\nfile = pathlib.Path(__file__).with_name('data.npy')\n"
        "numpy.save(file, numpy.zeros(@@))\nheld = numpy.load(file, mmap_mode='r')\ndef train(context, config): return held\n"
    )
    one, longer = (projects.version({"lab_exp.py": text.replace("@@", size)}) for size in ("50", "51"))
    assert one.digest != longer.digest
    assert one.unfollowed == (("lab_exp.py:held", "a mapped file of 0 GB counts by its type only"),)
