"""In a notebook: functions and classes of cells, cells that are run again, a loop that runs already."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of jupyter's own packages among each other
]


def run_cells(
    cells: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, *, may_fail: bool = False
) -> list[str]:
    """Run cells in a kernel of their own; what each printed, displays as their plain text, tracebacks."""
    nbclient = pytest.importorskip("nbclient")
    from nbformat.v4 import new_code_cell, new_notebook  # type: ignore[import-untyped, unused-ignore]

    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        (folder / ".jupyter" / name).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(name, str(folder / ".jupyter" / name))
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        allow_errors=may_fail,
    )
    client.execute()
    told = []
    for cell in notebook.cells:
        parts = []
        for output in cell.outputs:
            if output.output_type == "stream":
                parts.append(output.text)
            elif output.output_type == "error":
                parts += output.traceback
            else:
                parts.append(output.data.get("text/plain", ""))
        told.append("\n".join(parts))
    return told


DEFINITIONS = """
from dataclasses import dataclass
from enum import Enum
from memento import Memento

class Color(Enum):
    RED = 1

@dataclass
class Point:
    x: int

OFFSET = 100

def helper(x):
    return x + OFFSET

def experiment(context, config):
    context.checkpoint(config.p)
    assert context.restore() == config.p
    return Point(helper(config.p.x)), config.c
"""
RUN = """
results = Memento(experiment, num_workers=2).run({"parameters": {"p": [Point(1), Point(2)], "c": [Color.RED]}})
print("told", [(r.inner[0].x, type(r.inner[0]) is Point, r.inner[1] is Color.RED, r.was_cached) for r in results])
"""


def test_cells_define_what_workers_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run_cells(
        [
            DEFINITIONS,
            RUN,
            RUN,
            "OFFSET = 1000",
            RUN.replace("num_workers=2", 'num_workers=2, on_code_change="ignore"').replace(
                ".run(", ".run(force_run=True, matrix="
            ),
            DEFINITIONS,  # every class is a new one now
            RUN.replace("num_workers=2", 'num_workers=2, on_code_change="ignore"'),
            "results",
        ],
        tmp_path,
        monkeypatch,
    )
    assert "told [(101, True, True, False), (102, True, True, False)]" in told[1]
    assert "told [(101, True, True, True), (102, True, True, True)]" in told[2]
    assert "told [(1001, True, True, False), (1002, True, True, False)]" in told[4]
    # Nothing tells where the notebook lies, so its code is part of the name: this is the experiment of before.
    assert "told [(101, True, True, True), (102, True, True, True)]" in told[6]
    assert told[7]


def test_a_new_kernel_finds_the_results_and_its_own_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cells([DEFINITIONS, RUN], tmp_path, monkeypatch)
    told = run_cells([DEFINITIONS, RUN], tmp_path, monkeypatch)
    assert "told [(101, True, True, True), (102, True, True, True)]" in told[1]
    (loaded,) = run_cells(
        ["import memento\nprint(sorted(r.inner[0].x for r in memento.load('memento-store')))"],
        tmp_path,
        monkeypatch,
    )
    assert "[101, 102]" in loaded


def test_coroutines_failures_and_loops_work_beside_the_notebooks_own_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = run_cells(
        [
            """
import asyncio
from memento import AggregateException, Memento
async def experiment(context, config):
    await asyncio.sleep(0)
    if config.x == 2:
        raise ValueError("two is too much")
    return config.x
for executor in ("processes", "threads", "serial"):
    try:
        Memento(experiment, num_workers=1, executor=executor, store=executor).run({"parameters": {"x": [1, 2, 3]}})
    except AggregateException as error:
        print(executor, [r.inner for r in error.results], repr(error.exceptions[0]))
""",
            """
await asyncio.sleep(0)  # the notebook's loop lives on
results = await asyncio.to_thread(Memento(experiment, num_workers=1, store="thread", on_error="return").run,
                                  {"parameters": {"x": [1, 2]}})
print("thread", [r.inner for r in results])
""",
        ],
        tmp_path,
        monkeypatch,
    )
    for executor in ("processes", "threads", "serial"):
        assert f"{executor} [1, None, 3] ValueError('two is too much')" in told[0]
    assert "thread [1, None]" in told[1]


def test_an_interrupted_kernel_keeps_what_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run_cells(
        [
            """
import os, signal, time
from memento import Memento
def experiment(context, config):
    if config.x == 2 and config.settings["stop"]:
        os.kill(config.settings["pid"], signal.SIGINT)  # as the notebook's stop button does it
        while not context.stopping:
            time.sleep(0.01)
        for _ in context.loop(range(10), []):
            pass
    return config.x
def run(stop):
    return Memento(experiment, num_workers=1).run({
        "parameters": {"x": [1, 2, 3]}, "settings": {"stop": stop, "pid": os.getpid()}, "volatile": ["stop", "pid"]})
try:
    run(True)
except KeyboardInterrupt as error:
    print("caught", error)
""",
            'print("again", [(r.inner, r.was_cached) for r in run(False)])',
        ],
        tmp_path,
        monkeypatch,
    )
    assert "caught 2 tasks left" in told[0]
    assert "again [(1, True), (2, False), (3, False)]" in told[1]


def test_a_cell_that_fails_says_what_to_type_for_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = run_cells(
        [
            "from memento import Memento\ndef experiment(context, config):\n    return 1 / config.x\n%xmode Plain",
            "results = Memento(experiment, num_workers=1).run({'parameters': {'x': [0, 1]}})",
            "import sys; print([result.value for result in sys.last_value.results])",
            "runs = Memento(experiment, num_workers=1)\nresults = runs.run({'parameters': {'x': [0, 2]}})",
            "print([result.value for result in runs.results])",
        ],
        tmp_path,
        monkeypatch,
        may_fail=True,
    )
    assert "What there is: import sys; sys.last_value.results" in told[1]
    assert "ZeroDivisionError: division by zero (cell 1, line 3)" in told[1]
    assert told[2].strip() == "[None, 1.0]"
    assert "What there is: runs.results" in told[3]
    assert told[4].strip() == "[None, 0.5]"


def test_after_a_failure_or_an_interrupt_the_report_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = run_cells(
        [
            """
import os, signal, time
from memento import Memento
def experiment(context, config):
    if config.x == 2:
        raise ValueError("two is too much")
    return config.x
def stopped(context, config):
    os.kill(config.settings["pid"], signal.SIGINT)
    while not context.stopping:
        time.sleep(0.01)
    for _ in context.loop(range(10), []):
        pass
""",
            "Memento(experiment, num_workers=1).run({'parameters': {'x': [1, 2]}})",
            "Memento(stopped, num_workers=1).run({'parameters': {'x': [1]}, 'settings': {'pid': os.getpid()}})",
            "Memento(experiment).run({'parameters': {'x': 'abc'}})",
        ],
        tmp_path,
        monkeypatch,
        may_fail=True,
    )
    told = [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in told]
    ours = os.path.join("src", "memento") + os.sep
    assert [text for text in told if ours in text or "hidden" in text] == []
    assert told[1].count("1 task: ValueError: two is too much (cell 1, line ") == 1
    assert "raise ValueError" in told[1]  # the task's own traceback
    assert "---->" not in told[1]  # no frame of the cell, which stands right above
    assert "1 task left; run it again" in told[2]
    assert "----> 1" in told[3]  # what is wrong stands in this line of the user's
    assert "Write 'x': ['abc']." in told[3]
