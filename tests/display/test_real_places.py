"""Displays in the places themselves: a pseudo-terminal, and a notebook's kernel."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys
from memento.display.base import make_display
from memento.events import RunStarted, Tick, WorkerState, RunFinished

def tick(done):
    return Tick(9, done, 0, 0, (WorkerState("w", "k", "a=1", 1.0),), 1.0, 2.0, 3.0)

with make_display() as display:
    display.listen(RunStarted("exp:f", "/s", 9, 0, 9, 1))
    display.listen(tick(4))
    if sys.argv[1] == "finish":
        display.listen(RunFinished("exp:f", "/s", 9, 9, 0, 0, 1.0))
    elif sys.argv[1] == "raise":
        raise KeyboardInterrupt
    elif sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
print("the result")
"""


def on_a_terminal(how: str, tmp_path: Path) -> tuple[int, str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    main, other = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, str(script), how], stdin=other, stdout=other, stderr=other, env=environment
    )
    os.close(other)
    read = b""
    while True:
        try:
            piece = os.read(main, 4096)
        except OSError:  # how Linux says that nobody has the other end any more
            break
        if not piece:
            break
        read += piece
    os.close(main)
    return process.wait(timeout=300), read.decode()


@pytest.mark.parametrize(
    ("how", "code"), [("finish", 0), ("raise", 1), ("kill", -signal.SIGKILL)], ids=["finish", "raise", "kill"]
)
def test_the_cursor_is_shown_after_any_end(how: str, code: int, tmp_path: Path) -> None:
    returned, text = on_a_terminal(how, tmp_path)
    assert returned in (code, -signal.SIGINT if how == "raise" else code)
    assert "4/9" in text
    assert text.rfind("\x1b[?25h") >= text.rfind("\x1b[?25l")


def test_a_terminal_ends_with_summary_and_result(tmp_path: Path) -> None:
    _, text = on_a_terminal("finish", tmp_path)
    assert text.endswith("the result\r\n")
    assert "9 tasks: 9 done in 1.0 s" in text


CELL = """
from memento.display.base import make_display
from memento.events import FailureGroup, RunStarted, Tick, WorkerState, RunFinished, TaskFailed

display = make_display()
with display:
    display.listen(RunStarted("exp:f", "/s", 9, 0, 9, 1))
    display.listen(Tick(9, 4, 0, 1, (WorkerState("w", "k", "a=<b>", 1.0, 1, 2),), 1.0, 2.0, 3.0))
    group = FailureGroup("ValueError: <script>", "raised", 1, "", "a=1", "ab")
    display.listen(TaskFailed("ab", "a=1", group, True))
    {end}
"""
FINISH = 'display.listen(RunFinished("exp:f", "/s", 9, 9, 0, 0, 1.0, groups=(group,)))'


def in_a_notebook(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Return what the cell shows in the end: each output by type."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    nbclient = pytest.importorskip("nbclient")
    from nbformat.v4 import new_code_cell, new_notebook  # type: ignore[import-untyped, unused-ignore]

    notebook = new_notebook(cells=[new_code_cell(source)])  # type: ignore[no-untyped-call]  # nbformat has no types
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = []
    for output in notebook.cells[0].outputs:
        assert output.output_type == "display_data", output
        shown.append(dict(output.data))
    return shown


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter's own packages among each other
@pytest.mark.real
def test_a_notebook_shows_one_output_with_html_made_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = in_a_notebook(CELL.format(end=FINISH), tmp_path, monkeypatch)
    assert "9 tasks: 9 done in 1.0 s" in shown["text/html"]
    assert "&lt;script&gt;" in shown["text/html"]
    assert "progressbar" not in shown["text/html"]
    assert shown["text/plain"].splitlines()[0] == "exp:f, store /s"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter's own packages among each other
@pytest.mark.real
def test_a_notebook_shows_the_bar_while_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = "display._screen.close = lambda: None  # as if the kernel were lost here"
    (shown,) = in_a_notebook(CELL.format(end=end), tmp_path, monkeypatch)
    assert 'aria-valuenow="5"' in shown["text/html"]
    assert "a=&lt;b&gt;" in shown["text/html"]
