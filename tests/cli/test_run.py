"""`memento run FILE:FUNC MATRIX`: twice, with failures, wrong usage, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from inspect import signature
from pathlib import Path

import pytest

from memento import Memento
from memento.cli import declare_running
from tests.cli.calling import GENEROUS, Ran, check, command, memento, start, wait_until
from tests.cli.conftest import Project

EXPERIMENT = '''
from pathlib import Path

HERE = Path(__file__).parent

class Squarer:
    def __call__(self, context, config):
        return config.x**2

def experiment(context, config):
    with open(HERE / "calls.txt", "a") as file:
        file.write(f"{config.x}\\n")
    return config.x**2

def gated(context, config):
    """Announces itself, and from the second task on waits for a file that never comes."""
    import time
    with open(HERE / "calls.txt", "a") as file:
        file.write(f"{config.x}\\n")
    while config.x > 1 and not (HERE / "open").exists():
        time.sleep(0.02)
    return config.x**2

def broken(context, config):
    if config.x > 1:
        raise ValueError(config.x)
    return config.x

squarer = Squarer()
number = 3
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with an experiment and a matrix of three tasks."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "experiment.py").write_text(EXPERIMENT, encoding="utf-8")
    (tmp_path / "matrix.json").write_text('{"parameters": {"x": [1, 2, 3]}}', encoding="utf-8")
    return tmp_path


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, as the current folder; what a command imports from it in this process is forgotten again."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("experiment", None)
    yield folder
    sys.modules.pop("experiment", None)


def calls(folder: Path) -> list[str]:
    try:
        return (folder / "calls.txt").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []


@pytest.mark.slow
def test_a_second_run_computes_nothing(folder: Path) -> None:
    first = command("run", "experiment.py:experiment", "matrix.json", "--json", "-j", "1", cwd=folder)
    second = command("run", "experiment.py:experiment", "matrix.json", "--json", "-j", "1", cwd=folder)
    assert (first.code, second.code) == (0, 0)
    assert (
        [row["value"] for row in first.json["results"]]
        == [row["value"] for row in second.json["results"]]
        == [1, 4, 9]
    )
    assert [row["was_cached"] for row in first.json["results"] + second.json["results"]] == [False] * 3 + [
        True
    ] * 3
    assert sorted(calls(folder)) == ["1", "2", "3"]
    assert "all cached" in second.err


@pytest.mark.slow
def test_a_table_is_printed_for_people(folder: Path) -> None:
    told = command("run", "experiment.py:experiment", "matrix.json", "--executor", "serial", cwd=folder)
    assert told.code == 0
    assert "3 done" in told.out
    assert [line.split()[1:3] for line in told.out.splitlines()[-3:]] == [["1", "1"], ["2", "4"], ["3", "9"]]


@pytest.mark.slow
def test_a_file_and_its_module_name_share_results(folder: Path) -> None:
    command("run", "experiment.py:experiment", "matrix.json", "--executor", "serial", cwd=folder)
    told = command("run", "experiment:experiment", "matrix.json", "--json", cwd=folder)
    assert [row["was_cached"] for row in told.json["results"]] == [True] * 3


@pytest.mark.slow
def test_a_callable_object_is_an_experiment(folder: Path) -> None:
    told = command("run", "experiment.py:squarer", "matrix.json", "--json", "-j", "1", cwd=folder)
    assert [row["value"] for row in told.json["results"]] == [1, 4, 9]


@pytest.mark.slow
def test_a_dry_run_computes_nothing_and_force_run_everything(folder: Path) -> None:
    target = ("run", "experiment.py:experiment", "matrix.json", "--executor", "serial")
    dry = command(*target, "--dry-run", "--no-progress", cwd=folder)
    assert dry.code == 0
    assert "3 configurations: 0 cached, 0 failed before, 3 new" in dry.out + dry.err
    assert calls(folder) == []
    command(*target, cwd=folder)
    command(*target, "--force-run", cwd=folder)
    assert sorted(calls(folder)) == ["1", "1", "2", "2", "3", "3"]


@pytest.mark.slow
def test_values_of_the_matrix_are_set_from_the_command_line(folder: Path) -> None:
    target = ("run", "experiment.py:experiment", "matrix.json", "--executor", "serial")
    ran = command(*target, "--set", "x={start: 4, stop: 6}", cwd=folder)
    assert (ran.code, sorted(calls(folder))) == (0, ["4", "5"])
    wrong = command(*target, "--set", "y=4", cwd=folder)
    assert wrong.code == 2
    assert "--set y: the matrix has no such parameter or setting." in wrong.err


def test_failures_exit_with_1_and_are_explained(project: Project) -> None:
    assert project.first.code == 1
    assert "2 of 6 tasks failed" in project.first.err
    assert "ValueError: three is too much (experiment.py:" in project.first.err
    assert "x=3" in project.first.err
    assert "What there is" not in project.first.err  # nobody can type anything here


@pytest.mark.parametrize("option", [("--fail-fast",), ("--max-failures", "1")])
def test_a_run_that_ends_early_exits_with_1_and_says_how_to_go_on(
    inside: Path, option: tuple[str, ...]
) -> None:
    ran = memento("run", "experiment.py:broken", "matrix.json", "--executor", "serial", *option)
    assert ran.code == 1
    assert "1 task not started. What finished is kept: run it again to go on." in ran.err


@pytest.mark.parametrize(("sample", "count"), [("2", 2), ("34%", 1), ("0.67", 2), ("100%", 3), ("99", 3)])
def test_a_sample_is_a_number_of_tasks_or_a_share(inside: Path, sample: str, count: int) -> None:
    target = ("run", "experiment.py:experiment", "matrix.json", "--executor", "serial", "--sample", sample)
    assert len(memento(*target, "--json").json["results"]) == count == len(calls(inside))


def test_with_failures_json_still_has_every_row(project: Project) -> None:
    rows = project.first.json["results"]
    assert [row["status"] for row in rows] == ["done", "done", "failed"] * 2
    assert (rows[1]["square"], rows[1]["value"]) == (4, None)
    assert "three is too much" in rows[2]["error"]


WRONG = [
    ("experiment.py:experimnt", "matrix.json", "Did you mean experiment?"),
    ("experiment.py:number", "matrix.json", "no function"),
    ("experiment.py", "matrix.json", "experiment.py:func"),
    (":experiment", "matrix.json", "experiment.py:func"),
    ("experiment.py:", "matrix.json", "experiment.py:func"),
    ("missing.py:experiment", "matrix.json", "no file missing.py"),
    ("no.such.module:experiment", "matrix.json", "no module"),
    ("experiment.py:experiment", "missing.json", "no matrix missing.json"),
    ("experiment.py:\x1b[31mred", "matrix.json", "red"),
]


@pytest.mark.parametrize(("target", "matrix", "said"), WRONG)
def test_what_is_not_there_is_wrong_usage(inside: Path, target: str, matrix: str, said: str) -> None:
    told = memento("run", target, matrix)
    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert "\x1b" not in told.err
    assert not (inside / "memento-store").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("-j", "0"),
        ("-j", "many"),
        ("--executor", "proceses"),
        ("--executor", "dusk"),
        ("--retries", "-1"),
        ("--timeout", "0"),
        ("--memory-limit", "much"),
        ("--fail-fast", "--max-failures", "5"),
        ("--on-code-change", "panic"),
        ("--sample", "0"),
        ("--sample", "many"),
        ("--sample", "150%"),
        ("--on-oom", "dubble", "--memory-limit", "1GB"),
        ("--on-oom", "double"),  # no limit to double
        ("--until", "8h"),
        ("--budget", "0"),
        ("--no-such-option",),
    ],
)
def test_a_wrong_option_is_wrong_usage(inside: Path, option: tuple[str, ...]) -> None:
    told = memento("run", "experiment.py:experiment", "matrix.json", *option)
    assert (told.code, told.out) == (2, "")
    assert told.err
    assert not (inside / "memento-store").exists()


def test_a_dry_run_as_json_is_a_plan(inside: Path) -> None:
    told = memento("run", "experiment.py:experiment", "matrix.json", "--dry-run", "--json")
    assert (told.code, told.json["schema"], told.json["to_run"], calls(inside)) == (
        0,
        "memento.plan/1",
        3,
        [],
    )


def test_a_plan_is_what_a_dry_run_says_and_lists_all_if_asked(inside: Path) -> None:
    (inside / "matrix.json").write_text('{"parameters": {"x": [1, 2, 3, 4, 5, 6, 7, 8], "y": [0]}}')
    target = ("experiment.py:broken", "matrix.json", "--executor", "serial")
    assert memento("run", *target, "--only", "x=1", "--only", "x=2").code == 1
    told = memento("plan", *target)
    assert told.out == memento("run", *target, "--dry-run").out
    assert "8 configurations: 1 cached, 1 failed before, 6 new; about " in told.out
    assert "  x: 1, 2, 3, 4, 5, 6, 7, 8 (8 values)\n  the same in all: y=0\n  new: 6\n" in told.out
    assert "    all 6 have x >= 3, no other task has it\n    x=3, y=0\n" in told.out
    assert "    ... and 2 more\n  failed before: 1\n    x=2, y=0\n  cached: 1\n" in told.out
    every = memento("plan", *target, "--all").out
    assert [f"x={x}, y=0" in every for x in range(1, 9)] == [True] * 8
    assert "more" not in every
    plan = memento("plan", *target, "--json", "x=[2, 3]").json
    assert {kind["reason"]: (kind["count"], kind["runs"]) for kind in plan["kinds"]} == {
        "new": (1, True),
        "failed before": (1, True),
    }
    assert plan["varies"] == [{"name": "x", "count": 2, "texts": ["2", "3"], "given": ""}]
    assert len(plan["kinds"][0]["tasks"][0]["key"]) == 32
    assert len(calls(inside)) == 0


NOT_FOR_A_COMMAND_LINE = {
    "self", "func", "matrix",
    "notification_provider", "notify_on_complete", "listeners", "initializer",  # objects of Python
    "on_error",  # rows of failed tasks are printed, and the exit code tells
    "cache_path",  # 1.2.0's word for --store
}  # fmt: skip


@pytest.mark.parametrize("name", ["run", "plan"])
def test_every_option_of_memento_is_one_of_the_command_line(name: str) -> None:
    of_python = {*signature(Memento.__init__).parameters, *signature(Memento.run).parameters}
    options = {*signature(getattr(declare_running, name)).parameters} | (
        {"dry_run"} if name == "plan" else set()
    )
    assert of_python - NOT_FOR_A_COMMAND_LINE - options == set()


@pytest.mark.parametrize(
    "words",
    [
        ("x=[4, 5]",),
        ("--set", "x=[4, 5]"),
        ("--set", "x=[9]", "x=[4, 5]"),
        ("--order", "matrix", "x=[4, 5]", "--cpus-per-task", "1"),
    ],
)
def test_values_are_set_with_and_without_an_option(inside: Path, words: tuple[str, ...]) -> None:
    target = ("run", "experiment.py:experiment", "matrix.json", "--executor", "serial")
    assert memento(*target, *words).code == 0
    assert calls(inside) == ["4", "5"]


def test_with_only_the_others_stay_as_they_are(inside: Path) -> None:
    target = ("run", "experiment.py:experiment", "matrix.json", "--executor", "serial")
    first = memento(*target, "--only", "x=3", "--json")
    assert [(row["x"], row["value"]) for row in first.json["results"]] == [(3, 9)]
    second = memento(*target, "--only", "x=3", "--only", "x=1")
    assert "2 tasks: 2 done" in second.out
    assert calls(inside) == ["3", "1"]
    key = first.json["results"][0]["key"]
    assert memento(*target, "--only", key[:10], "--force-run").code == 0
    assert calls(inside) == ["3", "1", "3"]
    for wrong, said in (
        ("y=1", "there is no parameter 'y'"),
        ("x=7", "its values are: 1, 2, 3"),
        ("f" * 20, "no task"),
    ):
        told = memento(*target, "--only", wrong)
        assert told.code == 2
        assert said in told.err


@pytest.mark.parametrize("words", [("plan",), ("run",), ("run", "--only", "x=1"), ("run", "--dry-run")])
def test_a_script_that_runs_when_it_is_imported_computes_nothing(
    inside: Path, words: tuple[str, ...]
) -> None:
    """Scripts need no guard to be started; a function of theirs is another matter."""
    script = (inside / "experiment.py").read_text()
    own = (
        'import memento\nmemento.Memento(experiment, executor="serial").run({"parameters": {"x": [7, 8]}})\n'
    )
    (inside / "runs.py").write_text(f"{script}\n{own}")
    told = memento(words[0], "runs.py:experiment", "matrix.json", "--executor", "serial", *words[1:])
    assert (told.code, calls(inside)) == (2, [])
    assert "python runs.py" in told.err
    assert '__name__ == "__main__"' in told.err


def test_a_failing_run_as_json_tells_its_failures_by_cause(project: Project) -> None:
    (cause,) = project.first.json["failures"]
    assert (cause["count"], len(cause["keys"])) == (2, 2)
    assert "ValueError: three is too much" in cause["title"]
    assert "x=3" in cause["rule"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--on-code-change", "reurn"), "Did you mean 'rerun'?"),
        (("--order", "longest"), "Did you mean 'longest-first'?"),
        (("--executor", "proceses"), "Did you mean 'processes'?"),
        (("--memory-limt", "1GB"), "--memory-limit"),
    ],
)
def test_a_misspelt_option_or_value_is_put_right(inside: Path, option: tuple[str, ...], said: str) -> None:
    told = memento("run", "experiment.py:experiment", "matrix.json", *option)
    assert told.code == 2
    assert said in told.err


@pytest.mark.slow
def test_a_program_has_its_environment_and_folder(folder: Path) -> None:
    (folder / "there").mkdir()
    code = (
        "import json, os; print(json.dumps(dict(y=os.environ['A'] + os.path.basename(os.getcwd()) + '{x}')))"
    )
    (folder / "there" / "train.py").write_text(code.replace("'{x}'", "__import__('sys').argv[1]"))
    line = (
        "run",
        "--command",
        "python train.py {x}",
        "matrix.json",
        "x=7",
        "--cwd",
        "there",
        "--env",
        "A=b=c",
    )
    told = command(*line, "--json", "-j", "1", cwd=folder)
    assert told.code == 0, told.err
    assert [row["y"] for row in told.json["results"]] == ["b=cthere7"]


def test_a_matrix_that_is_wrong_says_where(inside: Path) -> None:
    (inside / "matrix.json").write_text('{"parametres": {"x": [1]}}', encoding="utf-8")
    told = memento("run", "experiment.py:experiment", "matrix.json")
    assert (told.code, told.out) == (2, "")
    assert "parametres" in told.err
    assert "'parameters'" in told.err


def test_an_error_in_the_users_file_keeps_its_traceback(folder: Path) -> None:
    (folder / "experiment.py").write_text("import no_such_package\n", encoding="utf-8")
    told = command("run", "experiment.py:experiment", "matrix.json", cwd=folder)
    assert told.code == 1
    assert "Traceback" in told.err
    assert "no_such_package" in told.err


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_run_that_is_interrupted_goes_on_with_what_is_missing(folder: Path, name: str, code: int) -> None:
    process = start("run", "experiment.py:gated", "matrix.json", "-j", "1", "--json", cwd=folder)
    try:
        # Task 1 is done and durable, or was never begun: either way one of the others has begun.
        wait_until(lambda: {"2", "3"} & set(calls(folder)), process)
        os.kill(process.pid, getattr(signal, name))
        out, err = process.communicate(timeout=GENEROUS)
    finally:
        process.kill()
    told = Ran(process.returncode, out, err)
    assert told.code == code, err
    assert "Traceback" not in told.err
    (folder / "calls.txt").unlink()
    (folder / "open").touch()
    again = command("run", "experiment.py:gated", "matrix.json", "-j", "1", "--json", cwd=folder)
    assert again.code == 0
    rows = json.loads(again.out)["results"]
    assert [row["value"] for row in rows] == [1, 4, 9]
    kept = {str(row["x"]) for row in rows if row["was_cached"]}
    assert set(calls(folder)) == {"1", "2", "3"} - kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "matrix", "line"),
    [
        ("def experiment(x, y): pass", '{"parameters": {"x": [1]}}', "nothing provides 'y'."),
        (
            "def experiment(x=1): pass",
            '{"parameters": {"z": [1]}}',
            "parameters['z']: experiment(x) does not",
        ),
        ("class experiment: pass", '{"parameters": {"x": [1]}}', "experiment is a class"),
        ("def experiment(context, config): pass", '{"x": [1]}', "Write {'parameters': {'x': [1]}}."),
    ],
    ids=["nothing provides", "nobody takes", "class", "flat"],
)
def test_what_is_wrong_with_function_or_matrix_is_said_without_a_traceback(
    tmp_path: Path, code: str, matrix: str, line: str
) -> None:
    (tmp_path / "exp.py").write_text(code, encoding="utf-8")
    (tmp_path / "matrix.json").write_text(matrix, encoding="utf-8")
    told = command("run", "exp.py:experiment", "matrix.json", cwd=tmp_path)
    assert told.code in (1, 2)
    assert line in told.err
    assert "Traceback" not in told.err
    assert not (tmp_path / "memento-store").exists()


TRAIN = """
import json, sys
print(json.dumps({"loss": 0.5, "step": 1}))
if sys.argv[1] == "3": raise ValueError("three is too much")
json.dump(int(sys.argv[1]) ** 2, open(sys.argv[2] + "/result.json", "w"))
"""


@pytest.mark.slow
def test_a_command_is_run_over_a_matrix(folder: Path) -> None:
    (folder / "train.py").write_text(TRAIN, encoding="utf-8")
    line = (
        "run",
        "--command",
        "python train.py {x} {context.directory}",
        "matrix.json",
        "--result",
        "result.json",
    )
    told = command(*line, "--json", "-j", "1", cwd=folder)
    assert told.code == 1
    assert [row["value"] for row in told.json["results"]] == [1, 4, None]
    assert "CommandFailed: exit code 1: ValueError: three is too much (train.py:4)" in told.err
    again = command(*line, "--json", "-j", "1", cwd=folder)
    assert [row["was_cached"] for row in again.json["results"]][:2] == [True, True]
    key = again.json["results"][0]["key"]
    shown = command("show", key, cwd=folder).out
    assert "command     python train.py {x} {context.directory}" in shown
    assert "artifact    result.json" in shown
    assert "metric      loss: 1 value, last 0.5" in shown
    assert "command     python train.py {x}" in command("why", key, cwd=folder).out
    assert f"train.py 1 {folder}" in command("logs", key, cwd=folder).out


@pytest.mark.slow
def test_a_command_from_here_and_from_a_script_are_one_experiment(folder: Path) -> None:
    (folder / "train.py").write_text(TRAIN, encoding="utf-8")
    (folder / "matrix.json").write_text('{"parameters": {"x": [1, 2]}}', encoding="utf-8")
    command("run", "--command", "python train.py {x} {context.directory}", "matrix.json", cwd=folder)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "run.py").write_text(
        "from memento import Memento, command\n"
        "train = command('python train.py {x} {context.directory}')\n"
        "results = Memento(train).run('matrix.json')\n"
        "print(sum(r.was_cached for r in results))\n",
        encoding="utf-8",
    )
    told = subprocess.run(
        [sys.executable, "scripts/run.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines()[-1] == "2", told.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("experiment.py:experiment",), "give the matrix too: memento run experiment.py:experiment MATRIX\n"),
        (
            ("matrix.json",),
            "memento run FILE:FUNC matrix.json; or a program: memento run --command '...' matrix.json",
        ),
        (("experimant.py:experiment", "matrix.json"), "no file experimant.py. Did you mean experiment.py?"),
        (("./experimant.py:f", "matrix.json"), "no file experimant.py. Did you mean experiment.py?"),
        (("nowhere/experiment.py:f", "matrix.json"), "no file nowhere/experiment.py.\n"),
        (("experiment.py:experiment", "matrx.json"), "no matrix matrx.json. Did you mean matrix.json?"),
        ((), "memento run FILE:FUNC MATRIX"),
        (("--command", "env {x}"), "give the matrix too: memento run --command '...' MATRIX"),
        (("experiment.py:experiment", "matrix.json", "--command", "python a.py {x}"), "not both"),
        (("experiment.py:experiment", "matrix.json", "--cwd", "x"), "--cwd belongs to --command"),
        (("experiment.py:experiment", "matrix.json", "other.json"), "NAME=VALUE"),
        (("matrix.json", "--command", "env {x}", "--env", "A"), "--env A: write NAME=VALUE"),
        (("experiment.py:experiment", "matrix.json", "--result", "r.json"), "--result belongs to --command"),
        (("missing.json", "--command", "env {x}"), "no matrix missing.json"),
        (("matrix.json", "--command", "env {x"), "Write {{ and }} for braces"),
        (("matrix.json", "--command", "env {y}"), "there is no parameter or setting for {y}"),
        (("matrix.json", "--command", "env"), "nothing in it takes the parameter 'x'"),
    ],
)
def test_a_wrong_command_is_told(inside: Path, line: tuple[str, ...], said: str) -> None:
    told = memento("run", *line)
    assert told.code in (1, 2)
    assert said in told.err
    assert not (inside / "memento-store").exists()


def test_a_second_word_after_only_is_refused(inside: Path) -> None:
    target = ("experiment.py:experiment", "matrix.json", "--executor", "serial")
    for verb in ("run", "plan"):
        told = memento(verb, *target, "--only", "x=1", "x=2")
        assert told.code == 2
        assert "write --only x=1 --only x=2; or --set x=2, which sets another value." in told.err
    assert not (inside / "memento-store").exists()
    assert memento("run", *target, "--only", "x=7", "--set", "x=[7, 8]").code == 0
    assert calls(inside) == ["7"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:\n", "SyntaxError"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("from os import no_such_name\n", "ImportError"),
        ("try:\n    1 / 0\nexcept Exception as e:\n    raise ValueError(7) from e\n", "ValueError: 7"),
        ("import sys\nsys.exit('over')\n", "SystemExit: over"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["run", "plan", "adopt", "import"])
def test_a_file_that_cannot_be_imported_is_told_by_its_own_lines(
    inside: Path, verb: str, source: str, said: str
) -> None:
    (inside / "torn.py").write_text(source, encoding="utf-8")
    (inside / "old.csv").write_text("x,value\n1,1\n", encoding="utf-8")
    line = (verb, *(["old.csv"] if verb == "import" else []), "torn.py:f", "matrix.json")
    told = memento(*line)
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("memento: torn.py could not be imported:\nTraceback" if "Syntax" not in said else
                               "memento: torn.py could not be imported:\n")  # fmt: skip
    assert said in told.err.splitlines()[-1]
    files = [row for row in told.err.splitlines() if row.startswith("  File ")]
    assert files
    assert all("torn.py" in row for row in files)
    error = json.loads(memento(*line, "--json").err.splitlines()[-1])
    check(error)
    assert (error["exit_code"], error["kind"]) == (1, "FailedImport")
    assert said in error["error"]
    sys.modules.pop("torn", None)


def test_a_matrix_before_its_function_is_told(inside: Path) -> None:
    told = memento("run", "matrix.json", "experiment.py:experiment")
    assert told.code == 2
    assert "the function comes first: memento run experiment.py:experiment matrix.json" in told.err


@pytest.mark.parametrize("share", ["200%", "2.0"])
def test_a_share_of_tasks_is_at_most_all(inside: Path, share: str) -> None:
    told = memento("run", "experiment.py:experiment", "matrix.json", "--sample", share)
    assert told.code == 2
    assert f"--sample {share}: a share is at most 100%" in told.err
