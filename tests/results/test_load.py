"""Finished work opens anywhere, from what stands in the store alone."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.errors import NotAStore
from memento.records import CodeVersion, Encoded, Failure, Outcome, RunInfo, Series, TaskRow
from memento.results.loading import load
from memento.store.store import Store
from memento.values.encoding import encode
from memento.values.payloads import PayloadDir
from tests.results.fakes import START, failure, key_of


def write(
    path: Path, tasks: list[tuple[dict[str, Any], int, Any]], name: str = "exp:run", **settings: Any
) -> None:
    """Run an experiment: parameters, repeat and value of each task; a Failure failed."""
    with Store.open(path) as store:
        first = sum(done + failed for _, done, failed in store.index.experiments())
        info = RunInfo(name, len(tasks), json.dumps(settings), "", "host", 1, "then", "boot", (), {})
        run = store.begin(info)
        code = run.code(CodeVersion(b"0" * 16, {}))
        rows = []
        for i, (params, repeat, value) in enumerate(tasks):
            failed = value if isinstance(value, Failure) else None
            data = json.dumps(value).encode()
            encoded = None if failed else Encoded("json", data, None, len(data), "builtins:float")
            metrics = (
                () if failed else (Series("acc", 1, 0.5, 0.5, 0.5, b"\0" * 8 + b"\0" * 6 + b"\xe0\x3f"),)
            )
            status = "failed" if failed else "done"
            outcome = Outcome(
                i, status, 1, START, 1.0, 0.5, 10, 20, "host/1", encoded, metrics, (), None, failed
            )
            rows.append(TaskRow(key_of(first + i), json.dumps(params), repeat, code, outcome))
        run.claim([row.key for row in rows])
        run.commit(rows, [])
        run.finish("done", {})


def test_a_store_opens_without_the_program_that_made_it(tmp_path: Path) -> None:
    tasks = [({"model": "sklearn.svm:SVC", "C": c}, 0, c / 10) for c in (10, 1)]
    write(tmp_path / "s", [*tasks, ({"model": "tree"}, 0, failure())], n_fold=5)
    results = load(tmp_path / "s")
    assert [r.status for r in results] == ["done", "done", "failed"]
    frame = results.filter(model="SVC").to_frame()
    assert frame["C"].tolist() == [1, 10]
    assert frame["value"].tolist() == [0.1, 1.0]
    assert frame["acc"].tolist() == [0.5, 0.5]
    assert results[0].config.settings == {"n_fold": 5}
    assert all(r.was_cached for r in results)
    assert str(results.errors()[0]) == "ValueError: bad shape"


def test_numbers_are_ordered_as_numbers_and_repeats_follow_each_other(tmp_path: Path) -> None:
    tasks = [({"size": n}, repeat, n + repeat / 10) for n in (10, 9, 100) for repeat in (1, 0)]
    write(tmp_path / "s", tasks)
    results = load(tmp_path / "s")
    assert [r.inner for r in results] == [9.0, 9.1, 10.0, 10.1, 100.0, 100.1]
    assert results.summary()["n"].tolist() == [2, 2, 2]
    assert [(r.config.size, r.config.repeat) for r in results][:2] == [(9, 0), (9, 1)]


def test_settings_that_differ_stand_beside_the_parameters(tmp_path: Path) -> None:
    write(tmp_path / "s", [({"n": 1}, 0, 0.5)], n_fold=5, data="x")
    write(tmp_path / "s", [({"n": 1}, 0, 0.7)], n_fold=10, data="x")
    results = load(tmp_path / "s")
    frame = results.to_frame()
    assert frame[["n", "settings.n_fold", "value"]].to_numpy().tolist() == [[1, 5, 0.5], [1, 10, 0.7]]
    assert "settings.data" not in frame
    assert [r.config.settings["n_fold"] for r in results] == [5, 10]
    assert list(results[0].config) == ["n"]


def test_lists_and_absent_parameters_come_back(tmp_path: Path) -> None:
    write(tmp_path / "s", [({"h": [1, 2]}, 0, 1), ({"h": [1, 2], "C": 1}, 0, 2), ({"h": None}, 0, 3)])
    results = load(tmp_path / "s")
    assert [r.config.asdict() for r in results.filter(h=[1, 2], C=1)] == [{"h": [1, 2], "C": 1}]
    assert {r.inner for r in results} == {1, 2, 3}


def test_of_several_experiments_one_must_be_named(tmp_path: Path) -> None:
    write(tmp_path / "s", [({"n": 1}, 0, 0.5)], "exp:one")
    write(tmp_path / "s", [({"n": 2}, 0, 0.7)], "exp:two")
    with pytest.raises(ValueError, match=r"'exp:one', 'exp:two'.*Name one"):
        load(tmp_path / "s")
    assert [r.inner for r in load(tmp_path / "s", "exp:two")] == [0.7]
    assert [r.inner for r in load(tmp_path / "s", "one")] == [0.5]
    with pytest.raises(ValueError, match="several experiments"):
        load(tmp_path / "s", "exp")
    with pytest.raises(ValueError, match="Did you mean 'exp:two'"):
        load(tmp_path / "s", "exp:twoo")


def test_what_is_no_store_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotAStore):
        load(tmp_path / "nowhere")
    Store.open(tmp_path / "empty").close()
    with pytest.raises(ValueError, match="without results"):
        load(tmp_path / "empty")


def test_a_store_is_opened_while_results_are_added(tmp_path: Path) -> None:
    write(tmp_path / "s", [({"n": 1}, 0, 0.5)])
    before = load(tmp_path / "s")
    write(tmp_path / "s", [({"n": 2}, 0, 0.7)])
    assert [r.inner for r in before] == [0.5]
    assert [r.inner for r in load(tmp_path / "s")] == [0.5, 0.7]


def test_large_arrays_can_be_opened_without_copies(tmp_path: Path) -> None:
    array = np.arange(200_000, dtype=np.float64)
    place = tmp_path / "store"
    write(place, [({"n": 1}, 0, 0.5)])
    encoded = encode({"weights": array, "name": "w"}, PayloadDir(place / "payloads"))
    with Store.open(place) as store:
        run = store.begin(RunInfo("exp:large", 1, "{}", "", "host", 1, "then", "boot", (), {}))
        outcome = Outcome(0, "done", 1, START, 1.0, 0.5, 10, 20, "host/1", encoded, (), (), None, None)
        run.claim([key_of(9)])
        run.commit([TaskRow(key_of(9), "{}", 0, run.code(CodeVersion(b"1" * 16, {})), outcome)], [])
        run.finish("done", {})
    for mapped in (False, True):
        weights = load(place, "exp:large", mmap=mapped)[0].inner["weights"]
        assert np.array_equal(weights, array)
        owner: Any = weights
        while isinstance(owner, np.ndarray) and owner.base is not None:
            owner = owner.base
        assert isinstance(getattr(owner, "obj", owner), mmap.mmap) == mapped
        weights[:] = 0.0  # of this process alone
    assert np.array_equal(load(place, "exp:large")[0].inner["weights"], array)
