"""Runs that share a store share its work: every task is done exactly once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memento import system
from memento.index.lease import REBOOT_SECONDS, UNSEEN_SECONDS, Leases
from memento.index.run_contract import Run
from memento.index.types import Owner
from memento.records import DONE, Known, RunInfo
from memento.store.store import Store
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of


@dataclass
class FakeClock:
    """A clock that stands until it is moved."""

    time: float = 1_700_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time - 1_600_000_000.0


class Deaths:
    """Which process identities have ended."""

    def __init__(self) -> None:
        self.dead: set[int] = set()

    def alive(self, pid: int, started: str) -> bool:
        return pid not in self.dead

    def attach(self, store: Store, clock: FakeClock) -> None:
        store.index.leases = Leases(clock, alive=self.alive)


@pytest.fixture
def deaths() -> Deaths:
    return Deaths()


@pytest.fixture
def store(tmp_path: Path, deaths: Deaths) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        deaths.attach(store, FakeClock())
        yield store


def test_the_claims_of_a_dead_run_are_free(store: Store, deaths: Deaths) -> None:
    one, two = store.begin(info_of(pid=101)), store.begin(info_of(pid=102))
    one.claim([key_of(1)])
    assert two.claim([key_of(1)]).elsewhere == [key_of(1)]
    assert two.waiting([key_of(1)]) == [key_of(1)]
    deaths.dead.add(101)
    assert two.waiting([key_of(1)]) == []
    assert two.claim([key_of(1)]).granted == [key_of(1)]


def test_a_dead_run_reads_died_at_once_and_is_marked_by_the_next_run(store: Store, deaths: Deaths) -> None:
    store.begin(info_of(pid=101)).claim([key_of(1)])
    deaths.dead.add(101)
    assert store.index.runs()[0].status == "died"
    store.begin(info_of(pid=102))
    deaths.dead.clear()
    assert [run.status for run in store.index.runs()] == ["running", "died"]


def test_a_late_result_of_a_lost_claim_is_taken_where_nobody_was_first(store: Store, deaths: Deaths) -> None:
    one, two = store.begin(info_of(pid=101)), store.begin(info_of(pid=102))
    one.claim([key_of(1), key_of(2)])
    deaths.dead.add(101)
    two.claim([key_of(1), key_of(2)])
    two.commit([row_of(1)])
    late = one.commit([row_of(1), row_of(2)])
    assert list(late.superseded) == [key_of(1)]
    assert list(late.ids) == [key_of(2)]
    assert two.commit([row_of(2)]).superseded[key_of(2)].id == late.ids[key_of(2)]


def test_a_run_on_another_machine_loses_its_claims_when_its_heart_stands_still(tmp_path: Path) -> None:
    clock = FakeClock()
    with Store.open(tmp_path / "store", clock=clock) as store:
        far = store.begin(info_of(boot_id="another-boot", host="far", pid=1))
        near = store.begin(info_of())
        far.claim([key_of(1)])
        assert near.claim([key_of(1)]).elsewhere == [key_of(1)]
        for _ in range(int(UNSEEN_SECONDS / 10) - 1):
            clock.time += 10
            assert near.waiting([key_of(1)]) == [key_of(1)]
        far.heartbeat()
        for _ in range(int(UNSEEN_SECONDS / 10)):
            assert near.claim([key_of(1)]).elsewhere == [key_of(1)]
            clock.time += 10
        assert near.claim([key_of(1)]).granted == [key_of(1)]


def silence(leases: Leases, clock: FakeClock, owner: Owner) -> float:
    """Look on until a run counts as dead; return how long it took."""
    began = clock.time
    while not leases.is_dead(owner):
        assert clock.time - began < 10_000
        clock.time += 1
    return clock.time - began


@pytest.mark.parametrize(
    ("host", "boot", "seconds"),
    [
        ("here", "before/pid:[1]", REBOOT_SECONDS),
        ("here", "now/pid:[2]", UNSEEN_SECONDS),  # a container beside ours
        ("there", "now/pid:[2]", UNSEEN_SECONDS),
        ("there", "before/pid:[1]", UNSEEN_SECONDS),
    ],
    ids=["an earlier boot", "another container", "another container's name", "another machine"],
)
@pytest.mark.parametrize("skew", [-1e6, 0.0, 1e6])
def test_a_run_that_cannot_be_looked_up_is_dead_when_its_beat_was_seen_to_stand_still(
    host: str, boot: str, seconds: float, skew: float
) -> None:
    clock = FakeClock()
    leases = Leases(clock, boot="now/pid:[1]", host="here", alive=lambda pid, started: False)
    run = Owner(1, host, 7, "55", boot, clock.now() + skew)
    assert silence(leases, clock, run) == seconds
    assert silence(leases, clock, run._replace(heartbeat=run.heartbeat + 5)) == seconds


def test_a_pause_of_who_looks_on_proves_nothing() -> None:
    clock = FakeClock()
    leases = Leases(clock, boot="now/pid:[1]", host="here")
    run = Owner(1, "there", 7, "55", "other", clock.now())
    assert not leases.is_dead(run)
    clock.time += 86_400
    assert not leases.is_dead(run)


def test_a_run_among_whose_processes_we_live_needs_no_heart() -> None:
    clock = FakeClock()
    leases = Leases(clock, boot="now/pid:[1]", host="here", alive=lambda pid, started: True)
    run = Owner(1, "here", 7, "55", "now/pid:[1]", clock.now())
    for _ in range(1_000):
        clock.time += 60
        assert not leases.is_dead(run)


def test_a_pid_that_was_given_to_another_process_is_not_the_run(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        store.begin(info_of(process_started="1")).claim([key_of(1)])
        assert store.begin(info_of()).claim([key_of(1)]).granted == [key_of(1)]


def test_a_claim_row_goes_when_its_last_task_is_done(store: Store) -> None:
    run = store.begin(info_of())
    run.claim([key_of(1), key_of(2)])
    run.claim([key_of(3)])
    run.commit([row_of(1), row_of(3)])
    count = "SELECT count(*) FROM claims"
    assert cast(Any, store.index).database.connection().execute(count).fetchone() == (1,)
    run.commit([row_of(2)])
    assert cast(Any, store.index).database.connection().execute(count).fetchone() == (0,)


def test_a_run_may_claim_again_what_it_released_or_failed(store: Store) -> None:
    run = store.begin(info_of())
    run.claim([key_of(1)])
    run.release([key_of(1)])
    assert run.claim([key_of(1)]).granted == [key_of(1)]
    run.commit([row_of(1, failed="no")])
    assert run.claim([key_of(1)]).granted == [key_of(1)]
    run.commit([row_of(1)])
    assert [known.status for known in store.index.known(EXPERIMENT)] == [DONE]


def test_a_task_that_was_never_claimed_is_kept_once(store: Store) -> None:
    one, two = store.begin(info_of()), store.begin(info_of())
    one.commit([row_of(1)])
    one.commit([row_of(1)])
    two.commit([row_of(1)])
    assert len(list(store.index.known(EXPERIMENT))) == 1


def test_a_commit_that_was_interrupted_once_it_was_durable_may_be_repeated(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(keys: object) -> None:
        raise KeyboardInterrupt

    run = store.begin(info_of())
    run.claim([key_of(1), key_of(2)])
    rows = [row_of(1), row_of(2, failed="no")]
    monkeypatch.setattr(cast(Any, run)._claims, "close", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.commit(rows)
    monkeypatch.undo()
    again = run.commit(rows)
    assert sorted([*again.ids, *again.superseded]) == [key_of(1), key_of(2)]
    assert sorted(known.key for known in store.index.known(EXPERIMENT)) == [key_of(1), key_of(2)]


def test_two_forced_runs_share_the_work(store: Store) -> None:
    store.begin(info_of()).commit([row_of(1), row_of(2)])
    plan = {known.key: known.id for known in store.index.known(EXPERIMENT)}
    one, two = store.begin(info_of()), store.begin(info_of())
    one.previous, two.previous = dict(plan), dict(plan)
    one.claim([key_of(1)])
    two.claim([key_of(2)])
    one.commit([row_of(1)])
    two.commit([row_of(2)])
    assert [known.key for known in one.claim([key_of(2)]).finished] == [key_of(2)]
    assert [known.key for known in two.claim([key_of(1)]).finished] == [key_of(1)]
    assert len(list(store.index.known(EXPERIMENT))) == 2


WORKER = """
import sys
from memento.store.store import Store
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of
store = Store.open(sys.argv[1])
run = store.begin(info_of())
print("ready", flush=True)
sys.stdin.readline()
todo, mine, others = [key_of(n) for n in range(int(sys.argv[2]))], 0, 0
while todo:
    batch, todo = todo[:7], todo[7:]
    claim = run.claim(batch)
    others += len(claim.finished)
    done = run.commit([row_of(int.from_bytes(key[:2], "big")) for key in claim.granted])
    assert not done.superseded, done.superseded
    mine += len(done.ids)
    todo += claim.elsewhere
run.finish("done", {})
print(mine, others, flush=True)
"""


def test_two_processes_do_every_task_exactly_once(tmp_path: Path) -> None:
    count = 400
    command = [sys.executable, "-c", WORKER, str(tmp_path / "store"), str(count)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [tuple(map(int, worker.communicate(timeout=300)[0].split())) for worker in workers]
    assert [mine + others for mine, others in told] == [count, count]
    assert sum(mine for mine, _ in told) == count
    with Store.open(tmp_path / "store") as store:
        keys = [known.key for known in store.index.known(EXPERIMENT)]
    assert sorted(keys) == [key_of(n) for n in range(count)]


def test_a_killed_process_leaves_its_work_to_the_next(tmp_path: Path) -> None:
    program = """
import sys
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
run = Store.open(sys.argv[1]).begin(info_of())
run.claim([key_of(1), key_of(2)])
run.commit([row_of(1)])
print("committed", flush=True)
sys.stdin.readline()
"""
    command = [sys.executable, "-c", program, str(tmp_path / "store")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "committed\n"
        with Store.open(tmp_path / "store") as store:
            run = store.begin(info_of())
            assert run.claim([key_of(2)]).elsewhere == [key_of(2)]
            worker.kill()
            worker.wait(300)
            assert run.claim([key_of(2)]).granted == [key_of(2)]
            assert [known.key for known in store.index.known(EXPERIMENT)] == [key_of(1)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="zombies are made by fork")
def test_a_zombie_counts_as_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = system.process_start(child.pid)
        assert started is not None
        assert system.is_alive(child.pid, started)
        assert child.stdin is not None
        child.stdin.close()
        # Wait for its end without collecting it: it stays a zombie.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not system.is_alive(child.pid, started)


class SharedStore(RuleBasedStateMachine):
    """Several runs over one store, in any order of events, against a dict of what was done."""

    KEYS = 6

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.deaths = Deaths()
        self.runs: list[Run | None] = [None, None, None]
        self.pids = [0, 0, 0]
        self.held: list[set[bytes]] = [set(), set(), set()]
        self.done: dict[bytes, int] = {}  # key -> id of its only result
        self.told: list[set[bytes]] = [set(), set(), set()]
        self.next_pid = 1000
        self.stores = [self.opened() for _ in range(3)]
        for store in self.stores:
            self.deaths.attach(store, self.clock)
        self.known: list[dict[bytes, Known]] = [{}, {}, {}]

    def opened(self) -> Any:
        """Open the one store."""
        return Store.open(Path(self.folder.name) / "store")

    def teardown(self) -> None:
        if hasattr(self, "stores"):
            for store in self.stores:
                store.close()
            self.folder.cleanup()

    def run_of(self, who: int) -> Run:
        run = self.runs[who]
        if run is None:
            self.next_pid += 1
            self.pids[who] = self.next_pid
            self.known[who] = {known.key: known for known in self.stores[who].index.known(EXPERIMENT)}
            run = self.runs[who] = self.stores[who].begin(self.info(who))
            run.previous = {k: v.id for k, v in self.known[who].items() if v.status != DONE}
            self.told[who] = {k for k, v in self.known[who].items() if v.status == DONE}
        return run

    def info(self, who: int) -> RunInfo:
        return info_of(pid=self.pids[who], process_started="x")

    @rule(who=st.integers(0, 2), numbers=st.sets(st.integers(0, KEYS - 1), min_size=1))
    def claim(self, who: int, numbers: set[int]) -> None:
        run = self.run_of(who)
        wanted = [key_of(n) for n in sorted(numbers) if key_of(n) not in self.told[who]]
        claim = run.claim(wanted)
        finished = {known.key for known in claim.finished}
        assert sorted([*claim.granted, *claim.elsewhere, *finished]) == wanted
        others = set().union(*(held for other, held in enumerate(self.held) if other != who))
        assert not set(claim.granted) & others, "granted what a live run holds"
        assert not set(claim.granted) & self.done.keys(), "granted what is done"
        assert set(claim.elsewhere) <= others
        self.told[who] |= {known.key for known in claim.finished if known.status == DONE}
        self.held[who] |= set(claim.granted)

    @rule(who=st.integers(0, 2), fails=st.booleans(), several=st.booleans())
    def commit(self, who: int, fails: bool, several: bool) -> None:
        run = self.run_of(who)
        keys = sorted(self.held[who])[: None if several else 1]
        numbers = [int.from_bytes(key[:2], "big") for key in keys]
        committed = run.commit([row_of(n, failed="no" if fails else "") for n in numbers])
        assert not committed.superseded
        assert sorted(committed.ids) == keys
        self.held[who] -= set(keys)
        if not fails:
            assert not self.done.keys() & committed.ids.keys(), "done twice"
            self.done.update(committed.ids)
            self.told[who] |= set(keys)

    @rule(who=st.integers(0, 2))
    def release(self, who: int) -> None:
        keys = sorted(self.held[who])[:1]
        self.run_of(who).release(keys)
        self.held[who] -= set(keys)

    @rule(who=st.integers(0, 2))
    def news(self, who: int) -> None:
        run = self.run_of(who)
        for known in run.news():
            if known.status == DONE:
                assert self.done[known.key] == known.id
                self.told[who].add(known.key)

    @rule(who=st.integers(0, 2))
    def die(self, who: int) -> None:
        if self.runs[who] is not None:
            self.deaths.dead.add(self.pids[who])
            self.runs[who] = None
            self.held[who] = set()

    @rule(who=st.integers(0, 2))
    def finish(self, who: int) -> None:
        self.run_of(who).finish("done", {})
        self.runs[who] = None
        self.held[who] = set()

    @rule(who=st.integers(0, 2), number=st.integers(0, KEYS - 1))
    def wait(self, who: int, number: int) -> None:
        others = set().union(*(held for other, held in enumerate(self.held) if other != who))
        if key_of(number) in others:
            assert self.run_of(who).waiting([key_of(number)]) == [key_of(number)]

    @invariant()
    def every_key_has_one_row(self) -> None:
        if hasattr(self, "stores"):
            rows = list(self.stores[0].index.known(EXPERIMENT))
            assert len({row.key for row in rows}) == len(rows)
            assert {row.key: row.id for row in rows if row.status == DONE} == self.done


TestSharedStore = SharedStore.TestCase
TestSharedStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
