"""`memento retry --run`: exactly the failed tasks that are named run again, by what has run them before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memento.cli.choosing import wanted
from memento.cli.retry_now import failed_tasks, why_not
from memento.cli.start_again import Ended, Start
from memento.runner.asked_for import Answer
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
from tests.cli.calling import GENEROUS, Ran, command, memento, start, wait_until

SCRIPT = """
import os, sys, time
from memento import Memento

def train(context, config):
    with open("calls.txt", "a") as file:
        file.write(f"{config.x} {context.resources.memory_limit}\\n")
    if os.path.exists("wait"):
        time.sleep(100)
    if config.x % 3 == 0 and not os.path.exists("fixed"):
        raise ValueError(f"{config.x} is too much")
    return config.x

if __name__ == "__main__":
    print("arguments", sys.argv[1:])
    results = Memento(train, num_workers=1).run({"parameters": {"x": [1, 2, 3, 4, 5, 6], "model": ["a", "b"]}})
    print("after", len(results))
"""
MATRIX = "parameters: {x: [1, 2, 3, 4, 5, 6], model: [a, b]}\n"


class Project:
    """A folder with a script of twelve tasks, four of which fail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pyproject.toml").touch()
        (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
        (folder / "matrix.yaml").write_text(MATRIX, encoding="utf-8")

    def script(self, *words: str) -> None:
        subprocess.run([sys.executable, *words], cwd=self.folder, capture_output=True, check=False)
        self.forget_calls()

    def by_memento(self) -> None:
        ran = command("run", "train.py:train", "matrix.yaml", "-j", "1", cwd=self.folder)
        assert ran.code == 1, ran.err
        self.forget_calls()

    def forget_calls(self) -> None:
        (self.folder / "calls.txt").unlink(missing_ok=True)

    @property
    def calls(self) -> list[str]:
        try:
            return sorted((self.folder / "calls.txt").read_text().splitlines())
        except FileNotFoundError:
            return []

    def __call__(self, *arguments: str, cwd: Path | None = None) -> Ran:
        return command(*arguments, cwd=cwd or self.folder)

    def statuses(self) -> Counter[str]:
        told = self("ls", "--json", "--limit", "0").json["tasks"]
        return Counter(task["status"] for task in told)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


WAYS: dict[str, Callable[[Project], None]] = {
    "script": lambda project: project.script("train.py", "--some", "argument"),
    "memento run": lambda project: project.by_memento(),
    "module": lambda project: project.script("-u", "-m", "train"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_failed_tasks_run_again_with_more_memory_and_no_others(project: Project, way: str) -> None:
    WAYS[way](project)
    (project.folder / "fixed").touch()
    told = project("retry", "model=a", "--memory-limit", "1GB")
    assert told.code == 0, told.err
    assert project.calls == ["3 1000000000", "6 1000000000"]
    assert "2 tasks run again: 2 done, 0 failed" in told.out
    assert "2 other tasks of its matrix have no result, so the script was ended here" in told.out
    assert "after" not in told.out
    assert project.statuses() == {"done": 10, "failed": 2}
    project.forget_calls()
    rest = project("retry", "--run", "-j", "2")
    assert rest.code == 0, rest.err
    assert project.calls == ["3 None", "6 None"]
    assert project.statuses() == {"done": 12}
    if way == "script":  # which had all its results, and went on
        assert "arguments ['--some', 'argument']" in rest.out
        assert "after 12" in rest.out


@pytest.mark.slow
def test_what_was_set_back_before_runs_again_with_more_memory(project: Project) -> None:
    project.script("train.py")
    assert project("retry", "--failed").code == 0
    (project.folder / "fixed").touch()
    told = project("retry", "--failed", "--memory-limit", "1GB", "--from-scratch")
    assert told.code == 0, told.err
    assert project.calls == [*["3 1000000000"] * 2, *["6 1000000000"] * 2]
    assert "4 tasks run again: 4 done, 0 failed" in told.out
    assert project.statuses() == {"done": 12}


def test_what_was_set_back_is_named_by_its_key_but_not_by_parameters(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        run = store.begin(info_of())
        run.commit([row_of(1), *(row_of(n, failed="no", started=1e9) for n in (2, 3, 4))])
        run.finish("failed", {})
        store.retry([key_of(2), key_of(3)])

        def meant(*arguments: str, **options: Any) -> list[bytes]:
            return [task.key for task in failed_tasks(store, wanted(arguments, **options))]

        assert meant() == meant(failed=True) == [key_of(4), key_of(2), key_of(3)]
        assert meant(key_of(3).hex()[:9]) == [key_of(3)]
        assert meant(key_of(1).hex(), key_of(4).hex(), key_of(2).hex()) == [key_of(4), key_of(2)]
        assert meant(newer_than="1h") == []
        assert meant(older_than="1h", experiment="experiment") == [key_of(4), key_of(2), key_of(3)]
    told = memento("retry", "n=1", "--run", "--store", tmp_path)
    assert told.code == 1
    assert "2 failed tasks were set back before, and parameters cannot name such tasks" in told.out


def test_nothing_to_do_is_a_failure_where_an_option_says_how(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.begin(info_of()).commit([row_of(1)])
    for options, code in ((("--run",), 0), (("--memory-limit", "1GB"), 1), (("--by", "python x.py"), 1)):
        told = memento("retry", *options, "--store", tmp_path)
        assert (told.code, told.out) == (code, "no task failed\n")


@pytest.mark.slow
def test_a_run_of_chosen_tasks_runs_again_with_those_that_are_named(project: Project) -> None:
    project("run", "train.py:train", "matrix.yaml", "-j", "1", "--only", "model=a")
    (project.folder / "fixed").touch()
    project.forget_calls()
    told = project("retry", "--run", "x=3")
    assert told.code == 0, told.err
    assert project.calls == ["3 None"]
    assert project.statuses() == {"done": 5, "failed": 1}
    assert "computes them" not in told.out  # the same line would compute its own alone


@pytest.mark.slow
def test_those_that_fail_again_are_told_by_cause_and_exit_with_1(project: Project) -> None:
    project.script("train.py")
    told = project("retry", "--run", "model=b")
    assert told.code == 1
    assert "2 tasks run again: 0 done, 2 failed" in told.out
    assert "2 tasks: ValueError" in told.out
    assert "Traceback" not in told.err
    assert project.calls == ["3 None", "6 None"]


@pytest.mark.slow
def test_as_json_only_json_is_printed_on_stdout(project: Project) -> None:
    project.script("train.py")
    (project.folder / "fixed").touch()
    told = project("retry", "--run", "model=b", "--json")
    assert (told.code, told.json["done"], told.json["not_computed"]) == (0, 2, 0)
    assert {task["status"] for task in told.json["retried"]} == {"done"}
    assert told.json["runs"][0]["command"] == ["python", "train.py"]
    assert project("retry", "--run", "x=1", "--json").json["retried"] == []
    assert "none of these tasks failed" in project("retry", "--run", "x=1").out


@pytest.mark.slow
def test_tasks_that_the_script_has_no_more_are_told(project: Project) -> None:
    project.script("train.py")
    changed = SCRIPT.replace('"model": ["a", "b"]', '"model": ["b"]')
    (project.folder / "train.py").write_text(changed, encoding="utf-8")
    told = project("retry", "--run", "model=a")
    assert (told.code, project.calls) == (1, [])
    assert "2 not computed" in told.out
    assert "has no such tasks any more" in told.out


@pytest.mark.slow
def test_a_script_that_fails_before_its_run_is_told(project: Project) -> None:
    project.script("train.py")
    (project.folder / "train.py").write_text("1 / 0\n", encoding="utf-8")
    told = project("retry", "--run")
    assert (told.code, project.calls) == (1, [])
    assert "ended with exit code 1 before it came to them" in told.out
    assert "ZeroDivisionError" in told.err


@pytest.mark.slow
def test_from_another_folder_the_script_is_started_in_its_own(project: Project, tmp_path: Path) -> None:
    project.script("train.py")
    (project.folder / "fixed").touch()
    other = tmp_path / "other"
    other.mkdir()
    told = project("retry", "--run", "--store", str(tmp_path / "memento-store"), cwd=other)
    assert told.code == 0, told.err
    assert len(project.calls) == 4


@pytest.mark.slow
def test_what_was_typed_at_a_prompt_says_what_would_do_and_by_does_it(project: Project) -> None:
    project.script("-c", "import runpy; runpy.run_path('train.py', run_name='__main__')")
    told = project("retry", "--run")
    assert told.code == 2
    assert "--by 'python SCRIPT ...'" in told.err


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupt_ends_the_script_too_and_leaves_the_failures(
    project: Project, name: str, code: int
) -> None:
    project.script("train.py")
    (project.folder / "wait").touch()
    process = start("retry", "--run", "-j", "1", cwd=project.folder)
    try:
        wait_until(lambda: project.calls, process)
        number = getattr(signal, name)
        if name == "SIGINT":  # which a terminal sends to all
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
        process.communicate(timeout=GENEROUS)
    finally:
        process.kill()
    assert process.returncode == code
    (project.folder / "wait").unlink()
    assert project.statuses() == {"done": 8, "failed": 4}


@pytest.mark.slow
def test_a_wrong_option_starts_nothing(project: Project) -> None:
    project.script("train.py")
    for option in (("--memory-limit", "much"), ("--timeout", "soon"), ("-j", "0"), ("--memory-limit", "0")):
        assert project("retry", *option).code == 2
    assert project.calls == []


@pytest.mark.parametrize(
    ("met", "left", "code", "said"),
    [
        (2, 1, 1, "1 was not started, or did not end by itself; python train.py says why above."),
        (3, 2, 1, "2 were not started, or did not end by themselves; python train.py says why above."),
        (
            1,
            1,
            1,
            "python train.py ended with exit code 1 before it came to it, or has no such tasks any more.",
        ),
        (0, 2, 1, "python train.py ended with exit code 1 before it came to them."),
        (1, 1, 0, "python train.py has no such tasks any more: its matrix, "),
    ],
)
def test_why_tasks_were_not_computed_is_told_apart(met: int, left: int, code: int, said: str) -> None:
    asked = max(left, met) if met > 1 else 2
    assert why_not(Ended(code, Answer(met=met)), asked, left, Start(("train.py",), "/")).startswith(said)
