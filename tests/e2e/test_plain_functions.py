"""An experiment that names its parameters runs as it is: everywhere, with its defaults, which belong to its results."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from memento import Config, Context, Memento

MATRIX: dict[str, Any] = {"parameters": {"lr": [1, 2], "hidden": [3, 4]}, "settings": {"folds": 5}}


def train(lr: int, hidden: int, folds: int, n_epochs: int = 10) -> tuple[int, ...]:
    return lr, hidden, folds, n_epochs


def around(config: Config, hidden: int, ctx: Context, **rest: Any) -> tuple[Any, ...]:
    ctx.record({"hidden": hidden})
    return config.lr, hidden, rest["folds"], rest["lr"]


async def awaited(lr: int, *, hidden: int, folds: int) -> tuple[int, ...]:
    return lr, hidden, folds


class Trainer:
    def fit(self, lr: int, hidden: int, folds: int) -> tuple[int, ...]:
        return lr, hidden, folds


@pytest.mark.parametrize(
    ("executor", "func"),
    [
        *itertools.product(["serial", "threads", "pool"], [train, around, awaited, Trainer().fit]),
        ("processes", train),
        *(
            pytest.param("processes", func, marks=pytest.mark.slow)
            for func in (around, awaited, Trainer().fit)
        ),
    ],
)
def test_it_runs_on_every_executor(tmp_path: Path, func: Any, executor: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = Memento(
            func, executor=pool if executor == "pool" else executor, store=tmp_path, progress=False
        )
        results = runs.run(MATRIX)
    assert results is not None
    assert [result.inner[:3] for result in results] == [(lr, h, 5) for lr in (1, 2) for h in (3, 4)]


def test_the_result_of_another_matrix_is_an_argument_by_its_id(tmp_path: Path) -> None:
    def step(dataset: str = "", clean: str = "", lr: int = 0) -> str:
        return f"{dataset}{clean}{lr}"

    runs = Memento(step, executor="serial", store=tmp_path, progress=False)
    runs.add_matrix({"id": "clean", "parameters": {"dataset": ["a", "b"]}})
    runs.add_matrix({"id": "fit", "parameters": {"lr": [1]}, "dependencies": ["clean"]})
    results = runs.run_all()
    assert results is not None
    fitted = results["fit"]
    assert fitted is not None
    assert [result.inner for result in fitted] == ["a01", "b01"]


def test_an_argument_that_a_later_matrix_lacks_is_told_before_the_first_runs(tmp_path: Path) -> None:
    runs = Memento(lambda x: x, executor="serial", store=tmp_path / "store", progress=False, name="x")
    runs.add_matrix({"id": "first", "parameters": {"x": [1]}})
    runs.add_matrix({"id": "second", "parameters": {"y": [1]}})
    with pytest.raises(TypeError, match="nothing provides 'x'"):
        runs.run_all()
    assert not (tmp_path / "store").exists()


def test_a_setting_that_nobody_takes_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs = Memento(Trainer().fit, executor="serial", store=tmp_path, progress=False)
    runs.run({**MATRIX, "settings": {"folds": 5, "comment": "x"}})
    assert "fit does not take the setting 'comment'" in caplog.text


SCRIPT = """
from memento import Memento
def train({arguments}): return {value}
if __name__ == "__main__":
    runs = Memento(train, executor={executor!r}, progress=False, store="store")
    print([(result.inner, result.was_cached) for result in runs.run({matrix})])
"""


def write_and_run(
    folder: Path, arguments: str, value: str = "n", matrix: dict[str, Any] | None = None
) -> str:
    """Write a script anew and return what it prints; results are of the tasks of this matrix."""
    (folder / "pyproject.toml").touch()
    script = folder / "exp.py"
    matrix = matrix or {"parameters": {"x": [1]}}
    script.write_text(SCRIPT.format(arguments=arguments, value=value, executor="serial", matrix=matrix))
    ran = subprocess.run([sys.executable, script.name], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


class TestDefaults:
    @pytest.mark.slow
    def test_results_of_another_default_are_not_served(self, tmp_path: Path) -> None:
        assert write_and_run(tmp_path, "x, n=10") == "[(10, False)]"
        assert write_and_run(tmp_path, "x, n=10") == "[(10, True)]"
        assert write_and_run(tmp_path, "x, n=20") == "[(20, False)]"
        assert write_and_run(tmp_path, "x, n=20", "n + 0") == "[(20, True)]"  # it is code that has changed
        assert write_and_run(tmp_path, "x, *, n=20.0") == "[(20.0, False)]"
        assert write_and_run(tmp_path, "x, n=(1, 2)") == "[((1, 2), False)]"
        for constant in ("b'a'", "b'b'", "1j", "2j"):
            assert write_and_run(tmp_path, f"x, n={constant}") == f"[({constant}, False)]"

    @pytest.mark.slow
    def test_results_of_another_default_are_not_served_once_the_code_is_adopted(self, tmp_path: Path) -> None:
        given = {"parameters": {"x": [1, 2], "n": [7]}, "when": {"n": {"x": 1}}}
        write_and_run(tmp_path, "x, n=10", matrix=given)
        one = {"parameters": {"x": [1], "n": [7]}}
        assert write_and_run(tmp_path, "x, n=20", matrix=one) == "[(7, True)]"
        adopt = [sys.executable, "-m", "memento", "adopt", "exp.py:train", "--store", "store"]
        adopted = subprocess.run(adopt, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "exp.py:train" in adopted.stdout
        assert write_and_run(tmp_path, "x, n=20", matrix=given) == "[(7, True), (20, False)]"
        assert write_and_run(tmp_path, "x, n=20", matrix=given) == "[(7, True), (20, True)]"

    @pytest.mark.slow
    def test_a_run_that_waits_for_another_takes_nothing_of_another_default(self, tmp_path: Path) -> None:
        waits = "[Path('began').touch(), [time.sleep(0.05) for _ in iter(Path('go').exists, True)], n][-1]"
        text = f"import time\nfrom pathlib import Path\n{SCRIPT}"
        script = tmp_path / "exp.py"

        def start(arguments: str) -> subprocess.Popen[str]:
            given = {"parameters": {"x": [1]}}
            script.write_text(text.format(arguments=arguments, value=waits, executor="serial", matrix=given))
            return subprocess.Popen(
                [sys.executable, "exp.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
            )

        (tmp_path / "pyproject.toml").touch()
        with start("x, n=10") as one:
            while not (tmp_path / "began").exists():
                assert one.poll() is None
                time.sleep(0.05)
            with start("x, n=20") as other:
                time.sleep(
                    2
                )  # it waits by now; if it does not, it finds the result later, and the same must come out
                (tmp_path / "go").touch()
                told = [process.communicate(timeout=300)[0].strip() for process in (one, other)]
        assert told == ["[(10, False)]", "[(20, False)]"]

    @pytest.mark.slow
    def test_a_new_argument_with_a_default_keeps_what_was_there(self, tmp_path: Path) -> None:
        write_and_run(tmp_path, "x", "10")
        assert write_and_run(tmp_path, "x, n=10") == "[(10, True)]"

    @pytest.mark.slow
    def test_a_default_that_no_task_uses_changes_nothing(self, tmp_path: Path) -> None:
        given = {"parameters": {"x": [1], "n": [10, 20]}}
        write_and_run(tmp_path, "x, n=10", matrix=given)
        assert write_and_run(tmp_path, "x, n=20", matrix=given) == "[(10, True), (20, True)]"
        fixed = {"parameters": {"x": [1]}, "settings": {"n": 5}}
        write_and_run(tmp_path, "x, n=10", matrix=fixed)
        assert write_and_run(tmp_path, "x, n=20", matrix=fixed) == "[(5, True)]"

    @pytest.mark.slow
    def test_only_the_tasks_that_lack_a_parameter_are_of_its_default(self, tmp_path: Path) -> None:
        given = {"parameters": {"x": [1, 2], "n": [7]}, "when": {"n": {"x": 1}}}
        assert write_and_run(tmp_path, "x, n=10", matrix=given) == "[(7, False), (10, False)]"
        assert write_and_run(tmp_path, "x, n=20", matrix=given) == "[(7, True), (20, False)]"

    @pytest.mark.slow
    def test_a_grid_that_grows_by_it_keeps_what_was_computed_with_the_default(self, tmp_path: Path) -> None:
        write_and_run(tmp_path, "x, n=10")
        grown = {"parameters": {"x": [1], "n": [10, 20]}, "defaults": {"n": 10}}
        assert write_and_run(tmp_path, "x, n=10", matrix=grown) == "[(10, True), (20, False)]"
        other = {"parameters": {"x": [1], "n": [20, 30]}, "defaults": {"n": 30}}
        with pytest.raises(
            AssertionError, match=r"defaults\['n'\]: it is 30"
        ):  # else 30 were a task's without n
            write_and_run(tmp_path, "x, n=10", matrix=other)
        assert write_and_run(tmp_path, "x, n=30", matrix=other) == "[(20, True), (30, False)]"
        assert write_and_run(tmp_path, "x, n=10") == "[(10, False)]"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_it_runs_from_standard_input(tmp_path: Path, executor: str) -> None:
    code = SCRIPT.format(
        arguments="x, n=10", value="x + n", executor=executor, matrix={"parameters": {"x": [1]}}
    )
    ran = subprocess.run([sys.executable, "-"], input=code, cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout.strip() == "[(11, False)]", ran.stderr


@pytest.mark.slow
def test_it_runs_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "exp.py").write_text("def train(x, n=10): return x + n\n", encoding="utf-8")
    (tmp_path / "matrix.yaml").write_text("parameters:\n  x: [1, 2]\n", encoding="utf-8")
    line = [sys.executable, "-m", "memento", "run", "exp.py:train", "matrix.yaml", "--json"]
    ran = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert '"value":11' in ran.stdout.replace(" ", ""), ran.stderr
