"""What commands print with --json is what their schemas say, on stores of every kind; and it stays so."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator

from memento.cli.app import app
from memento.cli.schema import FOLDER, names, text_of
from memento.store.store import Store
from tests.cli.calling import GENEROUS, Ran, check, command, copied, memento
from tests.cli.conftest import Project

GOLDEN = Path(__file__).with_name("schemas.json")
# Commands of which some other test checks the output, since they need a run, a server or another program.
ELSEWHERE = {
    "run",
    "notify test",
    "pause",
    "resume",
    "stop",
    "cancel",
    "first",
    "resize",
    "import",
    "run-one",
    "plan",
}
PENDING: set[str] = set()  # whose schema is still to be written

# In the lines below stand KEY (of each task), STORE, OTHER (a copy of it), EMPTY (a store without tasks), EXPERIMENT.
LOOKING = [
    "status",
    "ls",
    "ls --failed",
    "ls --limit 1",
    "show KEY",
    "why KEY",
    "query",
    "query|SELECT * FROM tasks",
    "query|SELECT * FROM failures",
    "query|SELECT 1.5 AS a, NULL AS b, x'00' AS c, 'x' AS a",
    "diff KEY KEY",
    "diff STORE OTHER",
    "diff STORE EMPTY",
    "verify",
    "gc --dry-run",
    "export -o OUT.csv",
    "export --to json -o OUT.json --failed",
    "export --curves -o OUT.csv",
    "doctor",
]
CHANGING = [
    "retry",
    "retry --from-scratch KEY",
    "forget KEY",
    "forget --failed",
    "gc",
    "gc --yes --older-than 0s",
    "merge OTHER",
    "rename|EXPERIMENT|renamed.py:grid",
    "adopt",
]


@pytest.fixture(
    params=[
        pytest.param("project", marks=pytest.mark.slow),
        "hostile",
        pytest.param("arrays", marks=pytest.mark.slow),
        "empty",
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a store that was filled by a normal grid, a hostile one, one with large values, or none."""
    if request.param == "empty":
        Store.open(tmp_path / "store").close()
    else:
        project: Project = request.getfixturevalue(request.param)
        copied(project.store, tmp_path / "store")
    return tmp_path / "store"


def filled(line: str, store: Path) -> Iterator[list[str]]:
    """Yield the arguments of a line, for each task where it names one."""
    tasks = memento("ls", "--json", "--store", store).json["tasks"]
    words = line.split("|") if "|" in line else line.split()
    places = {name: store.with_name(name.lower()) for name in ("OTHER", "EMPTY", "OUT.csv", "OUT.json")}
    if "OTHER" in words and not places["OTHER"].exists():
        copied(store, places["OTHER"])
    if "EMPTY" in words:
        Store.open(places["EMPTY"]).close()
    names = {name: str(place) for name, place in places.items()}
    names |= {"STORE": str(store), "EXPERIMENT": tasks[0]["experiment"] if tasks else "none"}
    for key in [task["key"] for task in tasks] if "KEY" in words else [""]:
        yield [key if word == "KEY" else names.get(word, word) for word in words]


def told_by(arguments: list[str], store: Path) -> Ran:
    place = "--into" if arguments[0] == "merge" else "--store"
    return memento(*arguments, "--json", place, store)


@pytest.mark.parametrize("line", LOOKING + CHANGING)
def test_what_a_command_prints_is_what_its_schema_says(store: Path, line: str) -> None:
    for arguments in filled(line, store):
        told = told_by(arguments, store)
        if told.out:
            assert told.json["schema"].split("/")[0] == f"memento.{arguments[0]}"
        if told.code and not told.out:
            check(json.loads(told.err.splitlines()[-1]))
        assert told.code in (0, 1, 2)
        assert told.out or told.code


@pytest.mark.slow
def test_what_a_run_prints_is_what_its_schema_says(
    project: Project, hostile: Project, tmp_path: Path
) -> None:
    check(project.first.json)
    check(json.loads(project.first.err.splitlines()[-1]))
    line = ("run", "experiment.py:grid", "matrix.json", "--json", "-j", "1", "--store", str(tmp_path / "s"))
    told = command(
        *line, cwd=hostile.folder
    )  # in a store of its own: others count what is in that of the fixture
    check(told.json)
    assert "\x1b" not in told.err.splitlines()[-1]


def with_json(group: Any = None, before: str = "") -> Iterator[str]:
    """Yield the commands that have --json, like "notify test"."""
    group = group or typer.main.get_command(app)
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from with_json(one, f"{before}{name} ")
        elif any("--json" in parameter.opts for parameter in one.params):
            yield before + name


def test_every_command_with_json_has_a_schema_and_is_tried_here() -> None:
    commands = set(with_json()) - PENDING
    assert {name.split("/")[0] for name in names()} >= {name.replace(" ", "-") for name in commands}
    tried = {line.replace("|", " ").split()[0] for line in LOOKING + CHANGING} | ELSEWHERE
    assert commands <= tried


@pytest.mark.parametrize("name", names())
def test_a_schema_is_one_and_allows_more_fields(name: str) -> None:
    schema = json.loads(text_of(name))
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"] == {"const": f"memento.{name}"}
    assert "schema" in schema["required"]
    assert '"additionalProperties": false' not in text_of(name)


def required(schema: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of fields that must be there, like "tasks[].key"."""
    for name in schema.get("required", ()):
        yield f"{path}{name}"
    for name, one in schema.get("properties", {}).items():
        if isinstance(one, dict):
            yield from required(one, f"{path}{name}.")
            yield from required(one.get("items", {}), f"{path}{name}[].")


def test_no_field_goes_that_a_script_may_read() -> None:
    golden: dict[str, list[str]] = json.loads(GOLDEN.read_text("utf-8"))
    now = {name: sorted(required(json.loads(text_of(name)))) for name in names()}
    gone = {name: sorted(set(paths) - set(now.get(name, ()))) for name, paths in golden.items()}
    assert not any(gone.values()), f"scripts read these; without them it is a new version: {gone}"
    assert now == golden, f"add what is new to {GOLDEN.name}: {json.dumps(now, indent=2)}"


def test_schemas_are_printed_by_the_names_of_commands() -> None:
    assert memento("schema").out.split() == names()
    told = memento("schema", "ls")
    assert (told.code, json.loads(told.out)["title"]) == (0, "memento.ls/1")
    for words in (("notify", "test"), ("memento.notify-test/1",), ("notify-test",)):
        assert json.loads(memento("schema", *words).out)["title"] == "memento.notify-test/1"
    wrong = memento("schema", "lss")
    assert (wrong.code, wrong.err) == (2, "memento: there is no schema 'lss'; did you mean 'ls'?\n")


@pytest.mark.parametrize(
    ("line", "code", "kind"),
    [
        ("ls --stat", 2, "UsageError"),
        ("lss", 2, "UsageError"),
        ("show", 2, "UsageError"),
        ("show abcdef", 2, "UsageError"),
        ("ls --newer-than soon", 2, "UsageError"),
        ("ls --store nowhere", 2, "UsageError"),
        ("run nowhere.py:grid nowhere.yaml", 2, "UsageError"),
    ],
)
def test_with_json_an_error_is_an_object_on_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, line: str, code: int, kind: str
) -> None:
    monkeypatch.chdir(project.folder)
    told = memento(*line.split(), "--json")
    assert (told.code, told.out) == (code, "")
    (text,) = told.err.splitlines()
    error = json.loads(text)
    check(error)
    assert (error["exit_code"], error["kind"]) == (code, kind)
    for_people = memento(*line.split())
    assert for_people.code == code
    assert not for_people.err.startswith("{")


def test_what_an_error_says_to_do_is_its_hint(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "notes.txt").write_text("mine")
    told = memento("status", "--json", "--store", tmp_path / "store")
    error = json.loads(told.err)
    check(error)
    assert (told.code, error["kind"]) == (1, "NotAStore")
    assert error["hint"]
    assert error["hint"] not in error["error"]


@pytest.mark.slow
def test_the_wheel_has_the_schemas_and_the_skill(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True, timeout=GENEROUS)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert {f"memento/cli/schemas/{path.name}" for path in Path(FOLDER).iterdir()} <= held
    assert "memento/SKILL.md" in held
