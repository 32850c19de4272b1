"""Tracebacks that workers make show the lines of code that stands in no file."""

from __future__ import annotations

import gc
import linecache
import subprocess
import sys
import types
from pathlib import Path

import pytest

from memento.worker.source_texts import install, loaded, place_text, sources

SCRIPT = """
from memento import Memento
from memento.executors import Processes

def experiment(context, config):
    shares = {"a": 1}
    return shares["of nobody"]  # the guilty line

results = Memento(experiment, executor=Processes(copy=False), on_error="return", progress=False, store="store").run(
    {"parameters": {"x": [1]}}
)
print(results[0].failure.traceback)
"""

CELL = """
import linecache
code = {code!r}
linecache.cache["<cell 7>"] = (len(code), None, code.splitlines(True), "<cell 7>")
exec(compile(code, "<cell 7>", "exec"))
"""


@pytest.mark.slow
def test_a_script_from_a_file_as_standard_input_shows_its_lines(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(SCRIPT)
    with open(tmp_path / "script", "rb") as script:
        done = subprocess.run(
            [sys.executable, "-"],
            stdin=script,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert 'return shares["of nobody"]  # the guilty line' in done.stdout


@pytest.mark.slow
def test_a_cell_shows_its_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CELL.format(code=SCRIPT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'File "<cell 7>", line 7, in experiment' in done.stdout
    assert 'return shares["of nobody"]  # the guilty line' in done.stdout


def test_only_what_stands_in_no_file_is_taken_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linecache, "cache", {})
    linecache.getlines(__file__)
    linecache.cache["<cell 1>"] = (6, None, ["a = 1\n"], "<cell 1>")
    taken = sources()
    assert taken == {"<cell 1>": "a = 1\n"}
    linecache.cache.clear()
    install(taken)
    assert linecache.getline("<cell 1>", 1) == "a = 1\n"


def test_what_this_process_knows_better_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linecache, "cache", {"<cell 1>": (6, None, ["new\n"], "<cell 1>")})
    install({"<cell 1>": "old\n"})
    assert linecache.getline("<cell 1>", 1) == "new\n"


def test_of_a_long_session_the_latest_cells_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    long = ["x" * 3_000_000]
    entries = {f"<cell {n}>": (3_000_000, None, long, f"<cell {n}>") for n in range(3)}
    monkeypatch.setattr(linecache, "cache", entries)
    assert list(sources()) == ["<cell 2>"]


def test_a_notebooks_cell_is_called_as_the_notebook_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shell:
        compile = types.SimpleNamespace(
            format_code_name=lambda name: {"/tmp/1/2.py": ("Cell", "In[12]")}.get(name)
        )

    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=Shell))
    monkeypatch.setitem(linecache.cache, "/tmp/1/2.py", (2, None, ["1\n"], "/tmp/1/2.py"))
    install(sources())
    assert place_text("/tmp/1/2.py", 3) == "cell 12, line 3"
    assert place_text("/tmp/1/train.py", 3) == "train.py:3"
    assert "cell:/tmp/1/2.py" not in linecache.cache


def test_other_threads_of_the_program_may_read_sources_and_import_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Garbage is collected wherever something is made, and other threads go on where what it was held says farewell."""
    told: list[str] = []

    def go_on(phase: str, _: object) -> None:
        name = f"<meanwhile {len(told)}>"
        told.append(phase)
        linecache.cache[name] = (1, None, ["x"], name)
        monkeypatch.setitem(sys.modules, name, types.ModuleType("meanwhile"))

    monkeypatch.setattr(linecache, "cache", {f"<{n}>": (1, None, ["x"], f"<{n}>") for n in range(5_000)})
    thresholds = gc.get_threshold()
    gc.callbacks.append(go_on)
    gc.set_threshold(1)
    try:
        found = sources()
        assert list(loaded(lambda _: True))
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(go_on)
    assert told
    assert "<4999>" in found
