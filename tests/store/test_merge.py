"""Two stores become one that has what either had: done before failed, newer before older, and nothing silently."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import memento
from memento.index.run_contract import Run
from memento.layout import Layout
from memento.records import DONE, CodeVersion, Encoded, LogSlice, Series, StepRecord
from memento.store.fences import begin, give_out, newest_state
from memento.store.leftovers import sweep
from memento.store.merge import CannotMerge, merge
from memento.store.step_records import read_record, write_record
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
from memento.values.checkpoints import CheckpointDir
from memento.values.payloads import PayloadDir

DEAD: dict[str, Any] = {"pid": 2**22 + 1}  # no system of ours hands out such a pid


class Pair(NamedTuple):
    here: Store
    there: Store


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Store.open(tmp_path / "here") as here, Store.open(tmp_path / "there") as there:
        yield Pair(here, there)


def code(letter: str) -> CodeVersion:
    return CodeVersion(letter.encode() * 16, {"m:f": (letter, f"source {letter}")})


def large(store: Store, content: bytes) -> Encoded:
    return Encoded("bytes", None, store.payloads.write([content * 1_000], ".bin"), 1_000, "builtins:bytes")


def fill(store: Store, *rows: Any, experiment: str = "exp", letter: str = "a", **info: Any) -> Run:
    """Have a run of a process of its own compute rows."""
    run = store.begin(info_of(experiment, **info))
    number = run.code(code(letter))
    run.commit([row._replace(code=number) for row in rows])
    run.finish("done", {"done": len(rows), "cached": 0, "failed": 0})
    return run


def rows_of(store: Store) -> dict[bytes, Any]:
    return {record.key: record for record in store.index.recent()}


def test_a_result_comes_with_all_that_belongs_to_it(pair: Pair) -> None:
    here, there = pair
    step = StepRecord(
        b"s" * 16, large_step(there, b"s"), "m.f", "x=1", 5.0, 1.0, "run", key_of(1), (b"i" * 16,)
    )
    inner = step._replace(key=b"i" * 16, value=large_step(there, b"i"), steps=())
    for one in (step, inner):
        write_record(there.root, one)
    run = there.begin(info_of("exp", settings='{"folds": 5}'))
    log = there.path / "logs" / run.name / "worker.log"
    log.parent.mkdir()
    log.write_text("first\nlast\n")
    artifact = there.path / "artifacts" / key_of(1).hex() / "deep" / "model.bin"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(b"model")
    curve = np.array([[0.0, 1.0], [3.0, 2.0]], dtype="<f8").tobytes()
    row = row_of(
        1,
        code=run.code(code("a")),
        value=large(there, b"v"),
        metrics=(Series("loss", 2, 2.0, 2.0, 3.0, curve),),
        artifacts=("deep/model.bin",),
        log=LogSlice(f"{run.name}/worker.log", 6, 11),
        warnings=json.dumps([["UserWarning", "careful", "x.py:1", 2]]),
        steps=(step.key,),
        attempt=2,
    )
    failed = row_of(1, failed="first", log=LogSlice(f"{run.name}/worker.log", 0, 6), started=1.0)
    run.commit([row], [(key_of(1), failed)])
    run.finish("done", {"done": 1})
    told = merge(there, here)
    assert (told.results, told.steps, told.differences, told.damaged) == ({"exp": 1}, 2, [], [])
    (theirs,), (ours,) = there.index.recent(), here.index.recent()
    own: dict[str, Any] = {"id": 0, "run": 0, "code": 0, "log": None}
    assert ours._replace(**own) == theirs._replace(**own)
    assert here.value(ours) == b"v" * 1_000
    assert here.log(ours) == b"last\n"
    assert (
        Path(Layout(here.root).artifacts(key_of(1).hex())) / "deep" / "model.bin"
    ).read_bytes() == b"model"
    assert [y.tolist() for _, y in here.index.metrics(ours).values()] == [[3.0, 2.0]]
    assert [(a.number, a.status) for a in here.index.attempts(key_of(1))] == [(1, "failed"), (2, DONE)]
    assert here.log(here.index.attempts(key_of(1))[0]) == b"first\n"
    assert here.index.codes([ours.code])[ours.code].functions == code("a").functions
    brought = here.index.run(ours.run)
    assert brought is not None
    assert (brought.info.settings, brought.status) == ('{"folds": 5}', "done")
    for one in (step, inner):
        found = read_record(here.root, one.key)
        assert found == one
        assert bytes(PayloadDir(here.path / "steps").read(str(one.value.ref)))
    assert memento.verify(here.root).problems == []


def large_step(store: Store, content: bytes) -> Encoded:
    ref = PayloadDir(store.path / "steps").write([content * 1_000], ".bin")
    return Encoded("bytes", None, ref, 1_000, "builtins:bytes")


def test_done_wins_over_failed_on_either_side(pair: Pair) -> None:
    fill(pair.here, row_of(1), row_of(2, failed="no", started=9e9))
    fill(pair.there, row_of(1, failed="no", started=9e9), row_of(2))
    told = merge(pair.there, pair.here)
    assert {key: row.status for key, row in rows_of(pair.here).items()} == {key_of(1): DONE, key_of(2): DONE}
    assert (told.results, told.kept, told.differences) == ({"exp": 1}, 1, [])
    assert [a.status for a in pair.here.index.attempts(key_of(2))] == [DONE, "failed"]


@pytest.mark.parametrize("newer", ["here", "there"])
@pytest.mark.parametrize("same_code", [True, False])
def test_of_two_values_the_newer_stands_and_it_is_told(newer: str, same_code: bool, pair: Pair) -> None:
    fill(pair.here, row_of(1, value=b"1", started=20.0 if newer == "here" else 10.0))
    fill(pair.there, row_of(1, value=b"2", started=15.0), letter="a" if same_code else "b")
    for _ in range(2):
        told = merge(pair.there, pair.here)
        (row,) = pair.here.index.recent()
        assert pair.here.value(row) == (1 if newer == "here" else 2)
        if newer == "there" and not told.results:
            assert told.equal == 1
            break
        (difference,) = told.differences
        assert difference == (key_of(1).hex(), "exp", '{"n": 1}', newer, same_code)


def test_what_both_have_is_not_touched(pair: Pair) -> None:
    fill(pair.here, row_of(1), row_of(2, value=large(pair.here, b"v")))
    fill(pair.there, row_of(1, started=9e9), row_of(2, value=large(pair.there, b"v")), letter="b")
    before, runs = rows_of(pair.here), len(pair.here.index.runs())
    told = merge(pair.there, pair.here)
    assert (told.equal, told.results, told.differences) == (2, {}, [])
    assert (rows_of(pair.here), len(pair.here.index.runs())) == (before, runs)


def test_a_second_merge_does_nothing(pair: Pair) -> None:
    fill(pair.there, row_of(1, value=large(pair.there, b"v")), row_of(2, failed="no"))
    CheckpointDir(pair.there.path / "checkpoints", key_of(9).hex()).save((1,))
    assert merge(pair.there, pair.here).checkpoints == 1
    before, runs = rows_of(pair.here), pair.here.index.runs()
    told = merge(pair.there, pair.here)
    assert (told.results, told.equal, told.checkpoints) == ({}, 2, 0)
    assert (rows_of(pair.here), pair.here.index.runs()) == (before, runs)


def test_an_unfinished_task_goes_on_here(pair: Pair) -> None:
    fill(pair.there, row_of(1), row_of(2, failed="no"))
    fill(pair.here, row_of(3))
    for n in (1, 2, 3, 4):
        CheckpointDir(pair.there.path / "checkpoints", key_of(n).hex()).save((n,))
        (pair.there.path / "work" / key_of(n).hex()).mkdir()
        (pair.there.path / "work" / key_of(n).hex() / "scratch").write_text(str(n))
    CheckpointDir(pair.here.path / "checkpoints", key_of(4).hex()).save(("mine",))
    assert merge(pair.there, pair.here).checkpoints == 1
    checkpoints = {path.name for path in (pair.here.path / "checkpoints").iterdir()}
    assert checkpoints == {key_of(2).hex(), key_of(4).hex()}
    assert CheckpointDir(pair.here.path / "checkpoints", key_of(2).hex()).load()[0] == (2,)
    assert CheckpointDir(pair.here.path / "checkpoints", key_of(4).hex()).load()[0] == ("mine",)
    assert (pair.here.path / "work" / key_of(2).hex() / "scratch").read_text() == "2"


def test_checkpoints_of_a_task_that_lost_its_place_come_with_their_fences(pair: Pair) -> None:
    fill(pair.there, row_of(1))
    fill(pair.here, row_of(3))
    key = key_of(2).hex()
    CheckpointDir(pair.there.path / "checkpoints", key).save(("older",))
    assert give_out(pair.there.root, key, 1) == 1
    begin(pair.there.root, key, 1)
    CheckpointDir(pair.there.path / "checkpoints", f"{key}.1").save(("newer",))
    assert merge(pair.there, pair.here).checkpoints == 1
    folder = newest_state(pair.here.root, key_of(2))
    assert CheckpointDir(pair.here.path / "checkpoints", os.path.basename(folder)).load()[0] == ("newer",)
    assert give_out(pair.here.root, key, 1) == 2


@pytest.mark.parametrize("where", ["here", "there"])
def test_while_a_run_lives_nothing_is_begun(where: str, pair: Pair) -> None:
    fill(pair.there, row_of(1))
    getattr(pair, where).begin(info_of())
    with pytest.raises(CannotMerge, match=r"a run of .* is at work"):
        merge(pair.there, pair.here)
    assert rows_of(pair.here) == {}


def test_a_run_that_begins_meanwhile_loses_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    from memento import faultpoints

    fill(pair.there, row_of(1), row_of(2))
    runs: list[Run] = []

    def begins(point: str) -> None:
        if point == "merge.copied" and not runs:
            runs.append(pair.here.begin(info_of("exp")))

    monkeypatch.setattr(faultpoints, "at", begins)
    with pytest.raises(CannotMerge, match="has begun: merge again"):
        merge(pair.there, pair.here)
    assert rows_of(pair.here) == {}
    runs[0].finish("done", {})
    assert merge(pair.there, pair.here).results == {"exp": 2}


def test_a_store_is_not_joined_to_itself(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(pair.here.path)
    with (
        Store.open(tmp_path / "link", readonly=True) as same,
        pytest.raises(CannotMerge, match="is the store"),
    ):
        merge(same, pair.here)


def test_a_damaged_value_is_told_and_stays_away(pair: Pair) -> None:
    value = large(pair.there, b"v")
    fill(pair.there, row_of(1, value=value), row_of(2))
    pair.there.payloads.path(str(value.ref)).write_bytes(b"x")
    told = merge(pair.there, pair.here)
    assert (told.results, len(told.damaged)) == ({"exp": 1}, 1)
    assert key_of(1).hex() in told.damaged[0]
    assert list(rows_of(pair.here)) == [key_of(2)]


def test_a_key_of_two_experiments_is_damage(pair: Pair) -> None:
    fill(pair.here, row_of(1))
    fill(pair.there, row_of(1, value=b"2", started=9e9), row_of(2), experiment="other")
    told = merge(pair.there, pair.here)
    assert (told.results, len(told.damaged)) == ({"other": 1}, 1)
    assert memento.verify(pair.here.root).problems == []


@pytest.mark.parametrize("wrong", [{"cpu_time": float("inf")}, {"runtime": -1.0}, {"started": 1e300}])
def test_a_row_that_nobody_could_show_stays_away(wrong: dict[str, Any], pair: Pair) -> None:
    fill(pair.there, row_of(1, **wrong), row_of(2))
    told = merge(pair.there, pair.here)
    assert (told.results, len(told.damaged), list(rows_of(pair.here))) == ({"exp": 1}, 1, [key_of(2)])


def test_runs_of_one_name_keep_their_own_output(pair: Pair) -> None:
    """Containers that start at once have one pid, and each store's first run is its first."""
    texts = {}
    for store, host, n in ((pair.here, "one", 1), (pair.there, "two", 2)):
        store.clock = store.index.clock = Stopped()
        run = store.begin(info_of("exp", host=host, pid=1, process_started=host, boot_id=host))
        path = store.path / "logs" / run.name / "worker.log"
        path.parent.mkdir()
        path.write_text(host)
        run.commit([row_of(n, log=LogSlice(f"{run.name}/worker.log", 0, 3))])
        run.finish("done", {})
        texts[key_of(n)] = host.encode()
    merge(pair.there, pair.here)
    assert {key: pair.here.log(row) for key, row in rows_of(pair.here).items()} == texts
    names = pair.here.index.names_of_runs()
    assert len(set(names.values())) == len(names)


class Stopped:
    def now(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 0.0


def test_what_is_known_of_the_code_comes_along(pair: Pair) -> None:
    run = fill(pair.there, row_of(1), letter="a")
    old, new = (run.code(code(letter)) for letter in "ab")
    pair.there.index.note_codes("exp", [], [code("b").digest], [(old, code("b").digest)], run.id)
    pair.there.index.adopt("exp", [(old, new)], "ada@node", 3, 7)
    fill(pair.here, row_of(5), letter="c")  # so that ids differ
    merge(pair.there, pair.here)
    versions = pair.here.versions("exp")
    (adoption,) = versions.adoptions()
    theirs = pair.there.versions("exp").adoptions()[0]
    assert adoption[2:] == theirs[2:]
    assert [versions.digests[i] for i in adoption[:2]] == [code("a").digest, code("b").digest]
    assert versions.pending() == []
    assert rows_of(pair.here)[key_of(1)].code in versions.counting_as(code("b").digest)


def test_a_strangers_paths_lead_nowhere(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    run = pair.there.begin(info_of("exp"))
    run.commit(
        [
            row_of(1, log=LogSlice("../../secret", 0, 6), artifacts=("x",)),
            row_of(2, log=LogSlice("r/l", 0, 6)),
        ]
    )
    run.finish("done", {})
    (pair.there.path / "artifacts" / key_of(1).hex()).mkdir()
    (pair.there.path / "artifacts" / key_of(1).hex() / "x").symlink_to(tmp_path / "secret")
    (pair.there.path / "logs" / "r").mkdir()
    (pair.there.path / "logs" / "r" / "l").symlink_to(tmp_path / "secret")
    merge(pair.there, pair.here)
    assert len(rows_of(pair.here)) == 2
    copied = [path for path in pair.here.path.rglob("*") if path.is_file() and path.suffix != ".sqlite"]
    assert not any(b"secret" in path.read_bytes() for path in copied)


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_nobody_waits_for_a_pipe_and_no_linked_folder_is_copied(
    kind: str, pair: Pair, tmp_path: Path
) -> None:
    there = pair.there
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("secret")
    run = there.begin(info_of("exp"))
    value = large(there, b"v")
    run.commit(
        [
            row_of(1, value=value, log=LogSlice(f"{run.name}/file", 0, 6), steps=(b"s" * 16,)),
            row_of(2, log=LogSlice(f"{run.name}/file", 0, 6), artifacts=("file",)),
        ]
    )
    run.finish("done", {})
    if kind == "pipe":
        value_path = there.payloads.path(str(value.ref))
        value_path.unlink()
        for path in (
            value_path,
            there.path / "logs" / run.name / "file",
            there.path / "steps" / "keys" / f"{(b's' * 16).hex()}.json",
            there.path / "payloads" / "classes" / f"{'ab' * 16}.py",
            there.path / "artifacts" / key_of(2).hex() / "file",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.mkfifo(path)
    else:
        (there.path / "logs" / run.name).symlink_to(tmp_path / "out")
        (tmp_path / "of-tasks" / key_of(2).hex()).mkdir(parents=True)
        (tmp_path / "of-tasks" / key_of(2).hex() / "file").write_text("secret")
        (there.path / "artifacts").rmdir()
        (there.path / "artifacts").symlink_to(tmp_path / "of-tasks")
    told = merge(there, pair.here)
    assert (told.results, len(told.damaged)) == ({"exp": 1 if kind == "pipe" else 2}, int(kind == "pipe"))
    copied = [path for path in pair.here.path.rglob("*") if path.name == "file"]
    assert copied == []


def test_half_copied_folders_go_with_the_next_run(pair: Pair) -> None:
    gone = pair.here.path / "payloads" / ".writing" / "4194305~1~00000000-00ff"
    gone.mkdir(parents=True)
    (gone / "file").touch()
    assert sweep(pair.here.root, pair.here.index) == 1
    assert not gone.exists()


# --- whole grids, and any two stores


def square(context: Any, config: Any) -> Any:
    context.record({"loss": float(config.x)})
    context.artifact("note.txt").write_text(str(config.x))
    return np.full(10_000, float(config.x))


def test_grids_of_two_machines_become_one(tmp_path: Path) -> None:
    for name, numbers in (("here", [1, 2, 4]), ("there", [4, 3, 5])):
        runs = memento.Memento(
            square, name="square", executor="serial", store=tmp_path / name, progress=False
        )
        runs.run({"parameters": {"x": numbers}})
    assert memento.merge(tmp_path / "there", into=tmp_path / "here").results == {"square": 2}
    results = memento.load(tmp_path / "here")
    assert sorted(float(result.inner[0]) for result in results) == [1, 2, 3, 4, 5]
    shutil.rmtree(tmp_path / "there")
    runs = memento.Memento(square, name="square", executor="serial", store=tmp_path / "here", progress=False)
    again = runs.run({"parameters": {"x": [1, 2, 3, 4, 5]}})
    assert again is not None
    assert all(result.was_cached for result in again)
    assert [result.artifacts["note.txt"].read_text() for result in again] == ["1", "2", "3", "4", "5"]
    memento.gc(tmp_path / "here")
    assert memento.verify(tmp_path / "here").problems == []


class Row(NamedTuple):
    """A task in a store: what it came to, of which code, when."""

    value: int | None  # None: it failed
    code: str
    ended: int


ROWS = st.builds(Row, st.sampled_from([None, 1, 2]), st.sampled_from("ab"), st.integers(1, 3))
STORES = st.dictionaries(st.integers(0, 5), ROWS, max_size=6)


def joined(here: dict[int, Row], there: dict[int, Row]) -> tuple[dict[int, Row], dict[int, tuple[str, bool]]]:
    """Join two stores in the model; return also in which tasks they differ: who is newer, whether it is a conflict."""
    result, differences = dict(here), {}
    for task, theirs in there.items():
        ours = here.get(task)
        if ours is None:
            result[task] = theirs
        elif ours.value is not None and theirs.value is not None:
            if ours.value != theirs.value:
                newer = theirs.ended > ours.ended
                result[task] = theirs if newer else ours
                differences[task] = ("there" if newer else "here", ours.code == theirs.code)
        elif ours.value is None and (theirs.value is not None or theirs.ended > ours.ended):
            result[task] = theirs
    return result, differences


def write(store: Store, rows: dict[int, Row], inline: bool) -> None:
    run = store.begin(info_of("exp", **DEAD | {"process_started": store.root}))
    codes = {letter: run.code(code(letter)) for letter in "ab"}
    for task, row in rows.items():
        content = b"%d" % (row.value or 0)
        value = content if inline else large(store, content)
        failed = "no" if row.value is None else ""
        fields = {"started": float(row.ended), "runtime": 0.0, "worker": store.path.name}
        run.commit([row_of(task, value=value, failed=failed, code=codes[row.code], **fields)])
    run.finish("done", {})


def read(store: Store) -> dict[int, Row]:
    found = {}
    digests = store.index.history("exp").digests
    for record in store.index.recent():
        value = None
        if record.status == DONE:
            held = store.value(record)
            value = int(held[:1]) if isinstance(held, bytes) else int(held)
        letter = digests[record.code][:1].decode()
        found[json.loads(record.params)["n"]] = Row(value, letter, int(record.started))
    assert len(found) == len(store.index.recent()), "a task has two rows"
    return found


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(here=STORES, there=STORES, inline=st.booleans())
def test_any_two_stores_become_what_the_model_says(
    here: dict[int, Row], there: dict[int, Row], inline: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("merge")
    with Store.open(folder / "here") as ours, Store.open(folder / "there") as theirs:
        write(ours, here, inline)
        write(theirs, there, inline)
        expected, differences = joined(here, there)
        told = merge(theirs, ours)
        assert read(ours) == expected
        told_of = {json.loads(d.params)["n"]: (d.newer, d.is_conflict) for d in told.differences}
        assert told_of == differences
        assert read(theirs) == there
        again = merge(theirs, ours)
        assert (again.results, read(ours)) == ({}, expected)
        ours.gc()
        assert read(ours) == expected


def test_no_file_of_the_other_store_changes(pair: Pair) -> None:
    fill(pair.there, row_of(1, value=large(pair.there, b"v")), row_of(2))
    pair.there.close()
    before = {path: path.read_bytes() for path in pair.there.path.rglob("*") if path.is_file()}
    with Store.open(pair.there.path, readonly=True, trusted=False) as source:
        merge(source, pair.here)
    after = {path: path.read_bytes() for path in pair.there.path.rglob("*") if path.is_file()}
    changed = {os.path.basename(p) for p in before.keys() ^ after.keys()} - {
        "index.sqlite-shm",
        "index.sqlite-wal",
    }
    assert not changed
    assert all(after[path] == content for path, content in before.items() if path in after)


def test_what_stayed_under_its_old_name_hides_no_renamed_result(pair: Pair, tmp_path: Path) -> None:
    for name, numbers in (("old", [1, 2, 3]), ("new", [3])):
        runs = memento.Memento(square, name=name, executor="serial", store=pair.there.path, progress=False)
        runs.run({"parameters": {"x": numbers}})
    assert pair.there.rename("old", "new") == (2, 1)
    told = merge(pair.there, pair.here)
    assert (told.results, told.damaged) == ({"old": 1, "new": 3}, [])


# --- results of other tasks as parameters

# What happens in a store, one after another: task 0 comes to a value, or task 1 is computed from what 0 has come to.
EVENTS = st.lists(st.sampled_from([1, 2, "from it"]), max_size=5)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(here=EVENTS, there=EVENTS, first=st.booleans())
@example(here=[1], there=[2, "from it"], first=False)
def test_nothing_counts_as_computed_from_a_result_that_it_was_not_computed_from(
    here: list[Any], there: list[Any], first: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    with Store.open(folder / "here") as ours, Store.open(folder / "there") as theirs:
        compute(ours, here, 10.0 if first else 20.0)
        compute(theirs, there, 15.0)
        before = dict(rows_of(theirs))
        told = merge(theirs, ours)
        upstream, dependent = (rows_of(ours).get(key_of(n)) for n in (0, 1))
        if upstream and dependent and dependent.id > upstream.id:
            assert ours.value(dependent) == ours.value(upstream)
        if before and not here:
            assert sum(told.results.values()) == len(before), "what harms nobody is taken"
        again = merge(theirs, ours)
        assert (again.results, again.outdated) == ({}, told.outdated)


def compute(store: Store, events: list[Any], now: float) -> None:
    """Have a run commit rows as a pipeline would: what is computed again replaces what was there."""
    run = store.begin(info_of("exp", **DEAD | {"process_started": store.root}))
    number = run.code(code("a"))
    ids: dict[int, int] = {}
    value = 0
    for at, event in enumerate(events):
        task, value = (1, value) if event == "from it" else (0, event)
        if not value:
            continue
        named = json.dumps({"n": task, "from": f"task {key_of(0).hex()}"} if task else {"n": task})
        row = row_of(task, value=b"%d" % value, started=now + at, runtime=0.0, code=number)
        run.previous = {key_of(task): ids[task]} if task in ids else {}
        ids[task] = run.commit([row._replace(params=named)]).ids[key_of(task)]
    run.finish("done", {})
