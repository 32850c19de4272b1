"""Failures tell what a person needs, and telling never fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from memento.errors import UnsavableResult
from memento.values.encoding import encode
from memento.values.payloads import PayloadDir
from memento.worker import failures


def test_a_message_that_is_a_whole_array_is_shortened() -> None:
    failure = failures.raised(ValueError("x" * 100_000))
    assert len(failure.message) < 5_000


def test_exceptions_that_cause_each_other_are_told() -> None:
    first, second = ValueError("one"), KeyError("two")
    first.__cause__, second.__cause__ = second, first
    assert "one" in failures.raised(first).traceback


@pytest.mark.parametrize(("status", "name"), [(0, "exit code 0"), (137, "exit code 137"), (-9, "SIGKILL")])
def test_ends_of_processes_have_names(status: int, name: str) -> None:
    assert failures.exit_name(status) == name


def test_the_tail_of_a_log_that_is_gone_is_empty(tmp_path: Path) -> None:
    assert failures.tail(tmp_path / "none.log") == ""


def test_the_tail_of_a_slice_stays_within_it_and_shows_garbage_safely(tmp_path: Path) -> None:
    log = tmp_path / "w.log"
    log.write_bytes(b"before\n" + b"\xff\xfe line\n" * 30 + b"after\n")
    tail = failures.tail(log, 7, 7 + 8 * 30)
    assert "before" not in tail
    assert "after" not in tail
    assert len(tail.splitlines()) == 20


def test_of_the_stacks_that_a_dying_process_prints_the_tasks_own_lines_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "w.log"
    ours = str(Path(failures.__file__).parent / "task.py")
    log.write_text(
        "about to die\n"
        "Fatal Python error: Segmentation fault\n"
        "\n"
        "Thread 0x00007fe4f9e77b81 (most recent call first):\n"
        f'  File "{ours}", line 12 in wait\n'
        "\n"
        "Current thread 0x00007fe4f9e77b80 (most recent call first):\n"
        '  File "/home/me/exp.py", line 5 in g\n'
        + f'  File "{ours}", line 215 in run\n'
        * 12
        + '  File "<string>", line 1 in <module>\n'
        "\n"
        "Extension modules: numpy._core._multiarray_umath, numpy.linalg._umath_linalg (total: 2)\n"
    )
    told = [line for line in failures.tail(log).splitlines() if line]
    assert told == [
        "about to die",
        "Fatal Python error: Segmentation fault",
        "Current thread 0x00007fe4f9e77b80 (most recent call first):",
        '  File "/home/me/exp.py", line 5 in g',
    ]


def test_of_the_program_that_a_worker_is_a_copy_of_a_dump_shows_nothing(tmp_path: Path) -> None:
    log = tmp_path / "w.log"
    folder = Path(failures.__file__).parent
    log.write_text(
        "Current thread 0x00007fe4f9e77b80 (most recent call first):\n"
        '  File "/home/me/exp.py", line 5 in step\n'
        f'  File "{folder.parent / "context" / "steps.py"}", line 12 in compute\n'
        '  File "/home/me/exp.py", line 9 in fit\n'
        f'  File "{folder / "task_runner.py"}", line 120 in run\n'
        '  File "/usr/lib/python3/site-packages/typer/main.py", line 1445 in wrapper\n'
        f'  File "{folder.parent / "cli" / "app.py"}", line 67 in main\n'
        '  File "/home/me/exp.py", line 20 in <module>\n'
        "\n"
        "Thread 0x00007fe4f9e77b81 (most recent call first):\n"
        '  File "/home/me/exp.py", line 7 in load\n'
    )
    assert [line for line in failures.tail(log).splitlines() if line] == [
        "Current thread 0x00007fe4f9e77b80 (most recent call first):",
        '  File "/home/me/exp.py", line 5 in step',
        '  File "/home/me/exp.py", line 9 in fit',
        "Thread 0x00007fe4f9e77b81 (most recent call first):",
        '  File "/home/me/exp.py", line 7 in load',
    ]


def test_what_cannot_be_saved_is_told_once_and_without_the_picklers_own_frames() -> None:
    returned = {"lock": threading.Lock()}
    with pytest.raises(UnsavableResult) as caught:
        encode(returned, PayloadDir(Path("payloads")))
    failure = failures.unsavable(returned, caught.value)
    assert failure.message.count("cannot be") == 2
    assert "the result['lock'] cannot be saved: it is a _thread.lock" in failure.message
    assert "cloudpickle" not in failure.traceback
    assert failure.traceback.strip().endswith("leaves such parts out.")


class Stubborn:
    def __reduce__(self) -> str:
        raise RuntimeError("not me")


def test_what_the_users_own_pickling_raised_is_told_with_its_lines() -> None:
    with pytest.raises(UnsavableResult) as caught:
        encode(Stubborn(), PayloadDir(Path("payloads")))
    failure = failures.unsavable(Stubborn(), caught.value)
    assert 'raise RuntimeError("not me")' in failure.traceback
    assert failure.location.startswith("test_failures.py:")


def test_a_dumped_recursion_does_not_push_out_what_was_printed_before_it(tmp_path: Path) -> None:
    frames = [f'  File "/home/me/exp.py", line {n} in again' for n in range(100)]
    lines = [
        "epoch 3",
        "Fatal Python error: Segmentation fault",
        "",
        "Current thread 0x00007f (most recent call first):",
    ]
    log = tmp_path / "log"
    log.write_text("\n".join([*lines, *frames, "  ..."]))
    told = failures.tail(log).splitlines()
    assert told[:4] == lines
    assert told[4] == frames[0]
    assert told[-1] == "  ..."
