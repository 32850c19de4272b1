"""What a script learns from exit codes, the same of all commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from memento.cli.app import app
from memento.cli.exit_codes import AS_JSON, UsageError, explained
from memento.errors import MatrixError, MementoError, RunInterrupted, StoreError
from tests.cli.calling import check, memento

GROUP: Any = typer.main.get_command(app)
ARGUMENTS = {
    "adopt": ["experiment"],
    "cancel": ["--all"],
    "diff": ["abcd", "ef01"],
    "first": ["x=1"],
    "forget": ["abcdef"],
    "logs": ["abcdef"],
    "merge": ["no_other_store"],
    "rename": ["old", "new"],
    "resize": ["2"],
    "show": ["abcdef"],
    "why": ["abcdef"],
}
NEEDS_NO_STORE = {"demo", "run", "import", "plan", "doctor"}


def options(name: str) -> set[str]:
    return {option for parameter in GROUP.commands[name].params for option in parameter.opts}


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_an_option_that_is_not_there_is_wrong_usage(name: str) -> None:
    told = memento(name, "--no-such-option")
    assert (told.code, told.out) == (2, "")


@pytest.mark.parametrize(
    "name", [n for n in sorted(set(GROUP.commands) - NEEDS_NO_STORE) if "--store" in options(n)]
)
def test_a_store_that_is_not_there_is_wrong_usage_and_is_not_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = memento(name, *ARGUMENTS.get(name, ()), "--store", "nowhere")
    assert (told.code, told.out) == (2, "")
    assert told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (UsageError("no"), 2, "UsageError"),
        (MatrixError("matrix.yaml", "no", "Write yes."), 2, "MatrixError"),
        (StoreError("store", "no"), 1, "StoreError"),
        (MementoError("no\nat all"), 1, "MementoError"),
        (RunInterrupted("no", None), 130, "Interrupted"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (SystemExit(143), 143, "Interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("as_json", [False, True])
def test_each_kind_of_error_has_its_code_and_is_told_once(
    error: BaseException, code: int, kind: str, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    token = AS_JSON.set(as_json)
    try:
        with pytest.raises(SystemExit) as caught, explained():
            raise error
    finally:
        AS_JSON.reset(token)
    assert caught.value.code == code
    told = capsys.readouterr()
    assert told.out == ""
    if as_json:
        one = json.loads(told.err)
        check(one)
        assert (one["kind"], one["exit_code"]) == (kind, code)
        assert (one["hint"] == "Write yes.") == (kind == "MatrixError")


def test_what_is_not_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), explained():
        raise ZeroDivisionError
