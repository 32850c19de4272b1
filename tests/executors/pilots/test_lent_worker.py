"""A pilot's place says why it ended, also where nothing of Memento is installed."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cloudpickle
import psutil
import pytest

import memento
from memento.executors.pilots.lent_worker import Ended, by_value, run_child, sent


def run(folder: Path, code: str, is_over: Any = None, *, pilot: str = "", keep: bool = False) -> Ended:
    """Run a pilot that is this code, made by a forker that begins with `code`."""
    lines = [
        code,
        f"import sys; sys.path.append({str(Path(memento.__file__).parents[1])!r})",
        "from memento.executors.pilots.forker import serve",
        f"serve(lambda: exec({pilot!r}, {{}}))",
    ]
    command = ["python", "-c", "\n".join(lines), "one", "two"]
    return Ended(*run_child(str(folder), command, str(folder / "output"), "w1", is_over, keep=keep))


def call(folder: str) -> tuple[str, str, str]:
    return run_child(folder, ["python"], "", "")


def test_what_is_sent_by_its_code_needs_no_module_where_it_arrives() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError, ImportError)):
        pickle.dumps(by_value(run_child))
    data = cloudpickle.dumps(sent(call))
    assert b"memento.executors" not in data
    again = pickle.loads(data)
    assert again("/nowhere")[0] == "blind"


def test_the_end_of_a_pilot_is_told_with_what_it_said(tmp_path: Path) -> None:
    ended = run(tmp_path, "", pilot="print('last words'); raise SystemExit(3)")
    assert "ended with exit code 3\nlast words" in ended.reason("p1", tmp_path, tmp_path / "output")
    assert not ended.is_hopeless


def test_a_worker_that_does_not_see_the_store_says_which_line_would_be_right(tmp_path: Path) -> None:
    ended = run(tmp_path / "away", "")
    text = ended.reason("p1", tmp_path / "away", tmp_path / "output")
    assert str(tmp_path / "away") in text
    assert 'store="/shared' in text
    assert ended.is_hopeless


def test_a_worker_without_memento_says_what_to_install(tmp_path: Path) -> None:
    ended = run(tmp_path, "import sys; sys.path[:] = []; sys.meta_path.clear(); import memento")
    text = ended.reason("p1", tmp_path, tmp_path / "output")
    assert "pip install memento-ml==" in text
    assert sys.executable in text


def test_a_pilot_that_is_not_wanted_any_more_hears_the_end_of_its_input(tmp_path: Path) -> None:
    code = "import sys; open('begun', 'w').close(); sys.stdin.read(); print('heard')"
    ended = run(tmp_path, "", (tmp_path / "begun").exists, pilot=code)
    assert ended.kind == "0"
    assert (tmp_path / "output").read_text() == "heard\n"


def test_a_pilot_ends_with_the_process_that_runs_it(tmp_path: Path) -> None:
    code = "import sys; sys.stdin.read(); open('heard', 'w').close()"
    pid = os.fork()
    if pid == 0:
        run(tmp_path, "", pilot=f"open('begun', 'w').close(); {code}")
        os._exit(0)
    _until((tmp_path / "begun").exists)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    _until((tmp_path / "heard").exists)


TELLS = """
import os, sys
with open('told', 'a') as file:
    print(os.getppid(), os.getcwd(), sys.argv[1:], os.environ['MEMENTO_PLACE'], os.environ.get('EXTRA'), file=file)
"""


def test_a_worker_keeps_what_makes_pilots_and_each_is_as_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [tmp_path / "first", tmp_path / "second"]
    for folder, extra in zip(runs, ("1", "2"), strict=True):
        folder.mkdir()
        monkeypatch.setenv("EXTRA", extra)
        assert run(folder, "", pilot=TELLS, keep=True).kind == "0"
    told = [(folder / "told").read_text().split(" ", 1) for folder in runs]
    assert told[0][0] == told[1][0], "one process has made both"
    for folder, (_, rest), extra in zip(runs, told, ("1", "2"), strict=True):
        assert rest == f"{folder} ['one', 'two'] w1 {extra}\n"
    assert psutil.pid_exists(int(told[0][0]))
    assert run(runs[0], "", pilot=TELLS).kind == "0"
    assert not psutil.pid_exists(int(told[0][0])), "the last one was not to be kept"


def test_one_that_has_ended_meanwhile_is_made_anew(tmp_path: Path) -> None:
    assert run(tmp_path, "", pilot=TELLS, keep=True).kind == "0"
    forker = psutil.Process(int((tmp_path / "told").read_text().split()[0]))
    forker.kill()
    _until(lambda: forker.status() == psutil.STATUS_ZOMBIE)
    assert run(tmp_path, "", pilot=TELLS).kind == "0"
    assert len((tmp_path / "told").read_text().splitlines()) == 2


def test_a_pilot_that_is_not_wanted_while_it_is_being_made_is_none(tmp_path: Path) -> None:
    ended = run(tmp_path, "import time; time.sleep(1000)", lambda: True)
    assert ended.kind == "-9"


def _until(so: Any) -> None:
    end = time.monotonic() + 300
    while not so():
        assert time.monotonic() < end
        threading.Event().wait(0.01)
