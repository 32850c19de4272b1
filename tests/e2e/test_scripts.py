"""However a script is started, whatever its experiment is, worker processes run it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.e2e.workplace import PATIENCE, Workplace

PLAIN = """
from memento import Memento

OFFSET = 5
print("script begins")

def helper(x):
    return x + OFFSET

def experiment(context, config):
    return helper(config.x) * config.settings["k"]

results = Memento(experiment, num_workers=2).run({"parameters": {"x": [1, 2, 3]}, "settings": {"k": 10}})
print("values", [r.inner for r in results], [r.was_cached for r in results])
"""
FRESH = "values [60, 70, 80] [False, False, False]"
CACHED = "values [60, 70, 80] [True, True, True]"


@pytest.mark.slow
def test_a_script_needs_no_guard_and_its_top_level_runs_once(place: Workplace) -> None:
    place.write("exp.py", PLAIN)
    out = place.run("exp.py").out
    assert FRESH in out
    assert out.count("script begins") == 1
    assert CACHED in place.run("exp.py").out


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stdin", "-c"])
def test_a_program_without_a_file_runs_and_finds_its_results_again(how: str, place: Workplace) -> None:
    def run() -> str:
        done = place.run("-", stdin=PLAIN) if how == "stdin" else place.run("-c", PLAIN)
        return done.out

    assert FRESH in run()
    assert CACHED in run()


def test_lines_typed_at_a_prompt_run(place: Workplace) -> None:
    lines = PLAIN.replace("\n    return", "\n    return").replace("\n\n", "\n\n\n")
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-i", "-q"],
        cwd=place.folder,
        env={**place.environment, "TERM": "dumb", "PYTHON_BASIC_REPL": "1"},
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    os.close(other)
    read = bytearray()
    with open(main, "r+b", buffering=0) as screen:
        screen.writelines(line.encode() + b"\n" for line in [*lines.splitlines(), "exit()"])
        while True:
            try:
                piece = screen.read(4096)
            except OSError:  # how Linux says that nobody has the other end any more
                break
            if not piece:
                break
            read += piece
    assert process.wait(PATIENCE) == 0
    assert FRESH in read.decode(errors="replace")


@pytest.mark.slow
def test_a_module_of_a_package_runs_with_relative_imports(place: Workplace) -> None:
    place.write("pkg/__init__.py", "")
    place.write("pkg/tools.py", "class Box:\n    def __init__(self, x):\n        self.x = x\n")
    place.write(
        "pkg/exp.py",
        """
        from memento import Memento
        from .tools import Box

        class Mine(Box):
            pass

        def experiment(context, config):
            from .tools import Box as again
            assert isinstance(config.box, Mine) and again is Box
            return Mine(config.box.x + 1)

        results = Memento(experiment, num_workers=2).run({"parameters": {"box": [Mine(1), Mine(2)]}})
        print([(type(r.inner) is Mine, r.inner.x, r.was_cached) for r in results])
        """,
    )
    assert "[(True, 2, False), (True, 3, False)]" in place.run("-m", "pkg.exp").out
    assert "[(True, 2, True), (True, 3, True)]" in place.run("-m", "pkg.exp").out


@pytest.mark.slow
def test_modules_beside_the_script_are_found_wherever_the_run_is_started(place: Workplace) -> None:
    place.write("code/tools.py", "def double(x):\n    return 2 * x\n")
    place.write("code/exp.py", SIBLING)
    assert "[2, 4]" in place.run("code/exp.py").out
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    assert "[2, 4]" in place.run(str(place.folder / "code" / "exp.py"), cwd=elsewhere).out


SIBLING = """
from memento import Memento
import tools

def experiment(context, config):
    return config.how(config.x)

results = Memento(experiment, num_workers=1).run({"parameters": {"x": [1, 2], "how": [tools.double]}})
print([r.inner for r in results])
"""


def test_relative_entries_of_sys_path_and_the_folder_hold_for_tasks(place: Workplace) -> None:
    place.write("code/lib/tools.py", "def double(x):\n    return 2 * x\n")
    place.write(
        "code/exp.py",
        """
        import os, sys
        from memento import Memento
        os.chdir("code")
        sys.path.insert(0, "lib")

        def experiment(context, config):
            import tools
            return tools.double(config.x), os.path.basename(os.getcwd())

        results = Memento(experiment, num_workers=1).run({"parameters": {"x": [1]}})
        print([r.inner for r in results])
        """,
    )
    assert "[(2, 'code')]" in place.run("code/exp.py").out


@pytest.mark.slow
def test_a_run_may_be_started_by_another_thread(place: Workplace) -> None:
    text = PLAIN.replace("results = ", "def go():\n  results = ").replace(
        '\nprint("values', '\n  print("values'
    )
    place.write("exp.py", text + "\nimport threading\nt = threading.Thread(target=go)\nt.start()\nt.join()\n")
    assert FRESH in place.run("exp.py").out


KINDS = """
import functools
from memento import Memento

class Scaled:
    def __init__(self, k):
        self.k = k
    def method(self, context, config):
        return self.k * config.x
    __call__ = method
    @classmethod
    def of_class(cls, context, config):
        return cls(7).method(context, config)
    @staticmethod
    def static(context, config):
        return 8 * config.x

def three(k, context, config):
    return k * config.x

async def coroutine(context, config):
    import asyncio
    await asyncio.sleep(0)
    return 6 * config.x

class Task:  # a class as an experiment: its instances are the results
    def __init__(self, context, config):
        self.value = 9 * config.x
    def __eq__(self, other):
        return 9 * self.value == other
    def __repr__(self):
        return str(self.value)

def closure(k):
    def inner(context, config):
        return k * config.x
    return inner

kinds = {
    "lambda": lambda context, config: 2 * config.x,
    "partial": functools.partial(three, 3),
    "method": Scaled(4).method,
    "object": Scaled(5),
    "coroutine": coroutine,
    "classmethod": Scaled.of_class,
    "static": Scaled.static,
    "class": Task,
    "closure": closure(10),
}
for kind, func in kinds.items():
    runs = Memento(func, num_workers=1, name=kind)
    print(kind, [r.inner for r in runs.run({"parameters": {"x": [1, 2]}})])
for kind, func in kinds.items():
    print(kind, "is called", Memento(func).name)
"""


@pytest.mark.slow
def test_an_experiment_is_anything_that_can_be_called(place: Workplace) -> None:
    place.write("exp.py", KINDS)
    out = place.run("exp.py").out
    kinds = "lambda partial method object coroutine classmethod static class closure".split()
    for k, kind in enumerate(kinds, 2):
        assert f"{kind} [{k}, {2 * k}]" in out
        assert f"{kind} is called " in out


SHARED = """
from dataclasses import dataclass
from enum import Enum
from memento import Memento

class Color(Enum):
    RED = 1

@dataclass(frozen=True)
class Point:
    x: int

def load():
    return 3

def experiment(context, config):
    return Point(config.p.x + config.load()), config.c

MATRIX = {"parameters": {"p": [Point(1)], "c": [Color.RED], "load": [load]}}

def main():
    (result,) = Memento(experiment, num_workers=1, store=STORE).run(MATRIX)
    point, color = result.inner
    print("shared", result.was_cached, type(point) is Point, color is Color.RED, point)

STORE = "memento-store"
if __name__ == "__main__":
    main()
"""
WAYS: dict[str, Callable[[Workplace], str]] = {
    "python exp.py": lambda place: place.run("exp.py").out,
    "python -m exp": lambda place: place.run("-m", "exp").out,
    "import exp": lambda place: place.run("-c", "import exp; exp.main()").out,
    "memento run": lambda place: place.run("-m", "memento", "run", "exp.py:experiment", "m.yaml").out,
}


@pytest.mark.slow
def test_a_script_run_imported_and_named_on_the_command_line_shares_its_results(place: Workplace) -> None:
    place.write("exp.py", SHARED)
    place.write(
        "m.yaml",
        "parameters:\n  p: [!py exp:P1]\n  c: [!py exp:Color.RED]\n  load: [!py exp:load]\n",
    )
    place.write("exp.py", SHARED.replace("def load", "P1 = Point(1)\n\ndef load"))
    assert "shared False True True Point(x=4)" in place.run("exp.py").out
    for way in ("python exp.py", "python -m exp", "import exp"):
        assert "shared True True True Point(x=4)" in WAYS[way](place), way
    told = place.run("-m", "memento", "run", "exp.py:experiment", "m.yaml")
    assert "1 cached" in told.out + told.err


@pytest.mark.slow
def test_the_store_is_the_scripts_wherever_it_is_started_from(place: Workplace) -> None:
    place.write("deep/exp.py", PLAIN)
    place.write("elsewhere/notes.txt", "")
    assert FRESH in place.run("deep/exp.py").out
    assert CACHED in place.run("exp.py", cwd=place.folder / "deep").out
    assert CACHED in place.run("../deep/exp.py", cwd=place.folder / "elsewhere").out
    assert [path.parent.name for path in place.folder.rglob("index.sqlite")] == ["memento-store"]
    assert (place.folder / "deep" / "memento-store").is_dir()


@pytest.mark.slow
def test_a_store_that_is_named_relatively_stays_where_it_was_meant(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import os
        from memento import Memento
        def experiment(context, config):
            return [config.x] * 10_000
        runs = Memento(experiment, num_workers=1, store="here")
        first = runs.run({"parameters": {"x": [1, 2]}})
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        again = runs.run({"parameters": {"x": [1, 2, 3]}})
        print(first[1].inner[0], [r.was_cached for r in again], os.listdir())
        """,
    )
    assert "2 [True, True, False] []" in place.run("exp.py").out
    assert (place.folder / "here" / "index.sqlite").is_file()


@pytest.mark.slow
def test_a_grid_runs_in_a_spawned_child_as_in_its_parent(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import dataclasses, multiprocessing
        from memento import Memento
        @dataclasses.dataclass
        class Result:
            x: int
        def experiment(context, config):
            return Result(config.model.x)
        def go(executor):
            matrix = {"parameters": {"model": [Result(1), Result(2)]}}
            runs = Memento(experiment, num_workers=1, executor=executor)
            results = runs.run(matrix, force_run=executor == "processes")
            return [(type(r.inner) is Result, r.inner.x, r.was_cached) for r in results]
        if __name__ == "__main__":
            print("here", go("processes"))
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                for executor in ("serial", "processes"):
                    print(executor, pool.apply(go, (executor,)))
        """,
    )
    out = place.run("exp.py").out
    assert "here [(True, 1, False), (True, 2, False)]" in out
    assert "serial [(True, 1, True), (True, 2, True)]" in out
    assert "processes [(True, 1, False), (True, 2, False)]" in out
