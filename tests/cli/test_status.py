"""`status`: what it says of experiments, sizes and runs, for people and for scripts."""

from __future__ import annotations

import os
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

import memento as library
from memento.executors.base import Running
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.charter import Charter, heard_from, write_charter
from memento.executors.pilots.pilot_messages import Beat, Ended, FromPilot, Here, Leaving
from memento.executors.pilots.streams import Writer
from memento.index.types import Activity, Standing
from memento.layout import Layout
from memento.records import MEMORY, TIMEOUT
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
from memento.wording import size_text
from memento.worker.handover import Left
from tests.cli.calling import copied, memento
from tests.cli.conftest import Project
from tests.cli.test_steer import alive


def test_status_counts_the_tasks_of_each_experiment(project: Project) -> None:
    told = project("status")
    assert told.code == 0
    assert "experiment.py:grid: 4 done, 2 failed" in told.out
    assert "4 done, 2 failed in" in told.out.partition("latest runs")[2]


def test_status_as_json_has_experiments_and_runs(project: Project) -> None:
    told = project("status", "--json").json
    assert told["store"] == str(project.store)
    (experiment,) = told["experiments"]
    assert [experiment[name] for name in ("name", "done", "failed")] == ["experiment.py:grid", 4, 2]
    (run,) = told["runs"]
    assert run["experiment"] == "experiment.py:grid"
    assert (run["status"], run["tasks"], run["now"]) == ("failed", 6, [])
    assert run["counts"]["done"] == 4
    assert run["ended"] >= run["started"]


def died_in(store: Path) -> None:
    """Leave a store as kill -9 does: three tasks are committed, one of them failed, and nobody closed the book."""
    with Store.open(store) as opened:
        run = opened.begin(
            info_of(pid=2**22 + 1, tasks=10), cached=2
        )  # no system of ours hands out such a pid
        record = opened.index.run(run.id)
        assert record is not None
        begun: dict[str, Any] = {"started": record.started + 5.0, "runtime": 7.0}
        run.commit([row_of(n, **begun) for n in (1, 2)] + [row_of(3, failed="broken", **begun)])


def test_status_tells_what_the_rows_hold_of_a_run_that_was_killed(tmp_path: Path) -> None:
    died_in(tmp_path / "store")
    told = memento("status", "--store", tmp_path / "store").out
    assert re.search(
        r"died +run 1, science:experiment: 2 done, 2 cached, 1 failed of 10 tasks in 12 s, \S+ s ago \(.*\)\n"
        r"    5 left; run it again for the rest: python science.py --fast\n",
        told,
    )
    (run,) = memento("status", "--json", "--store", tmp_path / "store").json["runs"]
    assert (run["status"], run["counts"]) == ("died", {"done": 2, "cached": 2, "failed": 1})


def test_what_a_killed_run_did_is_told_after_the_next_run_as_before(tmp_path: Path) -> None:
    died_in(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        run = store.begin(info_of(tasks=10), cached=2)
        run.commit([row_of(n) for n in range(4, 9)])
        run.finish("done", {"cached": 2, "done": 5, "failed": 0})
    last, first = memento("status", "--json", "--store", tmp_path / "store").json["runs"]
    assert (last["status"], last["counts"]) == ("done", {"done": 5, "cached": 2, "failed": 0})
    assert (first["status"], first["counts"]) == ("died", {"done": 2, "cached": 2, "failed": 1})


def test_status_says_how_to_compute_only_what_failed(tmp_path: Path) -> None:
    row = row_of(3, failed="too much")
    failure = row.outcome.failure
    assert failure is not None
    memory = row._replace(outcome=row.outcome._replace(failure=failure._replace(kind=MEMORY)))
    at = f"--store {shlex.quote(str(tmp_path))}"
    with Store.open(tmp_path) as store:
        run = store.begin(info_of(tasks=3))
        run.commit([row_of(1), row_of(2, failed="broken")])
        run.finish("failed", {"done": 2, "cached": 0, "failed": 1})
        again = "    run it again to try again what failed: python science.py --fast\n    only what failed, at once"
        assert f"{again}: memento retry --failed --run {at}\n" in memento("status", "--store", tmp_path).out
        store.retry([key_of(2)])
        other = store.begin(info_of(experiment="science:other", tasks=1))
        other.commit([memory._replace(key=key_of(5))])
        other.finish("failed", {"done": 0, "cached": 0, "failed": 1})
        told = memento("status", "--store", tmp_path).out
    assert (
        "    only what failed, at once, with more memory:"
        f" memento retry --failed --run --memory-limit SIZE -e science:other {at}\n"
    ) in told
    assert "    1 more task failed and counts as not computed: the next run computes them\n" in told


def test_what_ran_out_of_time_and_memory_is_given_more_of_both(tmp_path: Path) -> None:
    row = row_of(2, failed="too much")
    failure = row.outcome.failure
    assert failure is not None
    kinds = [
        row._replace(outcome=row.outcome._replace(failure=failure._replace(kind=k)))
        for k in (MEMORY, TIMEOUT)
    ]
    with Store.open(tmp_path) as store:
        run = store.begin(info_of(tasks=2))
        run.commit([kinds[0], kinds[1]._replace(key=key_of(3))])
        run.finish("failed", {"done": 0, "cached": 0, "failed": 2})
    assert (
        "    only what failed, at once, with more memory and more time:"
        f" memento retry --failed --run --memory-limit SIZE --timeout TIME --store {shlex.quote(str(tmp_path))}\n"
    ) in memento("status", "--store", tmp_path).out


def test_what_failed_in_an_earlier_stage_is_told_with_the_line_that_computes_it(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        first = store.begin(info_of(tasks=2))
        first.commit([row_of(1), row_of(2, failed="broken")])
        first.finish("failed", {"done": 1, "cached": 0, "failed": 1})
        second = store.begin(info_of(tasks=1))
        second.commit([row_of(3)])
        second.finish("done", {"done": 1, "cached": 0, "failed": 0})
        told = memento("status", "--store", tmp_path).out
    line = f"memento retry --failed --run --store {shlex.quote(str(tmp_path))}"
    assert told.count(f"    only what failed, at once: {line}\n") == 1


def test_what_is_left_of_a_run_is_at_most_that_where_another_run_was_at_work(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        other, run = store.begin(info_of(tasks=10)), store.begin(info_of(tasks=10))
        run.finish("interrupted", {"done": 1, "cached": 0, "failed": 0})
        other.commit([row_of(n) for n in range(4)])
        other.finish("interrupted", {"done": 4, "cached": 0, "failed": 0})
        text, told = shown(tmp_path)
        assert "    up to 9 left; run it again for the rest: " in text
        assert (told["left"], told["left_is_exact"]) == (9, False)
        store.begin(info_of(tasks=10)).finish("interrupted", {"done": 1, "cached": 5, "failed": 0})
        assert "    4 left; run it again for the rest: " in shown(tmp_path)[0]


def test_status_tells_how_far_a_run_is_that_goes_on(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        alive(store, tasks=10).commit([row_of(1)])
        told = memento("status", "--store", tmp_path / "store").out
    assert re.search(
        r"^running now\n  run 1  science:experiment: 1 of 10 tasks \(10 %\): 1 done\n", told, re.MULTILINE
    )
    assert re.search(r"^    0 running; so far \d", told, re.MULTILINE)


@pytest.mark.parametrize(("own", "told"), [(0, "10 by other runs in"), (4, "4 done, 6 by other runs in")])
def test_status_tells_what_other_runs_computed_for_one(own: int, told: str, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        store.begin(info_of(tasks=10)).finish("done", {"done": own, "cached": 0, "failed": 0})
    assert f"science:experiment: {told}" in memento("status", "--store", tmp_path / "store").out


def test_status_says_how_large_what_is_and_what_gc_frees(project: Project, tmp_path: Path) -> None:
    copied(project.store, tmp_path / "store")
    (tmp_path / "store" / "work" / project.tasks()[0]["key"]).mkdir()
    (tmp_path / "store" / "work" / project.tasks()[0]["key"] / "scratch").write_bytes(b"0" * 3 * 2**20)
    with Store.open(tmp_path / "store") as store:
        store.payloads.write([b"0" * 5 * 2**20], ".bin")
    told = memento("status", "--store", tmp_path / "store").out
    assert re.search(r"^store .*: 8\.\d+ MB$", told, re.MULTILINE)
    assert re.search(r"^size  values 5\.24 MB, folders 3\.15 MB, index \d", told, re.MULTILINE)
    sizes = memento("status", "--json", "--store", tmp_path / "store").json["sizes"]
    assert (sizes["values"], sizes["folders"]) == (5 * 2**20, 3 * 2**20)
    assert sizes["garbage"] == (8 if project.tasks()[0]["status"] == "done" else 5) * 2**20
    assert f"`memento gc` frees {size_text(sizes['garbage'])}" in told
    assert sizes["total"] > sizes["garbage"]
    assert sizes["complete"] is True
    assert library.sizes(tmp_path / "store")._asdict() | {"disk_free": 0} == {
        name: size for name, size in (sizes | {"disk_free": 0}).items() if name != "total"
    }


def shown(store: Path, *arguments: str) -> tuple[str, Any]:
    """Return what status prints, and its only run as JSON."""
    told = memento("status", *arguments, "--store", store)
    assert (told.code, told.err) == (0, "")
    return told.out, memento("status", *arguments, "--json", "--store", store).json["runs"][0]


STANDING = Standing(
    total=40, done=7, cached=2, failed=1, running=2, workers=3, throughput=0.5, eta=90.0, longest=4.0
)


def test_status_tells_what_each_worker_is_at_how_far_it_is_and_how_long_the_run_will_take(
    tmp_path: Path,
) -> None:
    now = time.time()
    activities = [
        Activity("host/1", key_of(2), now - 41.0, 9.0, 20.0, {"loss": 0.31251}, config="model=SVC, C=10"),
        Activity("host/2", key_of(1), now - 90.0, doing="waits for step load('x')", config="model=Tree"),
    ]
    with Store.open(tmp_path / "store") as store:
        run = alive(store, tasks=40)
        run.show(activities, STANDING)
        run.heartbeat()
        text, told = shown(tmp_path / "store")
    assert "  run 1  science:experiment: 10 of 40 tasks (25 %): 7 done, 2 cached, 1 failed\n" in text
    assert re.search(r"^    2 running on 3 workers, 0\.5 tasks/s, .+ left; so far \d", text, re.MULTILINE)
    one, other = key_of(1).hex()[:12], key_of(2).hex()[:12]
    assert re.search(
        rf"    {one}  model=Tree  \d+ min( \d+ s)?  \(waits for step load\('x'\)\)\n"
        rf"    {other}  model=SVC, C=10  (\d+ min )?\d+ s  45%  loss=0\.3125\n",
        text,
    )
    assert (told["counts"], told["left"]) == ({"done": 7, "cached": 2, "failed": 1}, 30)
    assert told["eta"] <= 90
    assert [task["config"] for task in told["working"]] == ["model=Tree", "model=SVC, C=10"]
    assert told["now"] == [key_of(1).hex(), key_of(2).hex()]
    assert (told["paused_by"], told["stopping"], told["go_on"]) == (None, False, None)


def test_rows_that_are_newer_than_what_a_run_told_count(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        run = alive(store, tasks=40)
        run.show([], STANDING._replace(done=1, failed=0))
        run.commit([row_of(number) for number in range(5)] + [row_of(9, failed="broken")])
        text, told = shown(tmp_path / "store")
    assert told["counts"] == {"done": 5, "cached": 2, "failed": 1}
    assert "8 of 40 tasks (20 %): 5 done, 2 cached, 1 failed" in text


def test_a_run_that_is_paused_says_so_by_whom_and_how_it_goes_on(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        run = alive(store)
        run.show([], STANDING._replace(paused="ada@node7\x1b[2J", eta=None))
        run.heartbeat()
        text, told = shown(tmp_path / "store")
    assert "    paused by ada@node7: no more tasks are started; `memento resume --store " in text
    assert "tasks/s" not in text
    assert "left;" not in text
    assert (told["paused_by"], told["eta"]) == ("ada@node7\x1b[2J", None)


def test_a_run_that_was_told_to_stop_says_so(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        run = alive(store)
        run.show([], STANDING._replace(stopping=True))
        run.heartbeat()
        text, told = shown(tmp_path / "store")
    assert "stopping: no more tasks are started, and it ends when what runs has ended" in text
    assert "left;" not in text
    assert told["stopping"] is True


def test_of_several_runs_each_line_to_type_names_its_run(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        for _ in range(2):
            run = alive(store)
            run.show([], STANDING._replace(paused="ada@node7"))
            run.heartbeat()
        text, _ = shown(tmp_path / "store")
    assert re.findall(r"`memento resume --run (\d)", text) == ["2", "1"]


def test_nothing_runs_after_its_owner_died_whatever_it_told_before(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        run = store.begin(info_of(pid=2**22 + 1, tasks=40))
        run.show([Activity("host/1", key_of(1), 0.0, config="model=SVC")], STANDING._replace(paused="ada"))
        run.commit([row_of(5)])
    text, told = shown(tmp_path / "store")
    assert "running now" not in text
    assert "paused" not in text
    assert (told["status"], told["left"], told["now"]) == ("died", 39, [])
    assert told["go_on"] == "python science.py --fast"


@pytest.mark.parametrize(
    ("ago", "told"),
    [
        (
            3.0,
            r"its program is gone, and 1 pilot of it works on: 1 task there at work, heard of \S+ s ago\n",
        ),
        (900.0, r"nothing is heard any more of 1 pilot of it, heard of 15 min.* ago\n"),
    ],
)
def test_what_pilots_do_without_the_program_that_had_started_them_is_told(
    ago: float, told: str, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "store") as store:
        run = store.begin(info_of(pid=2**22 + 1, tasks=40))
        run.commit([row_of(0)])
        folder = write_charter(Charter(Layout(store.root).work(run.name), 1), "p0001")
        left = [Left(run.name, "e", key_of(number), b"", row_of(number).outcome) for number in range(3)]
        beat = Beat((Running("w", 3, 1.0),), 100.0)
        messages: list[FromPilot] = [Here("n1", 1, 1, None, "17@n1", run.name), *map(Ended, left), beat]
        Writer(heard_from(folder, 1)).append(pilot_messages.pack_all(messages))
    moment = time.time() - ago
    os.utime(heard_from(folder, 1), (moment, moment))
    text, facts = shown(tmp_path / "store")
    assert re.search(f"^    {told}    done there, and not in the store yet: 2 tasks\n", text, re.MULTILINE)
    assert "39 left; run it again for the rest, which goes on from there: python science.py --fast\n" in text
    assert facts["pilots"] == {
        "working": int(ago < 60), "silent": int(ago > 60), "running": int(ago < 60), "done": 2, "heard": moment
    }  # fmt: skip
    speak_last = pilot_messages.pack_all([Leaving("it has had nothing to do")])
    Writer(heard_from(folder, 1)).append(speak_last)
    assert "pilot of it" not in shown(tmp_path / "store")[0]


def test_only_the_latest_run_of_an_experiment_says_how_to_go_on(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        store.begin(info_of(tasks=10)).finish("interrupted", {"done": 1, "cached": 0, "failed": 0})
        store.begin(info_of(tasks=10)).finish("interrupted", {"done": 2, "cached": 1, "failed": 0})
        store.begin(info_of(tasks=10, experiment="science:other")).finish("done", {"done": 10})
        told = memento("status", "--json", "--store", tmp_path / "store").json["runs"]
        assert [(run["id"], run["left"], run["go_on"]) for run in told] == [
            (3, 0, None),
            (2, 7, "python science.py --fast"),
            (1, 9, None),
        ]
        alive(store, tasks=10)
        told = memento("status", "--json", "--store", tmp_path / "store").json["runs"]
    assert [run["go_on"] for run in told] == [None, None, None, None]


def test_failures_are_told_by_cause_with_what_they_share_and_the_best_with_its_parameters(
    project: Project, tmp_path: Path
) -> None:
    told = project("status").out
    assert (
        "2 tasks: ValueError: three is too much (experiment.py:7) - both have x=3, no success has it\n"
        in told
    )
    assert f"`memento ls --failed --store {shlex.quote(str(project.store))}` lists them" in told
    assert "    highest square 4: model=dict, x=2 (" in told
    assert "    lowest square 1: model=dict, x=1 (" in told
    (experiment,) = project("status", "--json").json["experiments"]
    (cause,) = experiment["causes"]
    assert (cause["count"], cause["rule"]) == (2, "both have x=3, no success has it")
    assert [(one["by"], one["highest"], one["value"]) for one in experiment["numbers"]] == [
        ("square", True, 4.0),
        ("square", False, 1.0),
    ]


def test_in_a_large_store_what_takes_long_is_left_to_full(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memento.cli.causes_and_best.ROWS", 5)
    monkeypatch.setattr("memento.cli.causes_and_best.FAILURES", 1)
    told = project("status").out
    assert "1 task: ValueError: three is too much (experiment.py:7)\n" in told
    assert "these are the newest 1; `memento ls --failed" in told
    assert "`memento status --full --store" in told
    assert "highest" not in told
    assert "both have x=3, no success has it" in project("status", "--full").out


def test_files_for_which_there_is_no_time_are_told_as_not_counted(
    arrays: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memento.cli.status._SIZES_WITHIN", 0.0)
    monkeypatch.setattr("memento.store.sizes._LOOK_AT_THE_TIME", 1)
    told = arrays("status").out
    assert re.search(r"^store .*: more than \d", told, re.MULTILINE)
    assert ", and files for which there was no time" in told
    assert arrays("status", "--json").json["sizes"]["garbage"] is None
    assert arrays("status", "--json", "--full").json["sizes"]["complete"] is True


def test_one_experiment_is_shown_alone(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        for name in ("science:experiment", "science:other"):
            run = store.begin(info_of(experiment=name))
            run.commit([row_of(1)])
            run.finish("done", {"done": 1, "cached": 0, "failed": 0})
    text, told = shown(tmp_path / "store", "-e", "other")
    assert "science:experiment" not in text
    assert told["experiment"] == "science:other"
    wrong = memento("status", "-e", "nope", "--store", tmp_path / "store")
    assert (wrong.code, "science:other" in wrong.err) == (2, True)


def test_watch_looks_again_until_it_is_interrupted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("memento.cli.status.time.sleep", sleep)
    told = project("status", "--watch")
    assert told.code == 130
    assert told.out.count("latest runs") == 3
    assert "\x1b" not in told.out  # it is no terminal


def test_a_damaged_result_hides_nothing_else(values: Project) -> None:
    import sqlite3

    with sqlite3.connect(values.store / "index.sqlite") as index:
        index.execute("UPDATE tasks SET runtime = runtime + 1 WHERE status = 'done'")
    index.close()
    told = values("status")
    assert told.code == 0
    assert "arrays.py:arrays: 2 done, 1 failed" in told.out
