"""What is cheapest to lose goes first; results of superseded code before others; nothing that was adopted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.index.run_contract import Run
from memento.records import CodeVersion, Encoded, StepRecord
from memento.store.expendable import old_results, old_steps, superseded_codes, to_free
from memento.store.removable import GIVEN_STEPS, PAYLOADS, RESULTS, UNUSED
from memento.store.sizes import measure
from memento.store.step_records import read_record, write_record
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
from memento.values.checkpoints import CheckpointDir
from memento.values.payloads import PayloadDir

NOW = 1_900_000_000.0  # later than anything here


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


def code(letter: str) -> CodeVersion:
    return CodeVersion(letter.encode() * 16, {"m:f": (letter, letter)})


def result(store: Store, run: Run, n: int, *, code: int = 1, ended: float = 0.0, size: int = 1_000) -> int:
    """Commit a result whose value is a file of its own."""
    ref = store.payloads.write([n.to_bytes(4, "big"), b"0" * (size - 4)], ".bin")
    row = row_of(
        n, code=code, started=ended, runtime=0.0, value=Encoded("bytes", None, ref, size, "builtins:bytes")
    )
    return run.commit([row]).ids[key_of(n)]


def step(
    store: Store, n: int, *, made: float = 0.0, uses: tuple[bytes, ...] = (), size: int = 1_000
) -> bytes:
    ref = PayloadDir(store.path / "steps").write([b"s%d" % n, b"0" * (size - 2)], ".bin")
    value = Encoded("bytes", None, ref, size, "builtins:bytes")
    key = n.to_bytes(16, "big")
    write_record(store.root, StepRecord(key, value, "m.f", "", made, 1.0, "run", b"t" * 16, uses))
    return key


def test_of_superseded_code_is_what_another_version_would_compute_now(store: Store) -> None:
    run = store.begin(info_of("exp"))
    old, new, other = (run.code(code(letter)) for letter in "abc")
    ids = {number: result(store, run, number, code=number) for number in (old, new, other)}
    run.finish("done", {})
    assert old_results(store.index, superseded=True, before=None) == []
    store.index.note_codes("exp", [], [code("b").digest], [(old, code("b").digest)], None)
    assert superseded_codes(store.index, "exp") == {old}
    assert old_results(store.index, superseded=True, before=None) == [ids[old]]
    assert old_results(store.index, superseded=True, before=-1.0) == []
    store.index.note_codes("exp", [], [code("a").digest, code("b").digest], [(old, code("b").digest)], None)
    assert superseded_codes(store.index, "exp") == set(), "some of its results are as they would be now"


def test_what_was_adopted_is_not_superseded(store: Store) -> None:
    run = store.begin(info_of("exp"))
    old, new = (run.code(code(letter)) for letter in "ab")
    result(store, run, 1, code=old)
    run.finish("done", {})
    store.index.note_codes("exp", [], [code("b").digest], [(old, code("b").digest)], None)
    store.index.adopt("exp", [(old, new)], "ada", 0, 0)
    assert old_results(store.index, superseded=True, before=None) == []


def test_old_is_what_ended_before(store: Store) -> None:
    run = store.begin(info_of())
    first, second = result(store, run, 1, ended=100.0), result(store, run, 2, ended=200.0)
    assert old_results(store.index, superseded=False, before=150.0) == [first]
    assert old_results(store.index, superseded=False, before=250.0) == [first, second]


def test_steps_go_before_results_and_the_oldest_of_each_first(store: Store) -> None:
    run = store.begin(info_of())
    newer, older = step(store, 1, made=20.0), step(store, 2, made=10.0)
    late, early = result(store, run, 1, ended=20.0), result(store, run, 2, ended=10.0)
    assert to_free(store.root, store.index, 1, results=True)[:2] == ([older], [])
    assert to_free(store.root, store.index, 2_000, results=True)[:2] == ([older, newer], [])
    assert to_free(store.root, store.index, 3_500, results=True)[:2] == ([older, newer], [early])
    assert to_free(store.root, store.index, 10**6, results=True)[:2] == ([older, newer], [late, early])
    assert to_free(store.root, store.index, 10**6, results=False)[:2] == ([older, newer], [])
    assert old_steps(store.root, 15.0) == [older]


def test_superseded_results_go_before_older_ones(store: Store) -> None:
    run = store.begin(info_of("exp"))
    was, now = (run.code(code(letter)) for letter in "ab")
    result(store, run, 1, code=now, ended=10.0)
    old = result(store, run, 2, code=was, ended=20.0)
    store.index.note_codes("exp", [], [code("b").digest], [(was, code("b").digest)], None)
    assert to_free(store.root, store.index, 1, results=True).results == [old]


def test_a_value_that_a_kept_result_has_frees_nothing(store: Store) -> None:
    run = store.begin(info_of())
    value = Encoded("bytes", None, store.payloads.write([b"0" * 1_000], ".bin"), 1_000, "builtins:bytes")
    run.commit([row_of(n, value=value, started=float(n)) for n in range(3)])
    chosen = to_free(store.root, store.index, 500, results=True)
    assert (len(chosen.results), chosen.size) == (3, 1_000)


def test_nothing_of_a_result_goes_while_a_run_lives(store: Store) -> None:
    run = store.begin(info_of())
    result(store, run, 1)
    found = store.gc(older_than=0.0)
    assert (found.removed, found.kept[RESULTS]) == ({}, (1, 0))
    run.finish("done", {})
    assert store.gc(older_than=0.0).removed == {RESULTS: (1, 0), PAYLOADS: (1, 1_000)}


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(100, 5_000), max_size=6),
    steps=st.lists(st.integers(100, 5_000), max_size=4),
    garbage=st.lists(st.integers(100, 5_000), max_size=3),
    share=st.floats(0.0, 1.0),
    results=st.booleans(),
)
def test_keep_leaves_no_more_than_that_and_loses_no_more_than_it_must(
    sizes: list[int], steps: list[int], garbage: list[int], share: float, results: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    with Store.open(tmp_path_factory.mktemp("keep") / "s") as store:
        run = store.begin(info_of())
        for n, size in enumerate(sizes):
            result(store, run, n, ended=float(n), size=size)
        used = tuple(step(store, n, made=float(n), size=size) for n, size in enumerate(steps))
        run.commit([row_of(99, steps=used)])
        run.finish("done", {})
        for n, size in enumerate(garbage):
            store.payloads.write([b"g%d" % n, b"1" * size], ".bin")
        whole = measure(store.root)
        floor = whole.index
        keep = floor + int(share * (whole.total - floor))
        would = store.gc(keep=keep, results=results, dry_run=True)
        done = store.gc(keep=keep, results=results)
        left = measure(store.root)
        assert (would.removed, would.over) == (done.removed, done.over)
        over = left.total - left.index + whole.index - keep  # the index' own log grows by what is noted
        assert done.over > 0 or over <= 0
        if not results:
            assert done.results == 0
            assert left.values == sum(sizes)
        if done.results:
            assert left.steps == 0, "a result went before a step"
        lost = [size for n, size in enumerate(sizes) if not store.index.find(key_of(n).hex())]
        if lost:
            assert over + lost[-1] > 0, "one result too many went"
        kept = [store.value(record) for record in store.index.recent() if record.value.ref]  # type: ignore[union-attr]
        assert len(kept) == len(sizes) - len(lost)


# --- steps that no result used


def test_a_step_stays_as_long_as_a_row_names_it_itself_or_through_another(store: Store) -> None:
    run = store.begin(info_of())
    inner = step(store, 1)
    outer, unused = step(store, 2, uses=(inner,)), step(store, 3)
    run.commit([row_of(1, steps=(outer,)), row_of(2, failed="no", steps=(inner,))])
    found = store.gc()
    assert (list(found.removed), found.kept[UNUSED][0]) == ([], 1)
    run.finish("done", {})
    found = store.gc()
    assert found.removed[UNUSED][0] == 1
    assert [read_record(store.root, key) is None for key in (inner, outer, unused)] == [False, False, True]
    store.forget([key_of(1)])
    store.gc()
    assert [read_record(store.root, key) is None for key in (inner, outer)] == [False, True]
    store.forget([key_of(2)])
    store.gc()
    assert measure(store.root).steps == 0


def test_a_step_that_another_used_goes_no_earlier_than_that(store: Store) -> None:
    inner = step(store, 1, made=1.0)
    middle = step(store, 2, made=2.0, uses=(inner,))
    outer = step(store, 3, made=NOW, uses=(middle,))
    other = step(store, 4, made=3.0)
    run = store.begin(info_of())
    run.commit([row_of(1, steps=(outer, middle, inner, other))])
    run.finish("done", {})
    assert to_free(store.root, store.index, 1, results=False).steps == [inner, middle, outer]
    store.gc(steps=True, older_than=0.0)
    assert [read_record(store.root, key) is None for key in (inner, middle, outer, other)] == [0, 0, 0, 1]
    store.gc(steps=True)
    assert all(read_record(store.root, key) is None for key in (inner, middle, outer))


def test_the_folder_of_a_step_counts_as_its_size(store: Store) -> None:
    first, _ = step(store, 1, made=1.0), step(store, 2, made=2.0)
    folder = store.path / "steps" / "files" / first.hex()
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"0" * 5_000)
    assert to_free(store.root, store.index, 5_000, results=False).steps == [first]


def test_a_step_of_an_interrupted_task_with_a_checkpoint_stays(store: Store) -> None:
    key = step(store, 1)
    checkpoint = CheckpointDir(store.path / "checkpoints", key_of(1).hex())
    checkpoint.save((1,))
    assert store.gc().removed == {}
    assert read_record(store.root, key) is not None
    checkpoint.drop()
    assert store.gc().removed[UNUSED][0] == 1


def test_what_hangs_on_a_step_goes_with_it(store: Store) -> None:
    key = step(store, 1).hex()
    left = [store.path / "steps" / place for place in (f"files/{key}/a", f"work/{key}/b", f"keys/{key}.lock")]
    orphan = store.path / "steps" / "files" / ("ab" * 16)
    for path in (*left, orphan / "x"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
    assert store.gc().removed[UNUSED][0] == 2
    assert not any(path.exists() for path in (*left, orphan))
    assert measure(store.root).steps == 0


def test_a_step_that_is_being_computed_stays_unless_unfinished_things_go(store: Store) -> None:
    saved = store.path / "steps" / "work" / ("ab" * 16) / "a.checkpoint"
    saved.parent.mkdir(parents=True)
    saved.write_bytes(b"123")
    store.gc()
    assert saved.exists()
    store.gc(unfinished=True)
    assert not saved.exists()


def test_a_value_that_a_kept_step_shares_with_one_that_goes_stays(store: Store) -> None:
    ref = PayloadDir(store.path / "steps").write([b"0" * 1_000], ".bin")
    value = Encoded("bytes", None, ref, 1_000, "builtins:bytes")
    for n in (1, 2):
        key = n.to_bytes(16, "big")
        write_record(store.root, StepRecord(key, value, "m.f", "", 0.0, 1.0, "run", b"t" * 16))
    run = store.begin(info_of())
    run.commit([row_of(1, steps=((1).to_bytes(16, "big"),))])
    run.finish("done", {})
    store.gc()
    assert (store.path / "steps" / ref).exists()
    found = store.gc(steps=True)
    assert found.removed[GIVEN_STEPS][0] == 1
    assert measure(store.root).steps == 0


@pytest.mark.parametrize("what", ["uses", "stores"])
def test_a_run_that_came_and_went_in_the_middle_keeps_its_steps(
    what: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memento.store import garbage

    keys = [step(store, n) for n in range(3)]
    went: list[bytes] = []

    def pause(seconds: float) -> None:
        if not went:
            went.extend(key for key in keys if read_record(store.root, key) is None)
            run = store.begin(info_of())
            used = next(key for key in keys if key not in went) if what == "uses" else step(store, 9)
            run.commit([row_of(1, steps=(used,))] if what == "uses" else [row_of(1)])
            run.finish("done", {})

    monkeypatch.setattr("time.sleep", pause)
    monkeypatch.setattr(garbage, "_TURN", 0.0)
    store.gc()
    left = [key for key in keys if read_record(store.root, key) is not None]
    assert len(left) == 3 - len(went) > 0
    for key in left:
        record = read_record(store.root, key)
        assert record is not None
        assert record.value.ref is not None
        assert (store.path / "steps" / record.value.ref).exists()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    results=st.lists(st.integers(1, 9), max_size=5),
    steps=st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 2)), max_size=5),
    share=st.floats(0.0, 1.0),
    given_up=st.sampled_from(["", "steps", "old"]),
)
def test_keep_counts_nothing_twice_whatever_goes_anyway(
    results: list[int], steps: list[tuple[int, bool, int]], share: float, given_up: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """Steps that no result used, that share a value, or have files; steps and results that are given up beside."""
    with Store.open(tmp_path_factory.mktemp("keep") / "s") as store:
        run = store.begin(info_of())
        for n, size in enumerate(results):
            result(store, run, n, ended=float(n), size=size * 10_000)
        used = []
        for n, (size, is_used, files) in enumerate(steps):
            ref = PayloadDir(store.path / "steps").write([b"%d" % size * size * 10_000], ".bin")
            value = Encoded("bytes", None, ref, size * 10_000, "builtins:bytes")
            key = n.to_bytes(16, "big")
            write_record(store.root, StepRecord(key, value, "m.f", "", float(n), 1.0, "run", b"t" * 16))
            used += [key] if is_used else []
            if files:
                (store.path / "steps" / "files" / key.hex()).mkdir(parents=True)
                (store.path / "steps" / "files" / key.hex() / "x").write_bytes(b"x" * files * 10_000)
        run.commit([row_of(99, steps=tuple(used), started=9e9)])
        run.finish("done", {})
        whole = measure(store.root)
        keep = whole.index + int(share * (whole.total - whole.index))
        more = {"steps": True} if given_up == "steps" else {}
        old = {"older_than": store.clock.now() - 1.5} if given_up == "old" else {}
        done = store.gc(keep=keep, results=True, **more, **old)  # type: ignore[arg-type]
        left = measure(store.root)
        over = left.total - left.index + whole.index - keep
        assert over <= 0
        went = [size * 10_000 for n, size in enumerate(results) if not store.index.find(key_of(n).hex())]
        went = went[2:] if given_up == "old" else went
        assert not went or over + went[-1] > 0, "one result too many went"
        assert not went or left.steps == 0
        assert done.over == 0
