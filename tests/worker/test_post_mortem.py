"""The debugger begins at the user's frame, and what it shows can be left."""

from __future__ import annotations

import bdb
import io
import sys

import pytest

from memento.context.task_space import StopTask
from memento.worker.post_mortem import caught


def in_a_library() -> None:
    import json

    json.loads("{")


def test_the_innermost_frame_of_the_user_is_shown_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("down\nq\n"))
    with pytest.raises(ValueError, match="Expecting") as raised:
        in_a_library()
    assert caught(debug=True)(raised.value) is raised.value
    first, _, rest = capsys.readouterr().out.partition("(Pdb)")
    assert "in_a_library()" in first
    assert "loads(" in rest


def test_what_an_exception_says_does_not_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    with pytest.raises(ValueError, match="high") as raised:
        raise ValueError("loss \x1b[31mhigh\x1b[0m\x07")
    caught(debug=True)(raised.value)
    told = capsys.readouterr().out.splitlines()[0]
    assert told == "ValueError: loss high?"


@pytest.mark.parametrize("debug", [True, False])
def test_leaving_a_debugger_is_no_failure(debug: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(caught(debug=debug)(bdb.BdbQuit()), StopTask)
    error = ValueError()
    assert caught(debug=False)(error) is error
    assert capsys.readouterr().out == ""
