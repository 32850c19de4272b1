"""A frame has one row a task and columns of the types that a researcher expects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memento.results.result import local_time
from tests.results.fakes import MISSING, START, FakeMatrix, failure, key_of, results_of


def test_a_frame_has_parameters_value_metrics_and_how_it_went() -> None:
    matrix = FakeMatrix(repeats=2, model=[dict, list])
    results, _ = results_of(matrix, [0.1, failure("bad"), MISSING, 0.4], {"loss": [9, 8, 7, 6]})
    frame = results.to_frame()
    assert list(frame) == [
        *("model", "repeat", "value", "loss", "status", "was_cached"),
        *("start_time", "runtime", "cpu_time", "memory", "key", "error"),
    ]
    assert frame["model"].tolist() == ["dict", "dict", "list", "list"]
    assert frame["repeat"].tolist() == [0, 1, 0, 1]
    assert frame["status"].tolist() == ["done", "failed", "missing", "done"]
    np.testing.assert_equal(frame["value"].to_numpy(), [0.1, np.nan, np.nan, 0.4])
    np.testing.assert_equal(frame["loss"].to_numpy(), [9, np.nan, np.nan, 6])
    np.testing.assert_equal(frame["runtime"].to_numpy(), [2.0, 3.0, np.nan, 5.0])
    assert frame["key"].tolist() == [key_of(i).hex() for i in range(4)]
    assert frame["error"][1] == "ValueError: bad (experiment.py:24)"
    assert frame["error"].isna().tolist() == [True, False, True, True]
    assert frame["start_time"][0] == pd.Timestamp(local_time(START))
    assert pd.isna(frame["start_time"][2])


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1, 2], "i"), ([0.5, 1], "f"), ([True, False], "b")],
)
def test_plain_parameters_keep_their_type(values: list[object], kind: str) -> None:
    results, _ = results_of(FakeMatrix(p=values), [1, 2])
    column = results.to_frame()["p"]
    assert column.dtype.kind == kind
    assert column.tolist() == values


def test_texts_that_are_no_unicode_stay_themselves() -> None:
    texts = ["\udcff.csv", "a"]  # a file's name in another encoding
    results, _ = results_of(FakeMatrix(p=texts, q=[1, 2]), [*texts, failure("\udcff.csv is empty"), MISSING])
    frame = results.to_frame()
    assert frame["p"].tolist() == [texts[0], texts[0], texts[1], texts[1]]
    assert frame["value"].tolist()[:2] == texts
    assert frame["error"][2] == "ValueError: \udcff.csv is empty (experiment.py:24)"


def test_mixed_parameters_stay_themselves() -> None:
    results, _ = results_of(FakeMatrix(gamma=["scale", 0.5, None]), [1, 2, 3])
    column = results.to_frame()["gamma"]
    assert column.tolist()[:2] == ["scale", 0.5]
    assert pd.isna(column[2])


def test_a_parameter_that_a_task_does_not_have_is_empty() -> None:
    matrix = FakeMatrix(C=[1, 2])
    matrix.table().columns[1, 0] = -1
    results, _ = results_of(matrix, [1, 2])
    np.testing.assert_equal(results.to_frame()["C"].to_numpy(), [1, np.nan])


def test_objects_are_shown_by_name_and_raw_as_they_are() -> None:
    hidden = [[64, 64], [128]]
    results, _ = results_of(FakeMatrix(model=[dict, len], hidden=hidden), [1, 2, 3, 4])
    frame, raw = results.to_frame(), results.to_frame(raw=True)
    assert frame["model"].tolist() == ["dict", "dict", "len", "len"]
    assert frame["hidden"].tolist() == ["[64, 64]", "[128]"] * 2
    assert raw["model"][2] is len
    assert raw["hidden"][0] is hidden[0]


def test_dicts_become_a_column_an_item() -> None:
    values = [{"f1": 0.5, "auc": 0.6}, failure(), {"f1": 0.7}]
    results, _ = results_of(FakeMatrix(n=[1, 2, 3]), values)
    frame = results.to_frame()
    assert "value" not in frame
    np.testing.assert_equal(frame["f1"].to_numpy(), [0.5, np.nan, 0.7])
    np.testing.assert_equal(frame["auc"].to_numpy(), [0.6, np.nan, np.nan])


def test_a_name_that_is_taken_gets_its_kind_in_front() -> None:
    values = [{"n": 5, "f1": 0.5}, {"n": 6, "f1": 0.6}]
    results, _ = results_of(FakeMatrix(n=[1, 2], status=["x"]), values, {"f1": [1, 2], "key": [3, 4]})
    frame = results.to_frame()
    assert list(frame)[:6] == ["n", "status", "value.n", "value.f1", "f1", "key"]
    assert frame["result.status"].tolist() == ["done", "done"]
    assert frame["result.key"][0] == key_of(0).hex()
    assert results.best("f1").config.n == 2


def test_values_that_are_arrays_or_lists_stay_whole() -> None:
    values = [np.zeros(3), [1, 2], pd.DataFrame({"a": [1]})]
    results, _ = results_of(FakeMatrix(n=[1, 2, 3]), values)
    assert [a is b for a, b in zip(results.to_frame()["value"], values, strict=True)] == [True] * 3


def test_numpy_scalars_are_numbers_and_text_is_text() -> None:
    numbers, _ = results_of(FakeMatrix(n=[1, 2]), [np.float32(0.5), np.float64(1)])
    texts, _ = results_of(FakeMatrix(n=[1, 2]), ["a", "b"])
    assert numbers.to_frame()["value"].dtype == np.float64
    assert texts.to_frame()["value"].tolist() == ["a", "b"]


def test_a_frame_of_no_results_has_the_columns() -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2]), [1, 2])
    frame = results[:0].to_frame()
    assert len(frame) == 0
    assert {"n", "value", "status"} <= set(frame)


@pytest.mark.slow
def test_many_rows_make_no_configuration_and_few_reads() -> None:
    matrix = FakeMatrix(a=list(range(200)), b=[dict, list], c=list(range(50)))
    results, store = results_of(matrix, [0.5] * 20_000)
    assert len(results.to_frame()) == 20_000
    assert (store.reads, matrix.configs_made) == (2, 0)


def test_local_times_follow_the_zone_through_a_change_of_the_clock() -> None:
    import time

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        try:
            results, store = results_of(FakeMatrix(n=[1, 2]), [1, 2])
            for row, started in ((1, 1_711_846_799.5), (2, 1_711_846_800.5)):  # around 2024-03-31 01:00 UTC
                store.kept[row] = store.kept[row]._replace(started=started)
            times = [str(t) for t in results.to_frame()["start_time"]]
            assert times == ["2024-03-31 01:59:59.500000", "2024-03-31 03:00:00.500000"]
            assert [str(r.start_time) for r in results] == times
        finally:
            patch.undo()
            time.tzset()
