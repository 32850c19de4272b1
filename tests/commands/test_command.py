"""`memento.command`: a program is an experiment."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from memento import CommandFailed, Memento, command
from memento.errors import MatrixError
from memento.keys.code_versions import code_version
from memento.results.results import Results

SCRIPT = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
parser.add_argument("--out")
args = parser.parse_args()
with open("calls.txt", "a") as file:
    file.write(f"{args.lr}\\n")
for step in range(3):
    print(json.dumps({"step": step, "loss": args.lr / (step + 1)}))
out = pathlib.Path(args.out)
(out / "plots").mkdir()
(out / "plots" / "a.txt").write_text("plot")
(out / "result.json").write_text(json.dumps({"accuracy": args.lr + args.seed}))
print("done")
"""
TRAIN = "python train.py --lr {lr} --seed {seed} --out {context.directory}"
MATRIX: dict[str, Any] = {"parameters": {"lr": [0.1, 0.2], "seed": [1]}}
NUMBER: Any = 3
SAY = "import json, sys; print(json.dumps({{'argv': sys.argv[1:]}}))"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a script that takes its parameters as options."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(
    experiment: Any, matrix: Any = MATRIX, executor: Any = "serial", force_run: bool = False, **options: Any
) -> Results:
    runs = Memento(experiment, executor=executor, progress=False, num_workers=2, **options)
    results = runs.run(matrix, force_run=force_run)
    assert results is not None
    return results


def calls(project: Path) -> int:
    return len((project / "calls.txt").read_text().splitlines())


@pytest.mark.parametrize(
    "executor", ["serial", "threads", pytest.param("processes", marks=pytest.mark.slow), "futures"]
)
def test_a_program_is_run_for_each_task(project: Path, executor: str) -> None:
    pool = ThreadPoolExecutor(2) if executor == "futures" else None
    results = run(command(TRAIN, result="result.json"), executor=pool or executor)
    assert [result.inner for result in results] == [{"accuracy": 1.1}, {"accuracy": 1.2}]
    assert results[0].metrics["loss"]["y"].tolist() == [0.1, 0.05, 0.1 / 3]
    assert results[0].metrics["loss"]["x"].tolist() == [0, 1, 2]
    assert set(results[0].artifacts) == {"result.json", "plots/a.txt"}
    assert results[0].artifacts["plots/a.txt"].read_text() == "plot"
    run(command(TRAIN, result="result.json"), executor=pool or executor)
    assert calls(project) == 2
    if pool is not None:
        pool.shutdown()


@pytest.mark.slow
def test_what_it_prints_is_the_log_after_the_command_itself(project: Path) -> None:
    (first, _) = run(command(TRAIN, result="result.json"), executor="processes")
    lines = first.log.splitlines()
    assert lines[0].startswith("$ ")
    assert "train.py --lr 0.1 --seed 1 --out" in lines[0]
    assert lines[-1] == "done"
    (first, _) = run(
        command(TRAIN, result="result.json"), executor="processes", log_output=False, store="other"
    )
    assert first.log == ""


def test_hostile_values_arrive_as_one_argument_each(project: Path) -> None:
    hostile = [
        "a b",
        "'",
        '"',
        "$(touch x)",
        "`touch x`",
        "a\nb\r\n",
        "-x",
        "",
        "{lr}",
        "ü→😀",
        "; touch x",
        "\\",
        "*",
    ]
    say = command(["python", "-c", SAY, *(f"{{v[{i}]}}" for i in range(len(hostile)))])
    (result,) = run(say, {"parameters": {"v": [hostile]}})
    assert result.inner == {"argv": hostile}
    assert not (project / "x").exists()


def test_without_a_result_the_last_json_object_is_it(project: Path, caplog: Any) -> None:
    script = "print('{{\"a\": 1}}'); print('text'); print('{{\"b\": [{x}], \"c\": null}}'); print('[1]')"
    assert run(command(["python", "-c", script]), {"parameters": {"x": [7]}})[0].inner == {
        "b": [7],
        "c": None,
    }
    caplog.clear()
    assert run(command("python -c '' {x}"), {"parameters": {"x": [7]}})[0].inner is None
    assert "return" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write", "expected"),
    [
        ("r.json", "json.dump({{'a': float('nan')}}, open(p, 'w'))", None),
        ("r.txt", "open(p, 'w').write('ü')", "ü"),
        ("r.csv", "open(p, 'w').write('a,b\\n1,2\\n')", [[1, 2]]),
        ("r.npy", "numpy.save(p, numpy.arange(3))", [0, 1, 2]),
        ("{x}/r.JSON", "os.mkdir('1'); open(p, 'w').write('[1]')", [1]),
    ],
)
def test_results_are_read_by_their_kind(project: Path, name: str, write: str, expected: Any) -> None:
    script = f"import json, os, sys; p = '{name}'; import numpy; {write}"
    experiment = command(["python", "-c", script], result=name, cwd="{context.directory}")
    value = run(experiment, {"parameters": {"x": [1]}} if "{x}" in name else {"parameters": {}})[0].inner
    if expected is None:
        assert value["a"] != value["a"]
        return
    found = value.to_numpy() if hasattr(value, "to_numpy") else value
    assert (found.tolist() if hasattr(found, "tolist") else found) == expected


def read_two(folder: Path) -> int:
    return len(list(folder.iterdir()))


def test_a_function_may_read_the_result(project: Path) -> None:
    assert run(command(TRAIN, result=read_two))[0].inner == 2


def test_a_failure_tells_the_code_and_the_programs_own_error(project: Path) -> None:
    (project / "train.py").write_text("import sys\nprint('so far')\nraise ValueError('bad ' + sys.argv[2])\n")
    results = run(command(TRAIN), on_error="return")
    error = results[0].error
    assert isinstance(error, CommandFailed)
    assert str(error) == "exit code 1: ValueError: bad 0.1"
    assert error.code == 1
    assert "train.py --lr 0.1 --seed 1 --out" in error.command
    assert "so far" in error.output
    report = str(results.failures)
    assert "2 tasks: CommandFailed: exit code 1: ValueError: bad" in report
    assert "(train.py:3)" in report
    assert "--lr 0.1 --seed 1" in report


def test_a_signal_is_told_by_its_name(project: Path) -> None:
    results = run(
        command(["python", "-c", "import os; os.kill(os.getpid(), 11)"]),
        {"parameters": {}},
        on_error="return",
    )
    assert str(results[0].error) == "SIGSEGV"


def test_a_result_that_is_not_there_is_a_failure(project: Path) -> None:
    (project / "train.py").write_text("import sys\nopen(sys.argv[-1] + '/other.txt', 'w')\n")
    results = run(command(TRAIN, result="result.json"), on_error="return")
    assert "left no result.json" in str(results[0].error)
    assert "there is other.txt" in str(results[0].error)


def test_the_result_of_an_earlier_attempt_is_none_of_this_one(project: Path) -> None:
    script = (
        "import os, sys; path = sys.argv[1] + '/r.json'\n"
        "if os.path.exists(path): sys.exit(0)\n"
        "open(path, 'w').write('1'); sys.exit(3)"
    )
    experiment = command(["python", "-c", script, "{context.directory}"], result="r.json")
    results = run(experiment, {"parameters": {}}, on_error="return", retries=1)
    assert "older than this attempt" in str(results[0].error)


def test_what_is_cut_off_is_a_failure(project: Path) -> None:
    (project / "train.py").write_text(
        "import sys\nopen(sys.argv[-1] + '/result.json', 'w').write('{\"a\": ')\n"
    )
    results = run(command(TRAIN, result="result.json"), on_error="return")
    assert "result.json cannot be read: JSONDecodeError" in str(results[0].error)


def test_a_task_goes_on_from_what_an_attempt_left_in_its_folder(project: Path) -> None:
    script = (
        "import os, sys; path = sys.argv[1] + '/state'\n"
        "if not os.path.exists(path): open(path, 'w'); sys.exit(3)\n"
        "print('{{\"resumed\": true}}')"
    )
    experiment = command(["python", "-c", script, "{context.directory}"])
    (result,) = run(experiment, {"parameters": {}}, retries={CommandFailed: 1})
    assert result.inner == {"resumed": True}


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_task_that_goes_on_has_the_whole_curve_and_one_that_begins_again_has_it_once(
    project: Path, goes_on: bool
) -> None:
    (project / "steps.py").write_text(
        "import json, os, sys\n"
        "first, count = not os.path.exists('tried' + sys.argv[1]), 6\n"
        "open('tried' + sys.argv[1], 'w').close()\n"
        f"for i in range(0 if first or not {goes_on} else 3, 3 if first else 6):\n"
        "    print(json.dumps({'step': i, 'loss': i / 2}))\n"
        "    if i < 3:\n"
        "        print(json.dumps({'step': i * 10, 'early': i}))\n"
        "sys.exit(1 if first else 0)\n"
    )
    runs = Memento(
        command("python steps.py {x}"), retries=1, store=project / "store", progress=False, executor="serial"
    )
    results = runs.run({"parameters": {"x": [1]}})
    assert results is not None
    result = results[0]
    assert len(result.attempts) == 2
    assert result.metrics["loss"].to_numpy().tolist() == [[i, i / 2] for i in range(6)]
    assert result.metrics["early"].to_numpy().tolist() == [[0, 0], [10, 1], [20, 2]]
    assert not result.artifacts


@pytest.mark.slow
def test_an_edit_of_the_script_or_of_what_it_imports_is_noticed(project: Path, caplog: Any) -> None:
    (project / "helper.py").write_text("FACTOR = 1\n")
    (project / "train.py").write_text("import helper\n" + SCRIPT)
    run(command(TRAIN, result="result.json"))
    (project / "train.py").write_text("# a comment\nimport helper\n" + SCRIPT)
    run(command(TRAIN, result="result.json"), on_code_change="rerun")
    assert calls(project) == 2
    (project / "helper.py").write_text("FACTOR = 2\n")
    run(command(TRAIN, result="result.json"), on_code_change="rerun")
    assert calls(project) == 4
    (project / "train.py").write_text("import helper\n" + SCRIPT.replace("range(3)", "range(4)"))
    run(command(TRAIN, result="result.json"))
    assert calls(project) == 4


def test_an_edit_of_a_shell_script_is_noticed(project: Path) -> None:
    (project / "run.sh").write_text('echo "{\\"a\\": $1}"\n')
    assert run(command("sh run.sh {x}"), {"parameters": {"x": [1]}})[0].inner == {"a": 1}
    (project / "run.sh").write_text('echo "{\\"b\\": $1}"\n')
    assert run(command("sh run.sh {x}"), {"parameters": {"x": [1]}})[0].inner == {"a": 1}
    again = run(command("sh run.sh {x}"), {"parameters": {"x": [1]}}, on_code_change="rerun")
    assert again[0].inner == {"b": 1}


def test_another_command_is_another_experiment(project: Path) -> None:
    names = {
        Memento(one).name
        for one in (
            command("python train.py {lr}"),
            command("python  'train.py' {lr}"),
            command("python train.py {lr} --epochs 3"),
            command("python train.py {lr}", result="r.json"),
            command("python train.py {lr}", env={"A": "1"}),
            command("python train.py {lr}", cwd=project),
        )
    }
    assert len(names) == 5
    assert all(name.startswith("train.py:command#") for name in names)


def test_a_moved_checkout_keeps_the_name(project: Path, tmp_path_factory: Any, monkeypatch: Any) -> None:
    first = Memento(command(["python", project / "train.py", "{lr}"])).name
    other = tmp_path_factory.mktemp("other")
    for name in ("pyproject.toml", "train.py"):
        (other / name).write_bytes((project / name).read_bytes())
    monkeypatch.chdir(other)
    assert Memento(command(["python", other / "train.py", "{lr}"])).name == first


def test_a_command_outside_of_any_project_has_a_name_too(project: Path) -> None:
    assert Memento(command("env {lr}")).name.startswith("env:command#")
    assert Memento(command("env {lr}"), name="mine").name == "mine"


def test_a_module_is_found_by_its_name(project: Path) -> None:
    (project / "lab").mkdir()
    (project / "lab" / "__init__.py").touch()
    (project / "lab" / "fit.py").write_text(SCRIPT)
    experiment = command(TRAIN.replace("train.py", "-m lab.fit"), result="result.json")
    assert Memento(experiment).name.startswith("lab/fit.py:command#")
    assert run(experiment)[0].inner == {"accuracy": 1.1}


def test_the_config_is_a_file_of_json(project: Path) -> None:
    script = "import json, sys; print(json.dumps({{'config': json.load(open(sys.argv[1]))}}))"
    matrix = {"parameters": {"kind": [dict], "size": [(3, 4)]}, "settings": {"n": 2}, "repeats": 2}
    results = run(command(["python", "-c", script, "{config}"]), matrix)
    assert results[1].inner["config"] == {"n": 2, "kind": "dict", "size": [3, 4], "repeat": 1}


def test_seeds_repeats_and_variables_are_given(project: Path) -> None:
    script = (
        "import json, os, sys; print(json.dumps({{'v': [os.environ['LR'], os.getcwd(), *sys.argv[1:]]}}))"
    )
    experiment = command(
        ["python", "-c", script, "{context.seed}", "{repeat}"], env={"LR": "{lr}"}, cwd="{context.directory}"
    )
    results = run(experiment, {"parameters": {"lr": [0.5]}, "repeats": 2})
    values = [result.inner["v"] for result in results]
    assert [(value[0], value[3]) for value in values] == [("0.5", "0"), ("0.5", "1")]
    assert values[0][2] != values[1][2]
    assert Path(values[0][1]).name == results[0].key


def test_variables_are_never_shown(project: Path, capfd: Any) -> None:
    caught = run(
        command("sh -c 'exit 3'", env={"TOKEN": "very-secret"}), {"parameters": {}}, on_error="return"
    )
    told = capfd.readouterr()
    everything = told.out + told.err + str(caught.failures) + str(caught[0].error)
    store = b"".join(path.read_bytes() for path in Path("memento-store").rglob("*") if path.is_file())
    assert "very-secret" not in everything
    assert b"very-secret" not in store


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: command("pythn train.py {lr} {seed}"), "there is no program 'pythn' here"),
        (lambda: command("./train.py {lr} {seed}"), "'./train.py' may not be executed"),
        (lambda: command("python trian.py {lr} {seed}"), "there is no file 'trian.py'"),
        (lambda: command("python train.py {lr}"), "nothing in it takes the parameter 'seed'"),
        (lambda: command("python train.py {lr} {sed}"), "Did you mean 'seed'?"),
        (lambda: command("env {lr} {seed}", result="r.pkl"), "it may run anything when it is loaded"),
        (lambda: command("env {lr} {seed}", cwd="nowhere"), "there is no folder 'nowhere'"),
        (lambda: command("env {lr} {seed}", result=NUMBER), "a file's name or a function"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(project: Path, make: Any, told: str) -> None:
    with pytest.raises(MatrixError) as caught:
        run(make())
    assert told in str(caught.value)
    assert not Path("memento-store").exists()


def test_a_program_that_only_workers_lack_is_a_failure_that_names_where_it_was_looked_for(
    project: Path,
) -> None:
    experiment = command("{program}", env={"PATH": "/nowhere"})
    results = run(experiment, {"parameters": {"program": ["julia"]}}, on_error="return")
    assert str(results[0].error) == "it cannot be started: there is no program 'julia' in PATH=/nowhere"


def test_a_command_is_a_plain_value(project: Path) -> None:
    again = pickle.loads(pickle.dumps(command(TRAIN, result="result.json")))
    assert Memento(again).name == Memento(command(TRAIN, result="result.json")).name
    assert repr(again) == f"command({TRAIN!r})"


def test_results_of_another_matrix_can_be_arguments(project: Path) -> None:
    matrices = [
        {"id": "first", "parameters": {"x": [1, 2]}},
        {"id": "second", "parameters": {"x": [3]}, "dependencies": ["first"]},
    ]
    runs = Memento(command(["python", "-c", SAY, "{x}"]), executor="serial", progress=False)
    for matrix in matrices:
        runs.add_matrix(matrix)
    with pytest.raises(MatrixError, match="takes the parameter 'first'"):
        runs.run_all()
    script = "import json, sys; print(json.dumps({{'got': json.load(open(sys.argv[1]))}}))"
    runs = Memento(command(["python", "-c", script, "{config}"]), executor="serial", progress=False)
    for matrix in matrices:
        runs.add_matrix(matrix)
    found = runs.run_all()
    assert found is not None
    second = found["second"]
    assert second is not None
    assert [result.inner["got"]["first"]["got"]["x"] for result in second] == [1, 2]


def test_conditional_options_are_left_out(project: Path) -> None:
    say = command(["python", "-c", SAY, "--m", "{m}", ["--C", "{C}"]])
    matrix = {"parameters": {"m": ["svc", "tree"], "C": [1]}, "when": {"C": {"m": "svc"}}}
    values = [result.inner["argv"] for result in run(say, matrix)]
    assert values == [["--m", "svc", "--C", "1"], ["--m", "tree"]]


def test_a_plan_can_be_shown_without_running_anything(project: Path) -> None:
    assert Memento(command(TRAIN), progress=False).run(MATRIX, dry_run=True) is None
    assert not (project / "calls.txt").exists()


def names_of(experiment: Any) -> set[str]:
    return set(code_version(experiment).names)


def test_files_of_the_project_that_the_command_names_are_its_code(project: Path) -> None:
    (project / "base.yaml").write_text("a: 1")
    (project / "large.csv").write_bytes(b"1,2\n" * 500_000)
    (project / "simulate").write_bytes(b"\x7fELF\0" + b"x" * 2_000_000)
    (project / "simulate").chmod(0o755)
    own = {"command:arguments", "train.py:script", "base.yaml:text"}
    assert names_of(command("python train.py --config base.yaml --data large.csv {x}")) == own
    binary = command("./simulate {x}")
    assert names_of(binary) == {"command:arguments", "simulate:text"}
    assert Memento(binary).name.startswith("simulate:command#")
    before = code_version(binary)
    (project / "simulate").write_bytes(b"\x7fELF\0" + b"y" * 2_000_000)
    assert code_version(binary) != before
    assert len(code_version(binary).functions["simulate:text"][1]) < 100


def test_scripts_that_a_placeholder_chooses_are_code_as_far_as_they_can_be_seen(project: Path) -> None:
    (project / "methods").mkdir()
    for name in ("a", "b"):
        (project / "methods" / f"{name}.py").write_text(f"print({name!r})")
    chosen = command("python methods/{method}.py --out {context.directory}/x.py")
    assert names_of(chosen) == {"command:arguments", "methods/a.py:script", "methods/b.py:script"}
    unseen = code_version(command("python {script} train.py"))
    assert set(unseen.names) == {"command:arguments", "train.py:script"}
    assert unseen.unfollowed == (("{script}", "which file it is differs from task to task"),)


def test_a_result_in_the_wrong_folder_is_told(project: Path) -> None:
    (project / "train.py").write_text("open('result.json', 'w').write('1')\n")
    results = run(command(TRAIN, result="result.json"), on_error="return")
    assert "have it write {context.directory}/result.json" in str(results[0].error)


def test_a_text_where_a_function_is_meant_is_told_how_to_make_a_command() -> None:
    with pytest.raises(TypeError, match=r"Memento\(memento.command\('python train.py"):
        Memento("python train.py --lr {lr}")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("edit", ["# a comment\n", "edited = True\n"])
def test_a_script_that_is_edited_while_the_run_goes_on_is_not_run(project: Path, edit: str) -> None:
    """The first task edits it."""
    script = f"import sys\nif sys.argv[1] == '1': open('train.py', 'a').write({edit!r})\n"
    (project / "train.py").write_text(script)
    results = run(
        command("python train.py {x}"), {"parameters": {"x": [1, 2]}}, on_error="return", order="matrix"
    )
    if edit.startswith("#"):
        assert [result.status for result in results] == ["done", "done"]
        return
    assert [result.status for result in results] == ["done", "failed"]
    assert str(results[1].error).startswith("train.py was edited since the run began")
    again = run(command("python train.py {x}"), {"parameters": {"x": [1, 2]}})
    assert [result.was_cached for result in again] == [True, False]


@pytest.mark.slow
def test_memory_and_time_are_those_of_the_program(project: Path) -> None:
    script = (
        "import time; x = bytearray(300_000_000); x[::4096] = b'1' * len(x[::4096]); sum(range(5_000_000))"
    )
    (result,) = run(command(["python", "-c", script]), {"parameters": {}}, executor="processes")
    assert result.memory is not None
    assert result.memory.hardware_peak > 300_000_000
    assert result.cpu_time is not None
    assert result.cpu_time.total_seconds() > 0.05


MIXED = """
import os, sys
os.chdir(os.fsencode(sys.argv[1]))
os.mkfifo("pipe")
os.makedirs("a/b/c")
os.symlink("a", "link")
os.symlink("nowhere", "dangling")
for name in (b"\\xff.txt", "new\\nline", "a/b/c/d", "c:d"): open(name, "w").close()
"""


@pytest.mark.slow
def test_files_of_any_name_and_kind_are_kept_or_told(project: Path) -> None:
    (project / "train.py").write_text(MIXED)
    mixed = command("python train.py {context.directory}")
    (result,) = run(mixed, {"parameters": {}}, executor="processes")
    assert set(result.artifacts) == {"\udcff.txt", "new\nline", "a/b/c/d"}
    assert all(path.is_file() for path in result.artifacts.values())
    assert "c:d' is not kept with the result" in result.log
    assert os.listdir(project / "memento-store" / "work" / result.key) == ["c:d"]
    again = run(mixed, {"parameters": {}}, force_run=True)
    assert again[0].status == "done"
