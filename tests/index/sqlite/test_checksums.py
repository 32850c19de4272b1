"""Checksums of many rows at once are those of each, and so are their columns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memento.index.sqlite import sql
from memento.index.tables import rows as encode
from memento.records import DONE, Encoded, Failure, LogSlice, Outcome, Piece, Series, TaskRow

texts = st.text(st.characters(), max_size=10)  # lone surrogates among them
numbers = st.integers(0, 1 << 60)
seconds = st.floats(0, 1e12)
values = st.builds(
    lambda kind, data, name: Encoded(kind, data, None, len(data), name), texts, st.binary(max_size=300), texts
)
outcomes = st.builds(
    Outcome,
    number=numbers,
    status=st.just(DONE),
    attempt=st.integers(1, 9),
    started=seconds,
    runtime=seconds,
    cpu_time=st.none() | seconds,
    memory=st.none() | numbers,
    virtual=st.none() | numbers,
    worker=texts,
    value=values,
    metrics=st.just(()),
    artifacts=st.just(()),
    log=st.none(),
    failure=st.none(),
    warnings=st.none(),
    earlier=st.just(()),
    steps=st.none(),
)
rows = st.builds(TaskRow, st.binary(min_size=16, max_size=16), texts, st.integers(0, 99), numbers, outcomes)
PLAIN = sql.ADD_PLAIN_TASK.count(",") + 1


def is_small(row: TaskRow) -> bool:
    value = row.outcome.value
    return value is not None and value.data is not None and len(value.data) <= sql.TINY


@given(found=st.lists(rows, min_size=1, max_size=20), first=numbers, experiment=st.integers(1, 99))
def test_columns_of_many_plain_tasks_are_those_of_each(
    found: list[TaskRow], first: int, experiment: int
) -> None:
    expected = [encode.task_values(row, first + i, experiment, 3, sql.TINY) for i, row in enumerate(found)]
    at_once = encode.plain_values(found, first, experiment, 3, sql.TINY)
    if all(map(is_small, found)):
        assert at_once == [columns[:PLAIN] for columns in expected]
        assert not any(any(columns[PLAIN:]) for columns in expected)
    else:
        assert at_once is None


@given(plain=rows.filter(is_small))
def test_a_task_with_more_than_a_small_value_is_none_of_them(plain: TaskRow) -> None:
    for more in (
        {"log": LogSlice("r/1.log", 0, 9)},
        {"warnings": '[["UserWarning", "odd", "exp.py:3", 1]]'},
        {"earlier": (Piece("run-1", 1, 5.0, 1.0, 0.5, 10, "host/1", None),)},
        {"artifacts": ("a.txt",)},
        {"steps": (b"k" * 16,)},
        {"metrics": (Series("loss", 1, 0.5, 0.5, 0.5, b"x" * 16),)},
        {"value": Encoded("npy", None, "ab.npy", 10, "numpy:ndarray")},
        {"value": None, "failure": Failure("raised", "ValueError", "no", "", "", None, "")},
    ):
        other = plain._replace(outcome=plain.outcome._replace(**more))
        assert encode.plain_values([plain, other], 1, 1, 1, sql.TINY) is None
