"""Checkpoints go with the results of their tasks, and never before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from memento.records import TaskRecord
from memento.store.store import Store
from memento.store.task_folders import drop_older_states, drop_states, keys_with_states
from memento.testing.index_rows import info_of, key_of, row_of
from memento.values.checkpoints import CheckpointDir


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


def checkpoint(store: Store, number: int) -> Path:
    folder = store.path / "checkpoints" / key_of(number).hex()
    CheckpointDir(folder.parent, folder.name).save((1,))
    return folder


def done(store: Store, number: int) -> TaskRecord:
    return store.index.record(store.begin(info_of()).commit([row_of(number)]).ids[key_of(number)])


def test_a_commit_drops_the_checkpoints_of_what_is_done_and_no_others(store: Store) -> None:
    one, two, failed = checkpoint(store, 1), checkpoint(store, 2), checkpoint(store, 3)
    store.begin(info_of()).commit([row_of(1), row_of(3, failed="no")])
    assert not one.exists()
    assert two.exists()
    assert failed.exists()


def test_foreign_names_are_no_keys(store: Store) -> None:
    (store.path / "checkpoints" / "notes").mkdir()
    checkpoint(store, 1)
    assert keys_with_states(store.path) == {key_of(1)}
    drop_states(store.path, [key_of(2)])
    assert keys_with_states(store.path) == {key_of(1)}


def test_what_a_kill_left_of_a_done_task_goes_also_an_empty_folder(store: Store) -> None:
    records = [done(store, 1), done(store, 2)]
    old, empty = checkpoint(store, 1), store.path / "checkpoints" / key_of(2).hex()
    empty.mkdir()
    for path in (old, *old.iterdir()):
        os.utime(path, (records[0].started, records[0].started))
    drop_older_states(store.path, records)
    assert not old.exists()
    assert not empty.exists()


def test_the_checkpoint_of_a_task_that_is_computed_again_stays(store: Store) -> None:
    record = done(store, 1)
    new = checkpoint(store, 1)  # long after the result, which is of 2023
    drop_older_states(store.path, [record])
    assert new.exists()
