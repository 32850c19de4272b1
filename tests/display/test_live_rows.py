from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from memento.display.live_rows import LiveRows
from memento.display.task_names import TaskNames
from memento.display.text import Causes
from memento.events import Tick, WorkerState
from tests.display.fakes import tick

SHARED = "dataset=load_breast_cancer, feature_engineering=SimpleImputer, preprocessing=StandardScaler"


def running(*configs: str, **more: object) -> Tick:
    states = tuple(WorkerState("w", str(i), config, 1.0, **more) for i, config in enumerate(configs))  # type: ignore[arg-type]
    return tick(3, workers=0)._replace(running=states)


def plain(rows: list[Text]) -> list[str]:
    return [row.plain for row in rows]


def test_where_rows_are_too_long_they_leave_out_what_all_tasks_have_alike() -> None:
    now = running(f"{SHARED}, model=SVC", f"{SHARED}, model=Ada")
    narrow, wide = (plain(LiveRows(Causes()).rows(now, width, 10)) for width in (80, 200))
    assert [row.split()[0] for row in narrow[1:]] == ["model=SVC", "model=Ada"]
    assert all(SHARED in row for row in wide[1:])


def test_identity_comes_before_numbers_at_every_width() -> None:
    now = running(
        f"{SHARED}, model=SVC", f"{SHARED}, model=Ada", done=1.0, total=2.0, metrics={"loss": 0.3125}
    )
    for width in (20, 39, 40, 60, 79, 80, 120, 159):
        rows = plain(LiveRows(Causes()).rows(now, width, 10))
        assert all(
            row.startswith("  ") and row.index(name) < row.index("1.0 s")
            for row, name in zip(rows[1:], ("SVC", "Ada"), strict=True)
        )
    assert "loss=0.3125" in rows[1]


def test_no_parameter_in_which_tasks_differ_vanishes_where_there_is_little_room() -> None:
    names = TaskNames()
    configs = [
        f"dataset=load_breast_cancer_{d}, feature_engineering=SimpleImputerWithALongName_{f}, seed={s}"
        for d in "ab"
        for f in "cd"
        for s in (1, 2)
    ]
    for room in (80, 60, 40, 20):
        texts = names.fit(configs, room)
        assert len(set(texts)) == len(configs)  # each is told from the others
        assert all(cell_len(text) <= room for text in texts)


def test_a_name_that_was_shortened_once_keeps_its_form() -> None:
    names = TaskNames()
    long = "model=RandomForestClassifierWithManyTrees, preprocessing=StandardScaler, seed=1"
    names.fit(["model=SVC, preprocessing=None, seed=2"], 40)
    before = names.fit([long], 40)
    names.fit(["model=SVC, preprocessing=None, seed=2"], 40)
    assert names.fit([long], 40) == before


def test_wide_characters_take_the_room_that_they_take() -> None:
    now = running("データセット=日本語データセット, model=🎉🎉🎉", "データセット=日本語のデータ, model=SVC")
    for width in (20, 30, 40, 80):
        rows = LiveRows(Causes()).rows(now, width, 10)
        assert all(row.cell_len <= width for row in rows[1:]) or width < 30


def test_rows_do_not_jump_while_a_worker_is_between_two_tasks() -> None:
    rows = LiveRows(Causes())
    assert len(rows.rows(tick(3, workers=4), 80, 20)) == 5
    assert len(rows.rows(tick(3, workers=1), 80, 20)) == 5
    assert len(rows.rows(tick(3, workers=0), 80, 20)) == 5
    assert len(rows.rows(tick(3, workers=1), 60, 20)) == 2  # a new size of the terminal: all rows are new


def test_numbers_that_find_no_room_are_left_out_whole() -> None:
    full = LiveRows(Causes()).rows(tick(3), 100, 5)[0].plain
    for width in range(30, 100):
        bar = LiveRows(Causes()).rows(tick(3), width, 5)[0].plain
        told = bar.split("  ", 1)[1]
        assert f"{told} · " in f"{full} · "
        assert len(bar) <= width


def test_a_hundred_percent_is_said_only_when_all_is_settled() -> None:
    assert "(99%)" in LiveRows(Causes()).rows(tick(99_990, total=100_000), 100, 5)[0].plain
    assert "(100%)" in LiveRows(Causes()).rows(tick(22), 100, 5)[0].plain
