"""Completion: what is offered where, and that real shells take it and are not harmed by it."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from memento.cli.app import app
from memento.cli.completion import SCRIPTS
from memento.cli.missing_word import Asked, Candidate, complete, split
from memento.cli.stored_words import stored_words
from memento.clock import SYSTEM_CLOCK
from memento.index.sqlite.sqlite_index import SqliteIndex
from memento.testing.index_rows import info_of
from tests.cli.calling import GENEROUS, memento
from tests.cli.conftest import Project
from tests.cli.test_app import COMMANDS


def offered(*words: str, look: Callable[[Asked], list[Candidate]] | None = None) -> list[str]:
    """Return how the last word could go on."""
    group = get_command(app)
    told = complete("zsh", ["memento", *words], group, look or stored_words)
    return [line.partition("\t")[0] for line in told]


def test_commands_are_offered() -> None:
    assert set(COMMANDS) <= set(offered(""))
    assert offered("qu") == ["query"]


def test_options_of_a_command_are_offered() -> None:
    assert "--json" in offered("ls", "--")
    assert offered("status", "--j") == ["--json"]
    assert offered("notify", "") == ["test"]


def test_words_of_the_store_are_offered(project: Project) -> None:
    store = ["--store", str(project.store)]
    key = project.key(model="dict", x=2)
    assert key[:12] in offered("show", *store, "")
    assert offered("show", *store, key[:8]) == [key[:12]]
    assert offered("show", *store, key[:20]) == [key[:20]]
    assert offered("why", *store, "model=dict", "x=") == ["x=1", "x=2", "x=3"]
    assert set(offered("ls", *store, "")) == {"model=", "x="}
    assert offered("ls", *store, "x=") == ["x=1", "x=2", "x=3"]
    assert offered("retry", *store, "model=d") == ["model=dict"]
    assert set(offered("ls", *store, "-e", "")) == {"experiment.py:grid", "grid"}
    assert offered("ls", *store, "--experiment=g") == ["--experiment=grid"]
    assert offered("ls", f"--store={project.store}", "x=1", "mo") == ["model="]
    assert offered("ls", *store, "--status", "") == ["done", "failed"]
    failed = {task["key"][:12] for task in project.tasks("--failed")}
    assert {word for word in offered("retry", *store, "") if "=" not in word} <= failed
    assert set(offered("logs", *store, "")) >= failed


def test_a_run_that_goes_on_is_offered_to_who_steers_it(tmp_path: Path) -> None:
    with SqliteIndex.open(str(tmp_path), create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
        index.begin(info_of()).finish("done", {})
        index.begin(info_of())
        assert offered("pause", "--store", str(tmp_path), "--run", "") == ["2"]


@pytest.mark.parametrize(
    "words",
    [
        ("nope", ""),
        ("ls", "--store", "nowhere", ""),
        ("show", "zz"),
        ("ls", "--nope", ""),
        ("show", "abc", ""),
    ],
)
def test_where_nothing_is_known_nothing_is_offered(project: Project, words: tuple[str, ...]) -> None:
    assert (
        offered(*words, look=lambda asked: list(stored_words(asked)) if "nowhere" in asked.words else [])
        == []
    )


def test_a_damaged_store_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    assert offered("show", "--store", str(tmp_path), "") == []


def test_bash_gets_what_it_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    group = get_command(app)

    def look(asked: Asked) -> list[Candidate]:
        return [Candidate("model=SVC"), Candidate("model=my model")]

    monkeypatch.setenv("MEMENTO_WORDBREAKS", " =:")
    assert complete("bash", ["memento ls model="], group, look) == ["SVC", "my\\ model"]
    assert complete("bash", ["memento ls m"], group, look) == ["model=SVC", "model=my\\ model"]
    monkeypatch.setenv("MEMENTO_WORDBREAKS", " ")
    assert complete("bash", ["memento ls model=S"], group, look) == ["model=SVC"]


@pytest.mark.slow
@given(st.text(max_size=20).filter(lambda text: "\x00" not in text))
def test_what_is_split_is_what_a_shell_reads(text: str) -> None:
    assert split(f"memento {shlex.quote(text)} ")[1:-1] == [text]
    assert split(f"memento {shlex.quote(text)}")[1:] == [text] or not text


@pytest.mark.slow
@given(st.text(max_size=40))
def test_any_line_can_be_split(line: str) -> None:
    assert isinstance(split(line), list)


def test_a_shell_without_a_script_is_wrong_usage() -> None:
    told = memento("completion", "tcsh")
    assert told.code == 2
    assert "bash, zsh, fish" in told.err
    assert memento("completion", "bash").out.strip() == SCRIPTS["bash"].strip()


# --- real shells ---------------------------------------------------------------------------------------

bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@bash
@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_no_word_of_a_store_is_more_than_a_word_to_bash(word: str) -> None:
    told = complete("bash", ["memento show "], get_command(app), lambda asked: [Candidate(word)])
    if not told:
        return  # it has letters that no terminal takes
    (line,) = told
    read = subprocess.run(
        [str(shutil.which("bash")), "--norc", "-c", f'set -- {line}; printf \'%s\\n\' "$#" "$@"'],
        capture_output=True,
        timeout=GENEROUS,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/nowhere"},
    )
    assert read.stdout.decode("utf-8") == f"1\n{word}\n"


def _played(
    arguments: list[str], lines: list[tuple[str, str]], environment: dict[str, str], folder: Path
) -> str:
    """Type lines into a program on a terminal, each once what it waits for has come; return all that was shown."""
    terminal, theirs = pty.openpty()
    # In a session of its own, what is opened first is its terminal.
    code = "import os, sys; os.open(os.ttyname(0), os.O_RDWR); os.execvp(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    shown, seen = "", 0
    try:
        for wanted, typed in lines:
            end = time.monotonic() + GENEROUS
            while wanted not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x07\x08]", "", shown[seen:]):
                assert time.monotonic() < end, (wanted, shown)
                if select.select([terminal], [], [], 0.1)[0]:
                    shown += os.read(terminal, 65_536).decode("utf-8", "replace")
            seen = len(shown)
            os.write(terminal, typed.encode())
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return shown


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(
    ("shell", "ready"),
    [
        (
            ["bash", "--norc", "--noprofile", "-i"],
            'eval "$(memento completion bash)"; PS1="%%"; echo rea""dy\n',
        ),
        (
            ["zsh", "-f", "-i"],
            'autoload -U compinit; compinit -u -D; eval "$(memento completion zsh)"; echo rea""dy\n',
        ),
        (["fish", "--no-config", "-i"], 'memento completion fish | source; echo rea""dy\n'),
    ],
    ids=["bash", "zsh", "fish"],
)
def test_a_real_shell_completes_a_command_and_a_value(
    project: Project, tmp_path: Path, shell: list[str], ready: str
) -> None:
    script = Path(sys.executable).with_name("memento")
    if shutil.which(shell[0]) is None or not script.exists():
        pytest.skip(f"{shell[0]} or the console script is not installed")
    environment = {
        "PATH": f"{script.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb" if shell[0] == "bash" else "xterm",
        "MEMENTO_STORE": str(project.store),
    }
    _played(
        shell,
        [
            ("", ready),
            ("ready", "memento sho\t"),
            ("memento show ", "\x15memento ls mod\t"),
            ("model=", "di\t"),
            ("dict", "\x15"),
        ],
        environment,
        project.folder,
    )
