"""What looking at a store may cost: statements and rows read, which are the same on every machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from memento.cli.choosing import all_ids, choose, choose_ids, wanted
from memento.index.tables import rows
from memento.records import TaskRecord
from memento.store.store import Store
from memento.testing.index_rows import info_of, row_of

TASKS = 20_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with many tasks: the oldest have a=0."""
    from memento.index.declared_values import Declared

    place = tmp_path_factory.mktemp("looking") / "store"
    with Store.open(place) as store:
        run = store.begin(info_of())
        values = [str(number) for number in range(TASKS // 10)]
        run.declare([Declared("a", values, {}), Declared("b", values[:10], {})], b"", True)
        run.commit(
            [
                row_of(number)._replace(
                    key=number.to_bytes(16, "big"),
                    params=json.dumps({"a": number // 10, "b": number % 10}),
                )
                for number in range(TASKS)
            ]
        )
        run.finish("done", {})
    return place


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path, create=False, readonly=True) as opened:
        yield opened


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[TaskRecord]:
    """Every row that became a record."""
    seen: list[TaskRecord] = []
    make = rows.task_record

    def counted(*arguments: object) -> TaskRecord:
        record = make(*arguments)  # type: ignore[arg-type]
        seen.append(record)
        return record

    monkeypatch.setattr(rows, "task_record", counted)
    return seen


@pytest.mark.parametrize(
    ("arguments", "found"),
    [([], 50), (["a=0"], 10), (["a=0", "b=3"], 1), (["b=3"], 50), (["a=-"], 0), (["a=[0, 5]"], 20)],
)
def test_a_page_decodes_its_own_rows_and_no_others(
    statements: list[str], decoded: list[TaskRecord], store: Store, arguments: list[str], found: int
) -> None:
    page = islice(choose_ids(store, wanted(arguments)), 50)
    assert len(list(store.index.records(page))) == found
    assert len(decoded) == found
    assert len(statements) <= 14, statements  # nine of them open it


def test_keys_in_bulk_are_found_in_one_scan(statements: list[str], store: Store) -> None:
    keys = [number.to_bytes(16, "big").hex() for number in range(0, TASKS, 50)]
    assert len(choose(store, wanted(keys))) == len(keys)
    assert len(statements) <= 15, statements


def test_all_ids_of_a_store_decode_nothing(decoded: list[TaskRecord], store: Store) -> None:
    assert all_ids(store, wanted(["b=3"])) == sorted(all_ids(store, wanted(["b=3"])))
    assert len(all_ids(store, wanted([]))) == TASKS
    assert not decoded
