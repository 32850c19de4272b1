"""Results that were computed elsewhere: a run finds them, and nothing that the store computed is lost."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento import Memento, faultpoints
from memento.exchange.imported_results import Imported, import_results, same
from memento.exchange.read_csv import read_csv
from memento.exchange.roles import Asked, roles_of
from memento.exchange.rows_to_results import Prepared, with_matrix, without_matrix
from memento.exchange.source_rows import Row, Source
from memento.matrix.matrix import Matrix
from memento.matrix.values import token
from memento.records import RunInfo
from memento.results.results import Results
from memento.store.imported import origin_of, source_of_run
from memento.store.store import Store
from tests.cli.calling import memento

NAME = "elsewhere.py:train"
WHENCE = {"from": "results.csv", "kind": "csv", "by": "ada@node7"}


class Svc: ...


class Tree: ...


def never(context: Any, config: Any) -> Any:
    raise AssertionError(f"{config} was computed")


def run(store: Path, matrix: Any, func: Callable[..., Any] = never, **options: Any) -> Results:
    runs = Memento(func, name=NAME, executor="serial", store=store, progress=False, **options)
    found = runs.run(matrix)
    assert found is not None
    return found


def rows_of(*rows: Mapping[str, Any], results: tuple[str, ...] = ("value",)) -> Source:
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    parameters = tuple(name for name in columns if name not in results)
    made = [Row(f"line {i}", row) for i, row in enumerate(rows, 2)]
    return Source("csv", "results.csv", made, columns, parameters, results)


def prepared_of(source: Source, matrix: Any, asked: Asked = Asked()) -> Prepared:  # noqa: B008  # it is frozen
    declared = Matrix.of(matrix)
    roles = roles_of(source, asked, declared.table().names, declared.settings)
    return with_matrix(source, roles, declared, NAME)


def taken(folder: Path, source: Source, matrix: Any, asked: Asked = Asked(), **options: Any) -> Imported:  # noqa: B008
    prepared = prepared_of(source, matrix, asked)
    with Store.open(folder) as store:
        return import_results(store, prepared.tasks, prepared.results, WHENCE, **options)


# -- a run finds what was imported ------------------------------------------------------------------------

PLAIN = st.one_of(
    st.integers(-3, 3),
    st.floats(allow_nan=False, width=32),
    st.booleans(),
    st.none(),
    st.sampled_from(
        ["a", "b c", "x,y", 'q"', "line\nbreak", "1x", "SVC", "1", "True", "1.0", "None", "-", "'=1", ""]
    ),
    st.sampled_from([Svc, Tree, [1, 2], (1, 2), {"a": 1}]),
)
VALUES = st.lists(PLAIN, min_size=1, max_size=4, unique_by=token)
RESULTS = st.one_of(
    st.floats(allow_nan=False),
    st.fixed_dictionaries({"acc": st.floats(0, 1), "n": st.integers(0, 9), "good": st.booleans()}),
    st.fixed_dictionaries({"note": st.sampled_from(["fine", "so so"]), "deep": st.floats(0, 1)}),
)


GRIDS = st.dictionaries(st.sampled_from(["a", "b", "model"]), VALUES, min_size=1, max_size=3)


def write_frame(results: Results, store: Path, path: Path) -> None:
    results.to_frame().to_csv(path)


def write_export(results: Results, store: Path, path: Path) -> None:
    told = memento("export", "--to", "csv", "-o", path, "--store", store)
    assert told.code == 0, told.err


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_frame, write_export])
@settings(max_examples=40)
@given(GRIDS, st.lists(RESULTS, min_size=1, max_size=5), st.integers(1, 2))
def test_what_a_run_wrote_as_csv_is_imported_into_another_store_and_nothing_is_computed_again(
    write: Callable[[Results, Path, Path], None],
    parameters: dict[str, list[Any]],
    results: list[Any],
    repeats: int,
) -> None:
    matrix: dict[str, Any] = {"parameters": parameters, "settings": {"folds": 5}, "repeats": repeats}
    kind = type(results[0])
    alike = [
        one for one in results if type(one) is kind and (kind is float or one.keys() == results[0].keys())
    ]

    def train(context: Any, config: Any) -> Any:
        return alike[sum(map(len, map(str, vars(config).values()))) % len(alike)]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = run(folder / "here", matrix, train)
        write(first, folder / "here", folder / "results.csv")
        told = taken(folder / "there", read_csv(folder / "results.csv"), matrix)
        assert (told.imported, told.conflicts) == (len(first), [])
        again = run(folder / "there", matrix)
        assert [one.was_cached for one in again] == [True] * len(first)
        assert all(same(one.inner, other.inner) for one, other in zip(again, first, strict=True))
        assert [one.key for one in again] == [one.key for one in first]
        assert taken(folder / "there", read_csv(folder / "results.csv"), matrix).imported == 0


@pytest.mark.parametrize("write", [write_frame, write_export])
def test_texts_that_a_table_writes_otherwise_are_found(
    tmp_path: Path, write: Callable[[Results, Path, Path], None]
) -> None:
    values = ["-", "'=1", "=2", float("-inf"), float("nan"), None, (1, 2), True, "True", 1, "1"]
    matrix = {"parameters": {"a": values}}
    first = run(tmp_path / "here", matrix, lambda context, config: str(config.a))
    write(first, tmp_path / "here", tmp_path / "r.csv")
    source = read_csv(tmp_path / "r.csv")
    assert taken(tmp_path / "there", source, matrix).imported == len(values)


def test_values_that_are_more_than_text_are_found_by_what_they_are_called(tmp_path: Path) -> None:
    matrix = {"parameters": {"model": [Svc, Tree], "size": {"small": 10, "large": (1, 2)}, "C": [None, 0.1]}}
    source = rows_of(
        {"model": "Svc", "size": "small", "C": "0.10", "value": "1"},
        {"model": "Tree", "size": "large", "C": "None", "value": "2"},
        {"model": "Tree", "size": "(1, 2)", "C": "1e-1", "value": "3"},
        {"model": "Svc", "size": "10.0", "value": "4"},
    )
    assert taken(tmp_path, source, matrix).imported == 4
    found = run(tmp_path, matrix, lambda context, config: 0)
    assert sorted(one.inner for one in found if one.was_cached) == [1, 2, 3, 4]
    assert found.filter(model=Tree, size="large", C=0.1)[0].inner == 3
    assert found.filter(model=Svc, size="small", C=None)[0].inner == 4


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=6, unique_by=repr))
def test_without_a_matrix_keys_are_those_of_a_matrix_with_these_values(pairs: list[tuple[Any, Any]]) -> None:
    rows = [
        {"a": a, "b": b, "value": 1.5} for a, b in pairs if not isinstance(a, str) and not isinstance(b, str)
    ]
    source = rows_of(*rows) if rows else rows_of({"a": 1, "b": 2, "value": 1.5})
    constants = {"folds": 5}
    prepared = without_matrix(source, roles_of(source, Asked(), None, constants), NAME, constants)
    matrix = {"parameters": {}, "include": [{"a": r.cells["a"], "b": r.cells["b"]} for r in source.rows]}
    with tempfile.TemporaryDirectory() as name, Store.open(name) as store:
        import_results(store, prepared.tasks, prepared.results, WHENCE)
        again = run(Path(name), Matrix(include=matrix["include"], settings=constants))
    assert all(one.was_cached and one.inner == 1.5 for one in again)


def test_texts_are_typed_as_a_matrix_file_would(tmp_path: Path) -> None:
    source = rows_of(
        {"lr": "1e-3", "n": "1", "on": "true", "model": "svc", "sizes": "[1, 2]", "value": "0.5"}
    )
    prepared = without_matrix(source, roles_of(source, Asked(), None), NAME, {})
    with Store.open(tmp_path) as store:
        import_results(store, prepared.tasks, prepared.results, WHENCE)
    (again,) = run(
        tmp_path, {"parameters": {"lr": [1e-3], "n": [1], "on": [True], "model": ["svc"], "sizes": [[1, 2]]}}
    )
    assert (again.inner, again.was_cached) == (0.5, True)


EXPORTED = """key,experiment,a,settings.folds,status,value,loss,runtime,cpu_time,memory,start_time,attempts,error
0f,elsewhere.py:train,1,5,done,2.5,0.25,12.5,3.0,2000,2026-01-02 03:04:05.5+00:00,2,
1f,elsewhere.py:train,2,5,failed,,,1.5,3.0,2000,2026-01-02 03:04:05.5+00:00,1,ValueError: no
"""


def test_a_table_that_memento_exported_brings_its_settings_and_facts(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(EXPORTED, encoding="utf-8")
    source = read_csv(tmp_path / "r.csv")
    matrix = {"parameters": {"a": [1, 2]}, "settings": {"folds": 5}}
    with_it = prepared_of(source, matrix, Asked(metrics=["loss"]))
    without = without_matrix(source, roles_of(source, Asked(["a"], (), ["loss"]), None), NAME, {})
    for prepared in (with_it, without):
        (result,) = prepared.results
        assert result[1:] == (2.5, "line 2", {"loss": 0.25}, 1767323045.5, 12.5, 3.0, 2000)
        assert prepared.left_out == {"its status is 'failed'": ["line 3"]}
    assert with_it.tasks.key(with_it.results[0].number) == without.tasks.key(without.results[0].number)
    assert list(prepared_of(source, matrix | {"settings": {"folds": 3}}).unmatched) == [
        "it was computed with another setting: folds=5 is no value of 'folds'. Values: 3."
    ]


def test_facts_of_a_task_come_along(tmp_path: Path) -> None:
    source = rows_of(
        {"a": "1", "value": "2", "loss": "0.25", "runtime": "12.5", "start_time": "2026-01-02 03:04:05"}
    )
    source = source._replace(results=("value", "loss"))
    taken(tmp_path, source, {"parameters": {"a": [1]}}, Asked(metrics=["loss"]))
    (found,) = run(tmp_path, {"parameters": {"a": [1]}})
    assert found.runtime is not None
    assert found.start_time is not None
    assert found.runtime.total_seconds() == 12.5
    assert found.start_time.isoformat().startswith("2026-01-02T03:04:05")
    assert found.metrics["loss"]["y"].tolist() == [0.25]


# -- what is here stays -----------------------------------------------------------------------------------

MATRIX = {"parameters": {"a": [1, 2, 3]}}


def test_a_result_that_this_store_computed_is_never_replaced(tmp_path: Path) -> None:
    run(tmp_path, {"parameters": {"a": [1, 2]}}, lambda context, config: config.a * 1.0)
    source = rows_of({"a": "1", "value": "1.0"}, {"a": "2", "value": "7"}, {"a": "3", "value": "8"})
    told = taken(tmp_path, source, MATRIX, replace=True)
    assert (told.imported, told.known, told.replaced) == (1, 1, 0)
    (conflict,) = told.conflicts
    assert (conflict.here, conflict.there, conflict.where, conflict.is_imported, conflict.replaced) == (
        2.0, 7, "line 3", False, False,
    )  # fmt: skip
    assert [one.inner for one in run(tmp_path, MATRIX)] == [1.0, 2.0, 8]


def test_what_was_imported_before_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    taken(tmp_path, rows_of({"a": "1", "value": "1"}, {"a": "2", "value": "2"}), MATRIX)
    changed = rows_of({"a": "1", "value": "1"}, {"a": "2", "value": "5"}, {"a": "3", "value": "3"})
    told = taken(tmp_path, changed, MATRIX)
    assert (told.imported, told.known, [c.replaced for c in told.conflicts]) == (1, 1, [False])
    told = taken(tmp_path, changed, MATRIX, replace=True)
    assert (told.imported, told.replaced, told.known) == (1, 1, 2)
    assert [one.inner for one in run(tmp_path, MATRIX)] == [1, 5, 3]
    told = taken(tmp_path, changed, MATRIX, replace=True)
    assert (told.imported, told.known) == (0, 3)


def test_another_metric_is_another_result_of_what_was_imported(tmp_path: Path) -> None:
    asked = Asked(metrics=["loss"])
    rows = rows_of({"a": "1", "value": "1", "loss": "2"}, results=("value", "loss"))
    other = rows_of({"a": "1", "value": "1", "loss": "3"}, results=("value", "loss"))
    taken(tmp_path, rows, MATRIX, asked)
    assert taken(tmp_path, rows, MATRIX, asked).known == 1
    assert len(taken(tmp_path, other, MATRIX, asked).conflicts) == 1


def test_a_failure_gives_way_and_stays_as_an_attempt(tmp_path: Path) -> None:
    run(tmp_path, {"parameters": {"a": [1]}}, on_error="return")
    assert taken(tmp_path, rows_of({"a": "1", "value": "4"}), MATRIX).imported == 1
    (found,) = run(tmp_path, {"parameters": {"a": [1]}})
    with Store.open(tmp_path) as store:
        attempts = store.index.attempts(bytes.fromhex(found.key))
    assert (found.inner, [attempt.status for attempt in attempts]) == (4, ["failed", "done"])


def test_of_several_rows_of_a_task_the_one_that_began_last_counts(tmp_path: Path) -> None:
    rows = rows_of({"a": "1", "value": "1"}, {"a": "1", "value": "2"}, {"a": "1", "value": "3"}).rows
    times = [row._replace(started=moment) for row, moment in zip(rows, (10.0, 30.0, 20.0), strict=True)]
    source = rows_of({"a": "1", "value": "1"})._replace(rows=times)
    told = taken(tmp_path, source, MATRIX)
    assert (told.imported, told.repeated) == (1, 2)
    assert run(tmp_path, {"parameters": {"a": [1]}})[0].inner == 2


def test_a_dry_run_says_the_same_and_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path, {"parameters": {"a": [1]}}, lambda context, config: 1)
    source = rows_of({"a": "1", "value": "1"}, {"a": "2", "value": "2"})
    told = taken(tmp_path, source, MATRIX, dry_run=True)
    assert (told.imported, told.known) == (1, 1)
    with Store.open(tmp_path) as store:
        assert len(store.index.ids()) == 1
        assert len(store.index.runs()) == 1


# -- beside runs, and after a kill ------------------------------------------------------------------------


def _info() -> RunInfo:
    from memento.testing.index_rows import info_of

    return info_of(NAME)


def test_what_a_run_computes_just_now_is_left_to_it(tmp_path: Path) -> None:
    prepared = prepared_of(rows_of({"a": "1", "value": "1"}, {"a": "2", "value": "2"}), MATRIX)
    with Store.open(tmp_path) as store, Store.open(tmp_path) as other:
        live = other.begin(_info())
        live.claim([prepared.tasks.key(0)])
        told = import_results(store, prepared.tasks, prepared.results, WHENCE)
        assert (told.imported, told.busy) == (1, 1)
        live.finish("interrupted", {})
        told = import_results(store, prepared.tasks, prepared.results, WHENCE)
        assert (told.imported, told.known) == (1, 1)


def test_nothing_is_replaced_while_a_run_lives_that_may_have_planned_with_it(tmp_path: Path) -> None:
    taken(tmp_path, rows_of({"a": "1", "value": "1"}), MATRIX)
    with Store.open(tmp_path) as other:
        live = other.begin(_info())
        with pytest.raises(ValueError, match=r"a run of .* is at work"):
            taken(tmp_path, rows_of({"a": "1", "value": "2"}), MATRIX, replace=True)
        live.finish("done", {})
    assert taken(tmp_path, rows_of({"a": "1", "value": "2"}), MATRIX, replace=True).replaced == 1


@pytest.mark.parametrize(
    "place", ["claim.made", "commit.before", "commit.inside", "commit.done", "run.finishing"]
)
def test_an_import_that_dies_is_completed_by_the_next_one(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = rows_of(*({"a": str(a), "value": str(a)} for a in range(30)))
    matrix = {"parameters": {"a": range(30)}}
    monkeypatch.setattr("memento.exchange.imported_results._AT_ONCE", 7)
    reached = 0

    def die(name: str) -> None:
        nonlocal reached
        reached += name == place
        if name == place and reached == (1 if place == "run.finishing" else 3):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(faultpoints, "at", die)
        with pytest.raises(KeyboardInterrupt):
            taken(tmp_path, source, matrix)
    taken(tmp_path, source, matrix)
    assert [one.inner for one in run(tmp_path, matrix)] == list(range(30))
    with Store.open(tmp_path) as store:
        assert len(store.index.ids()) == 30


# -- where it comes from, and which code ------------------------------------------------------------------


def test_a_result_says_what_it_was_imported_from(tmp_path: Path) -> None:
    taken(tmp_path, rows_of({"a": "1", "value": "1"}), MATRIX)
    run(tmp_path, {"parameters": {"a": [1, 2]}}, lambda context, config: 5)
    with Store.open(tmp_path) as store:
        new, old = store.index.recent()
        assert str(origin_of(store, old)) == "line 2 of results.csv, by ada@node7"
        assert origin_of(store, new) is None
        assert [source_of_run(one) for one in store.index.runs()] == [None, "results.csv"]


@pytest.mark.parametrize("policy", ["warn", "rerun", "ignore"])
def test_no_change_of_the_code_is_told_of_what_was_imported(
    tmp_path: Path, policy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def one(context: Any, config: Any) -> Any:
        return 1

    def two(context: Any, config: Any) -> Any:
        return 2

    taken(tmp_path, rows_of({"a": "1", "value": "7"}), MATRIX)
    run(tmp_path, {"parameters": {"a": [1, 2]}}, one)
    runs = Memento(two, name=NAME, executor="serial", store=tmp_path, progress=True, on_code_change=policy)
    found = runs.run(MATRIX)
    assert found is not None
    assert [one.inner for one in found] == [7, 2 if policy == "rerun" else 1, 2]
    assert ("1 result was computed by an older version" in "".join(capfd.readouterr())) == (
        policy != "ignore"
    )
    with Store.open(tmp_path) as store:
        (pending,) = store.versions(NAME).pending()
        assert pending[0] not in store.versions(NAME).ids(b"memento imported")


def test_a_time_that_is_not_known_tells_a_forecast_nothing(tmp_path: Path) -> None:
    from memento.plan.runtime_forecast import fit_costs

    taken(tmp_path, rows_of({"a": "1", "value": "7"}), MATRIX)
    with Store.open(tmp_path) as store:
        assert fit_costs(store.index.runtimes(NAME, 10), ["a"], [["1"]]) is None


# -- rows that are none -----------------------------------------------------------------------------------


def test_every_row_that_is_not_taken_says_why(tmp_path: Path) -> None:
    matrix = {
        "parameters": {"model": ["svc", "tree"], "C": [1, 10]},
        "when": {"C": {"model": "svc"}},
        "settings": {"folds": 5},
    }
    source = rows_of(
        {"model": "svc", "C": "1", "folds": "5", "value": "1", "status": "FINISHED"},
        {"model": "tree", "folds": "5.0", "value": "1", "status": "done"},
        {"model": "tree", "C": "1", "folds": "5", "value": "1", "status": "done"},
        {"model": "svm", "C": "1", "folds": "5", "value": "1", "status": "done"},
        {"model": "svc", "C": "10", "folds": "3", "value": "1", "status": "done"},
        {"model": "svc", "C": "10", "folds": "5", "value": "1", "status": "failed"},
        {"model": "svc", "folds": "5", "value": "1", "status": "done"},
    )
    prepared = prepared_of(source, matrix)
    assert [result.where for result in prepared.results] == ["line 2", "line 3"]
    assert prepared.left_out == {"its status is 'failed'": ["line 7"]}
    assert prepared.unmatched == {
        "the matrix has its values, and no task with all of them": ["line 4"],
        "model=svm is no value of 'model'. Nearest: 'svc'.": ["line 5"],
        "it was computed with another setting: folds=3 is no value of 'folds'. Values: 5.": ["line 6"],
        "the matrix has its values, and no task with all of them (C empty)": ["line 8"],
    }


def test_a_text_that_two_values_have_is_not_guessed() -> None:
    prepared = prepared_of(rows_of({"a": "1", "value": "1"}), {"parameters": {"a": [1, "1"]}})
    assert list(prepared.unmatched) == ["it fits several tasks of the matrix"]


def test_a_row_without_a_result_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("a,acc\n1,\n2,0.5\n\n", encoding="utf-8")
    prepared = prepared_of(read_csv(tmp_path / "r.csv"), MATRIX)
    assert prepared.left_out == {"it has no result": ["line 2"]}
    assert [result.value for result in prepared.results] == [{"acc": 0.5}]


def test_a_parameter_that_the_source_lacks_is_its_default_or_its_only_value() -> None:
    matrix: dict[str, Any] = {"parameters": {"a": [1], "b": [7], "c": [0, 5]}, "defaults": {"c": 0}}
    prepared = prepared_of(rows_of({"a": "1", "value": "2"}), matrix)
    assert [prepared.tasks.matrix.config(result.number).c for result in prepared.results] == [0]
    with pytest.raises(ValueError, match=r"no column 'c', which has 2 values .* --rename opt\.c=c"):
        prepared_of(
            rows_of({"a": "1", "opt.c": "0", "value": "2"}), {"parameters": {"a": [1], "b": [7], "c": [0, 5]}}
        )


def test_a_source_without_any_parameter_of_the_matrix_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"no column of the source is a parameter of the matrix\. It has: b\."
    ):
        prepared_of(rows_of({"a": "1", "value": "2"}), {"parameters": {"b": [1]}})


def test_of_a_server_a_metric_may_be_called_like_a_fact() -> None:
    source = rows_of({"a": "1", "runtime": 2.0, "status": 3.0}, results=("runtime", "status"))
    prepared = prepared_of(source._replace(kind="mlflow"), MATRIX)
    assert [result.value for result in prepared.results] == [{"runtime": 2.0, "status": 3.0}]


def test_volatile_names_need_not_agree(tmp_path: Path) -> None:
    matrix = {"parameters": {"a": [1]}, "settings": {"device": "cuda"}, "volatile": ["device"]}
    assert taken(tmp_path, rows_of({"a": "1", "device": "cpu", "value": "2"}), matrix).imported == 1


def test_a_frame_with_repeats_and_no_numbers_among_its_values_comes_back(tmp_path: Path) -> None:
    matrix = {"parameters": {"a": [1, 2]}, "repeats": 2}
    nan = float("nan")
    first = run(tmp_path / "here", matrix, lambda context, config: nan if config.a == 1 else config.repeat)
    first.to_frame().to_csv(tmp_path / "r.csv", index=False)
    taken(tmp_path / "there", read_csv(tmp_path / "r.csv"), matrix)
    again = run(tmp_path / "there", matrix)
    assert [str(float(one.inner)) for one in again] == ["nan", "nan", "0.0", "1.0"]


def test_a_semicolon_or_a_tab_separates_columns_too(tmp_path: Path) -> None:
    for separator in ";\t":
        text = f"a{separator}acc\r\n1{separator}0,5\r\n"
        with open(tmp_path / "r.csv", "w", encoding="utf-8-sig", newline="") as stream:
            stream.write(text)
        (row,) = read_csv(tmp_path / "r.csv").rows
        assert row.cells == {"a": "1", "acc": "0,5"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a,a\n1,2\n", "two columns 'a'"),
        ("a,b\n1\n", "line 2: there are 1 cells, and 2 columns"),
    ],
)
def test_a_file_that_is_no_table_says_where(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_csv(tmp_path / "r.csv")


def test_a_large_table_is_matched_in_one_go(tmp_path: Path) -> None:
    with open(tmp_path / "r.csv", "w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["a", "b", "value"])
        lines.writerows([a, b, a + b] for a in range(60) for b in range(50))
    matrix = {"parameters": {"a": range(60), "b": range(50)}}
    assert taken(tmp_path / "s", read_csv(tmp_path / "r.csv"), matrix).imported == 3_000
