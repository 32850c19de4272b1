"""What every index must do for whoever looks for tasks by what is in their rows.

Knows: the contract. May not know: how an index keeps anything. `memento.testing.index_contract` has the rest.
"""

from __future__ import annotations

import json
from itertools import islice
from random import Random
from typing import Any

from memento.index.types import Sought
from memento.records import TaskRow
from memento.testing.index_records import Opener, RecordsContract
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of


def _row(number: int, parameters: dict[str, Any], **more: Any) -> TaskRow:
    return row_of(number, **more)._replace(params=json.dumps(parameters, ensure_ascii=False))


class LookingContract(RecordsContract):
    """Promises of an index."""

    def test_seek_leaves_out_no_task_that_is_meant(self, open_index: Opener) -> None:
        random = Random(3)
        with open_index() as index:
            runs = [index.begin(info_of(name)) for name in (EXPERIMENT, "other:experiment", EXPERIMENT)]
            for number in range(200):
                own = {"a": random.choice([1, 10, "1"]), "é": random.choice([1.0, None, {"a": 1}])}
                own |= {"b": 1} if random.random() < 0.5 else {}
                row = _row(number, own, failed="no" if random.random() < 0.3 else "")
                random.choice(runs).commit([row])
            for _ in range(40):
                name, status = (
                    random.choice([None, EXPERIMENT, "gone"]),
                    random.choice([None, "done", "failed"]),
                )
                texts = random.sample(
                    [['"a": 1,', '"a": 1}'], ['"a": 10,'], ['{"a": ', '"é": 1']], random.randrange(3)
                )
                lacks = random.sample(["b", 'q"', "é"], random.randrange(2))
                after, before = (
                    1_700_000_000.0 + random.randrange(50),
                    1_700_000_000.0 + random.randrange(50, 250),
                )
                of = None if random.random() < 0.5 else [run.id for run in runs[:2]]
                sought = Sought(name, status, after, before, of, texts, lacks)
                meant, narrow = [], []
                for record in index.recent(name, status=status):
                    if not after <= record.started <= before or not (of is None or record.run in of):
                        continue
                    narrow.append(record.id)
                    if not set(lacks).isdisjoint(json.loads(record.params)):
                        continue
                    if all(any(text in record.params for text in some) for some in texts):
                        meant.append(record.id)
                found = [one.id for one in index.seek(sought)]
                assert found == sorted(set(found), reverse=True)
                assert set(meant) <= set(found) <= set(narrow)

    def test_seek_tells_what_tells_tasks_apart(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            row = _row(1, {"a": "é"})._replace(repeat=2)
            number = run.commit([row]).ids[row.key]
            assert list(index.seek(Sought())) == [(number, row.key, EXPERIMENT, '{"a": "é"}', 2, run.id)]

    def test_whoever_seeks_may_stop_and_may_write_meanwhile(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            run.commit([row_of(number) for number in range(300)])
            found = index.seek(Sought())
            first = [one.key for one in islice(found, 100)]
            run.commit([row_of(number) for number in range(300, 310)])
            assert first + [one.key for one in found] == [key_of(number) for number in reversed(range(300))]

    def test_many_texts_to_choose_from_leave_out_none(self, open_index: Opener) -> None:
        with open_index() as index:
            index.begin(info_of()).commit([row_of(number) for number in range(100)])
            some = [f'"n": {number}}}' for number in range(0, 100, 2)]
            assert {one.key for one in index.seek(Sought(texts=[some]))} >= {
                key_of(n) for n in range(0, 100, 2)
            }

    def test_parameters_that_are_no_json_are_found_too(self, open_index: Opener) -> None:
        with open_index() as index:
            run = index.begin(info_of())
            run.commit(
                [
                    row_of(number)._replace(params=text)
                    for number, text in enumerate(["{", "", "[1]", '"a": 1'])
                ]
            )
            assert len(list(index.seek(Sought()))) == 4
            assert [one.params for one in index.seek(Sought(texts=[['"a": 1']]))] == ['"a": 1']
            assert "{" in {one.params for one in index.seek(Sought(lacks=["a"]))}

    def test_experiments_are_named_in_their_order(self, open_index: Opener) -> None:
        with open_index() as index:
            assert index.names_of_experiments() == []
            for name in ("z", "a"):
                index.begin(info_of(name))
            assert index.names_of_experiments() == [name for name, _, _ in index.experiments()]
