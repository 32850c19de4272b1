"""The command line itself: help, version, wrong usage, how it starts and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from memento import __version__
from memento.cli.app import app
from memento.matrix.arguments import FLAGS, ONLY_IN_PYTHON, OPTIONS
from tests.cli.calling import GENEROUS, command, line, memento
from tests.cli.conftest import Project

COMMANDS = [
    # Run
    "demo", "run", "plan", "run-one",
    # Look
    "status", "ls", "show", "logs", "why", "diff", "query",
    # Steer a run
    "pause", "resume", "stop", "cancel", "first", "resize",
    # Take care of results
    "retry", "forget", "adopt", "rename", "gc", "merge", "verify",
    # Exchange results
    "export", "import",
    # Set up
    "doctor", "completion", "schema", "skill", "notify",
]  # fmt: skip
WITHOUT_JSON = {"demo", "logs", "completion", "notify", "schema", "skill"}
WITHOUT_STORE = {"completion", "notify", "schema", "skill"}


def test_help_in_a_process_of_its_own_lists_every_command(tmp_path: Path) -> None:
    told = command("--help", cwd=tmp_path)
    assert (told.code, told.err) == (0, "")
    assert [text.split()[0] for text in _listed(told.out)] == COMMANDS


def test_every_line_of_the_list_of_commands_is_a_whole_sentence() -> None:
    listed = _listed(memento("--help").out)
    assert all(text.endswith(".") and "..." not in text for text in listed)


def _listed(told: str) -> list[str]:
    """Return the lines that list commands: under the title of a group, indented."""
    lines = told.partition("--help")[2].splitlines()[1:]
    return [text.strip() for text in lines if text.startswith("  ")]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_for_each_of_its_options(name: str) -> None:
    told = memento(name, "--help")
    assert told.code == 0
    assert ("\n  --json " in told.out) == (name not in WITHOUT_JSON)
    assert ("--store" in told.out) == (name not in WITHOUT_STORE)


def test_what_a_matrix_has_no_part_in_is_an_option_of_run_or_told_to_be_none() -> None:
    run = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]  # of a group
    typed = {parameter.name for parameter in run.params}
    assert {*OPTIONS, *FLAGS} - typed == ONLY_IN_PYTHON


def test_help_imports_none_of_the_heavy_packages(tmp_path: Path) -> None:
    code = (
        "import sys; from memento.cli.app import app\n"
        "try: app(['--help'])\n"
        "finally: print([n for n in ('numpy', 'pandas', 'rich', 'cloudpickle', 'psutil', 'yaml', 'sqlite3',"
        " 'memento.store', 'memento.runner') if n in sys.modules], file=sys.stderr)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=GENEROUS,
        cwd=tmp_path,
        check=False,
    )
    assert (told.returncode, told.stderr.strip()) == (0, "[]")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["status", "ls"])
def test_looking_at_a_store_imports_no_pandas(project: Project, name: str) -> None:
    code = (
        f"import sys; from memento.cli.app import app\n"
        f"try: app([{name!r}, '--store', {str(project.store)!r}])\n"
        "finally: print([n for n in ('pandas', 'rich', 'cloudpickle', 'memento.runner') if n in sys.modules],"
        " file=sys.stderr)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=GENEROUS, check=False
    )
    assert (told.returncode, told.stderr.strip()) == (0, "[]")


def test_version_is_the_packages() -> None:
    told = memento("--version")
    assert (told.code, told.out) == (0, f"{__version__}\n")


def test_the_console_script_is_the_same_program(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("memento")
    if not script.exists():
        pytest.skip("the package is not installed, only on the path")
    told = subprocess.run(
        [script, "--version"], capture_output=True, text=True, timeout=GENEROUS, cwd=tmp_path, check=False
    )
    assert (told.returncode, told.stdout) == (0, f"{__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("ls", "--nonsense"),
        ("show",),
        ("logs",),
        ("ls", "--limit", "-1"),
    ],
)
def test_wrong_usage_exits_with_2_and_prints_no_results(arguments: tuple[str, ...]) -> None:
    told = memento(*arguments)
    assert told.code == 2
    assert "Usage:" in told.out + told.err


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_ends_the_listing_quietly(project: Project) -> None:
    listing = " ".join(f"'{word}'" for word in line("ls", "--json", "--store", project.store))
    told = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {listing} | head -c 1; exit $?"],
        capture_output=True,
        text=True,
        timeout=GENEROUS,
        check=False,
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "{", "")


@pytest.mark.slow
def test_letters_that_a_terminal_lacks_end_no_command(hostile: Project) -> None:
    told = subprocess.run(
        line("ls", "--store", hostile.store),
        capture_output=True,
        timeout=GENEROUS,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert b"\\u2026" in told.stdout  # the ellipsis of a long value
