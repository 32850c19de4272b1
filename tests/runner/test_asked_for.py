"""A process that was started for some tasks computes these and no other, whatever its script says."""

from __future__ import annotations

import linecache
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento import AggregateException, Memento
from memento.cli.choosing import Wanted, choose
from memento.cli.exit_codes import UsageError
from memento.errors import MementoError
from memento.results.results import Results
from memento.runner.asked_for import VARIABLE, Answer, NoSuchTasks, Request, Selection, request, selecting
from memento.store.store import Store

CALLS: list[tuple[int, int]] = []
BROKEN: set[int] = set()


def work(context: Any, config: Any) -> int:
    CALLS.append((config.x, config.repeat))
    if config.x in BROKEN:
        raise ValueError(config.x)
    return int(config.x)


def runs(store: str | Path, **options: Any) -> Memento:
    return Memento(work, executor="serial", store=store, progress=False, **options)


@contextmanager
def asked(store: str | Path, keys: Sequence[str], **more: Any) -> Iterator[Any]:
    """Have this process be one that was started for these tasks; gives what reads its answer."""
    with request(Request(str(store), tuple(keys), **more)) as (environment, answer):
        os.environ[VARIABLE] = environment[VARIABLE]
        try:
            yield answer
        finally:
            del os.environ[VARIABLE]


def ran(owner: Memento, matrix: dict[str, Any], **flags: Any) -> Results:
    """Run, where there will be results."""
    results = owner.run(matrix, **flags)
    assert results is not None
    return results


def keys_of(store: str | Path, matrix: dict[str, Any]) -> dict[tuple[int, int], str]:
    """Return the key of each task of a matrix, without computing any."""
    with asked(store, ["00" * 16]):
        results = runs(store, on_error="return").run(matrix)
    assert results is not None
    return {(r.config.x, r.config.repeat): r.key for r in results}


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_exactly_the_tasks_that_are_asked_for_and_not_done_are_computed(data: st.DataObject) -> None:
    """The model: which tasks a run in such a process computes, and whether its script goes on."""
    size, repeats = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 2))
    matrix = {"parameters": {"x": list(range(size))}, "repeats": repeats}
    tasks = [(x, r) for x in range(size) for r in range(repeats)]
    there = data.draw(st.sets(st.sampled_from(range(size))))
    failing = data.draw(st.sets(st.sampled_from(range(size))))
    wanted = data.draw(st.sets(st.sampled_from(tasks)))
    force = data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as folder:
        store = f"{folder}/store"
        BROKEN.clear()
        BROKEN.update(failing)
        if there:
            before = {"parameters": {"x": sorted(there)}, "repeats": repeats}
            runs(store, on_error="return").run(before)
        keys = keys_of(store, matrix)
        BROKEN.clear()
        CALLS.clear()
        done = {task for task in tasks if task[0] in there - failing}
        expected = wanted if force else wanted - done
        left_out = set(tasks) - done - wanted
        results: Results | None = None
        code: object = 0
        with asked(store, [*(keys[task] for task in wanted), "ab" * 16][: len(wanted) or 1]) as answer:
            try:
                results = runs(store).run(matrix, force_run=force)
            except SystemExit as end:
                code = end.code
            assert answer() == Answer(len(wanted), len(left_out), results is None)
        assert (sorted(CALLS), code) == (sorted(expected), 0)
        assert (results is None) == bool(left_out and wanted)
        if results is not None and wanted:
            assert [(r.config.x, r.config.repeat) for r in results if r.status == "done"] == tasks
        CALLS.clear()
        runs(store).run(matrix)  # afterwards the others are what they were
        assert set(CALLS) == left_out


def test_over_another_store_nothing_is_computed(tmp_path: Path) -> None:
    matrix = {"parameters": {"x": [1]}}
    (key,) = keys_of(tmp_path / "a", matrix).values()
    CALLS.clear()
    with asked(tmp_path / "a", [key]) as answer:
        results = runs(tmp_path / "b").run(matrix)
        assert results is not None
        assert ([r.status for r in results], CALLS, answer().met) == (["missing"], [], 0)


def test_a_script_with_several_runs_goes_on_until_it_has_had_all_that_is_asked_for(tmp_path: Path) -> None:
    first, second, third = ({"parameters": {"x": [x, x + 1]}} for x in (0, 10, 20))
    keys = keys_of(tmp_path, first) | keys_of(tmp_path, second)
    CALLS.clear()
    with asked(tmp_path, [keys[0, 0], keys[10, 0], keys[11, 0]]) as answer:
        results = runs(tmp_path).run(first)
        assert results is not None
        assert [r.status for r in results] == ["done", "missing"]
        assert [r.status for r in runs(tmp_path).run(second) or ()] == ["done", "done"]
        with pytest.raises(SystemExit):
            runs(tmp_path).run(third)
        assert CALLS == [(0, 0), (10, 0), (11, 0)]
        assert answer().ended


def test_failures_that_were_not_asked_for_are_not_told(tmp_path: Path) -> None:
    matrix = {"parameters": {"x": [1, 2, 3]}}
    BROKEN.clear()
    BROKEN.update((1, 2))
    keys = {
        x: r.key for x, r in zip((1, 2, 3), runs(tmp_path, on_error="return").run(matrix) or (), strict=True)
    }
    with asked(tmp_path, [keys[1]]), pytest.raises(SystemExit) as ended:
        runs(tmp_path).run(matrix)
    assert ended.value.code == 1
    BROKEN.discard(1)
    with asked(tmp_path, [keys[1], keys[2]]), pytest.raises(AggregateException) as told:
        runs(tmp_path).run(matrix)
    assert [str(error) for error in told.value.exceptions] == ["2"]


def test_matrices_that_depend_on_each_other_compute_only_what_is_asked_for(tmp_path: Path) -> None:
    def linked(*ids: str) -> Any:
        chain = runs(tmp_path, on_error="return")
        for place, one in enumerate(ids):
            more = {"dependencies": [ids[place - 1]]} if place else {}
            chain.add_matrix({"id": one, "parameters": {"x": [place, place + 5]}, **more})
        return chain

    BROKEN.clear()
    BROKEN.add(6)
    failed = [r.key for r in linked("a", "b").run_all()["b"] if r.status == "failed"]
    BROKEN.clear()
    CALLS.clear()
    with asked(tmp_path, failed[:1]), pytest.raises(SystemExit) as ended:
        linked("a", "b").run_all()
    assert (ended.value.code, CALLS) == (0, [(6, 0)])
    with asked(tmp_path, failed[1:]):
        whole = linked("a", "b").run_all()
    assert [r.status for r in whole["b"]] == ["done"] * 4
    assert len(CALLS) == 2


def nested(context: Any, config: Any) -> int:
    results = runs(config.inner).run({"parameters": {"x": [7, 8]}})
    return sum(r.inner for r in results or ())


@pytest.mark.parametrize("executor", ["serial", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_task_that_starts_a_run_of_its_own_computes_all_of_that(tmp_path: Path, executor: str) -> None:
    matrix = {"parameters": {"x": [1], "inner": [str(tmp_path / "inner")]}}
    outer = Memento(nested, executor=executor, num_workers=1, store=tmp_path / "outer", progress=False)
    with asked(tmp_path / "outer", ["00" * 16]):
        (missing,) = ran(outer, matrix)
    BROKEN.clear()
    CALLS.clear()  # workers that are fresh processes have none either
    with asked(tmp_path / "outer", [missing.key]):
        (result,) = ran(outer, matrix)
    assert result.inner == 15


SCRIPT = """
import multiprocessing, subprocess, sys, threading
from concurrent.futures import ThreadPoolExecutor
from memento import Memento

way, size, only = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
began, other = threading.Event(), threading.Event()

def work(context, config):
    with open("computed", "a") as file:
        file.write(f"{config.x} ")
    began.set()
    if way == "threads":
        assert other.wait(300)

def run(first):
    if way == "threads" and first:
        assert began.wait(300)
    try:
        matrix = {"parameters": {"x": list(range(first, first + size))}}
        owner = Memento(work, executor="threads", store="s", name="n", on_error="return", progress=False)
        return [result.key for result in owner.run(matrix)]
    finally:
        if first:
            other.set()

def main():
    fork = multiprocessing.get_context("fork")
    if way == "keys":
        print(*run(0))
    elif only:
        run(int(only[0]))
    elif way == "program":
        run(0)
        subprocess.run([sys.executable, __file__, way, str(size), "10"])
    elif way == "process":
        run(0)
        process = fork.Process(target=run, args=(10,))
        process.start()
        process.join()
    elif way == "pool":
        fork.Pool(2).map(run, [0, 10])
    elif way == "caught":
        for first in (0, 10, 0):
            try:
                run(first)
            except BaseException:
                pass
    else:
        list(ThreadPoolExecutor(2).map(run, [0, 10]))

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script makes copies of its process")
@pytest.mark.parametrize("way", ["program", "process", "pool", "threads", "caught"])
@pytest.mark.parametrize("size", [1, 2])
def test_runs_in_what_a_script_starts_compute_nothing_else_and_end(
    way: str, size: int, tmp_path: Path
) -> None:
    """Programs, processes, pools and threads that a script starts for its runs, with and without tasks left out."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def started(word: str, *keys: str) -> str:
        with request(Request(str(tmp_path / "s"), keys)) as (environment, _):
            return subprocess.run(
                [sys.executable, str(script), word, str(size)],
                cwd=tmp_path,
                env=environment,
                timeout=300,
                check=False,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout

    started(way, started("keys", "00" * 16).split()[0])
    assert (tmp_path / "computed").read_text() == "0 "


@pytest.mark.slow
def test_what_tasks_start_is_not_started_for_the_same_tasks(tmp_path: Path) -> None:
    matrix = {"parameters": {"x": [1], "folder": [str(tmp_path)]}}
    outer = Memento(starts_a_program, executor="serial", store=tmp_path / "outer", progress=False)
    with asked(tmp_path / "outer", ["00" * 16]):
        (missing,) = ran(outer, matrix)
    with asked(tmp_path / "outer", [missing.key]):
        (result,) = ran(outer, matrix)
    assert result.inner == "1\n"


def starts_a_program(context: Any, config: Any) -> str:
    code = (
        "from memento import Memento\n"
        "print(len(Memento(lambda context, config: 1, executor='serial', store='s', progress=False, name='n')"
        ".run({'parameters': {'x': [1]}}).filter(status='done')))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=config.folder, capture_output=True, text=True, check=False
    ).stdout


def test_options_that_are_asked_for_take_the_place_of_the_scripts(tmp_path: Path) -> None:
    BROKEN.clear()
    BROKEN.add(1)
    matrix = {"parameters": {"x": [1]}}
    keys = list(keys_of(tmp_path, matrix).values())
    CALLS.clear()
    with asked(tmp_path, keys, options={"retries": 2}), pytest.raises(AggregateException):
        runs(tmp_path).run(matrix)
    assert len(CALLS) == 3


@pytest.mark.parametrize("how", ["force_run", "rerun"])
def test_a_result_that_is_looked_at_stays_whatever_the_script_does_with_it(how: str, tmp_path: Path) -> None:
    matrix = {"parameters": {"x": [1]}}
    owner = changing(1, tmp_path)
    (before,) = ran(owner, matrix)
    owner = changing(2, tmp_path, on_code_change="rerun" if how == "rerun" else "warn")
    with asked(tmp_path, [before.key], look=True) as answer:
        with pytest.raises(SystemExit):
            owner.run(matrix, force_run=how == "force_run")
        assert answer().compared == {"before": "1", "now": "2"}
    (after,) = ran(changing(2, tmp_path), matrix)
    assert (after.value, after.was_cached) == (1, True)


def changing(version: int, store: Path, **options: Any) -> Memento:
    """Return what runs one of two versions of one experiment."""
    code = f"def changed(context, config):\n    return {version}\n"
    file = store.parent / "changed.py"
    file.write_text(code)
    linecache.checkcache(str(file))
    names: dict[str, Any] = {"__name__": "changed", "__file__": str(file)}
    exec(compile(code, str(file), "exec"), names)
    return Memento(
        names["changed"], executor="serial", store=store, progress=False, name="changed", **options
    )


def test_where_the_request_is_gone_nothing_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
    CALLS.clear()
    with pytest.raises(MementoError, match="nothing is computed"):
        runs(tmp_path / "store").run({"parameters": {"x": [1, 2]}})
    assert CALLS == []


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(x=st.sets(st.integers(0, 3), min_size=1), y=st.sets(st.sampled_from("ab")))
def test_a_selection_computes_the_tasks_it_names(x: set[int], y: set[str]) -> None:
    wanted: dict[str, Any] = {"x": sorted(map(str, x))} | ({"y": sorted(y)} if y else {})
    matrix = {"parameters": {"x": [0, 1, 2, 3], "y": ["a", "b"]}}
    expected = {(a, b) for a in x for b in (y or "ab")}
    with tempfile.TemporaryDirectory() as folder:
        BROKEN.clear()
        selection = Selection({"texts": wanted})
        with selecting(selection):
            results = runs(f"{folder}/store").run(matrix)
        assert results is not None
        done = {(r.config.x, r.config.y) for r in results if r.status == "done"}
        assert done == expected
        assert selection.keys == {r.key for r in results if (r.config.x, r.config.y) in expected}
        assert VARIABLE not in os.environ


MIXED = [
    4,
    "4",
    4.0,
    "4.0",
    "04",
    1e3,
    1000,
    "1e3",
    True,
    "true",
    "True",
    None,
    "null",
    "None",
    "",
    "-",
    "a=b",
    "[4]",
]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_typed_text_means_the_same_before_tasks_have_run_and_after(data: st.DataObject) -> None:
    """What --only and `cancel` take is what `ls`, `retry` and `forget` find: 4 is no text where there is the number."""
    values = data.draw(st.lists(st.sampled_from(MIXED), min_size=1, max_size=6, unique_by=repr))
    text = data.draw(
        st.one_of(
            st.sampled_from(values).map(str), st.sampled_from(["'4'", "4", "1e3", "true", "~", "[4, 1000]"])
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        owner = Memento(returned, executor="serial", store=folder, progress=False)
        owner.run({"parameters": {"x": values}})
        with Store.open(folder, create=False, readonly=True) as store:
            try:
                found = {record.key.hex() for record in choose(store, Wanted(parameters=(("x", text),)))}
            except UsageError:
                found = set()
        selection = Selection({"texts": {"x": [text]}})
        try:
            with selecting(selection):
                owner.run({"parameters": {"x": values}})
        except NoSuchTasks:
            assert not selection.keys
    assert selection.keys == found


def returned(context: Any, config: Any) -> Any:
    return config.x


@pytest.mark.parametrize("wanted", [{"z": ["1"]}, {"x": ["9"]}])
def test_a_selection_of_what_is_not_there_is_refused(wanted: dict[str, Any], tmp_path: Path) -> None:
    with selecting(Selection({"parameters": wanted})), pytest.raises(MementoError):
        runs(tmp_path).run({"parameters": {"x": [1, 2]}})
    assert VARIABLE not in os.environ
