"""Promises about files of tables: pandas reads from each what was written, with all digits; no cell is a formula."""

from __future__ import annotations

import io
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memento.exchange.table_columns import BOOLEAN, INTEGER, MOMENT, NUMBER, Table, strict, table_of_tasks
from memento.exchange.table_files import safe_cell, write_parquet, write_text
from tests.exchange.making import task

# Texts as no other program would choose them; what is no Unicode is tested apart.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.sampled_from(
    [
        "=1+1",
        "-1",
        "+x",
        "@SUM(A1)",
        "'=1",
        "a,b",
        'say "x"',
        "two\nlines",
        "cr\rhere",
        "\r\n",
        "nan",
        "None",
        "1.0",
        "",
    ]
)
# `read_json` of pandas takes no subnormal numbers.
FLOATS = st.floats(allow_subnormal=False)
NAMES = TEXTS.filter(bool)
PLAIN = st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | FLOATS | TEXTS
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
ROWS = st.lists(
    st.tuples(st.dictionaries(NAMES, PLAIN, max_size=2), st.dictionaries(NAMES, FLOATS, max_size=2), NESTED),
    min_size=1,
    max_size=4,
)


def table_of(made: list[Any]) -> Table:
    return table_of_tasks(
        [
            task(number, value, parameters=parameters, metrics=metrics)
            for number, (parameters, metrics, value) in enumerate(made)
        ]
    )


def text_of(table: Table, kind: str) -> str:
    stream = io.StringIO()
    write_text(table, kind, stream)
    return stream.getvalue()


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and bool(a == b) and str(a) == str(b)  # -0.0 is not 0.0


def unguarded(text: str) -> str:
    """Take away what `safe_cell` put there, as the documentation says."""
    rest = text[1:]
    return rest if text.startswith("'") and safe_cell(rest) != rest else text


@pytest.mark.slow
@given(ROWS)
@example([({}, {}, "=1+1"), ({}, {}, "'=1+1"), ({}, {}, "''=1+1"), ({}, {}, "'-1"), ({}, {}, "'")])
def test_pandas_reads_from_a_csv_what_was_written(made: list[Any]) -> None:
    table = table_of(made)
    read = pd.read_csv(io.StringIO(text_of(table, "csv")), dtype=str, keep_default_na=False, na_filter=False)
    assert [unguarded(name) for name in read.columns] == [column.name for column in table.columns]
    assert len(set(read.columns)) == len(table.columns)
    for place, row in enumerate(table.lists(texts=True)):
        for column, cell, text in zip(table.columns, row, read.iloc[place].tolist(), strict=True):
            if cell is None:
                assert text == ""
            elif column.kind == NUMBER:
                assert same(float(text), float(cell))
            elif column.kind in (INTEGER, BOOLEAN):
                assert text == str(cell)
            elif column.kind == MOMENT:
                assert text == cell.isoformat()
            else:
                assert unguarded(text) == cell


@pytest.mark.slow
@given(st.lists(st.floats() | st.none(), min_size=1))
def test_pandas_reads_the_numbers_of_a_csv_as_numbers(values: list[Any]) -> None:
    text = text_of(table_of([({"p": 1}, {}, value) for value in (*values, 0.5)]), "csv")
    exact: Any = (
        {"float_precision": "round_trip"} if pd.__version__ < "3" else {}
    )  # what later ones do unasked
    read = pd.read_csv(io.StringIO(text), **exact)["value"]
    assert read.dtype == float
    for found, value in zip(read, values, strict=False):
        assert same(found, math.nan if value is None else value)


@pytest.mark.slow
@given(ROWS)
def test_pandas_reads_from_json_what_was_written(made: list[Any]) -> None:
    table = table_of(made)
    text = text_of(table, "json")
    # From pandas 3 on, dtype=False converts no dates either, and the option warns.
    older: dict[str, Any] = {"convert_dates": False} if pd.__version__ < "3" else {}
    read = pd.read_json(io.StringIO(text), dtype=False, convert_axes=False, precise_float=True, **older)
    assert list(read.columns) == [column.name for column in table.columns]
    for place, row in enumerate(table.lists(texts=False)):
        for name, cell in zip(read.columns, row, strict=True):
            found, wanted = read[name].tolist()[place], strict(cell)
            if isinstance(found, float) and math.isnan(found):
                found = None
            if isinstance(found, float) and isinstance(wanted, int):
                found = int(found)  # pandas makes one type of a column
            assert found == wanted


@pytest.mark.slow
@given(ROWS)
def test_json_is_what_every_reader_takes_and_lines_are_the_same_objects(made: list[Any]) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    table = table_of(made)
    whole = json.loads(text_of(table, "json"), parse_constant=refuse)
    lines = [json.loads(line, parse_constant=refuse) for line in text_of(table, "jsonl").split("\n")[:-1]]
    names = [column.name for column in table.columns]
    wanted = [dict(zip(names, map(strict, row), strict=True)) for row in table.lists(texts=False)]
    assert whole == lines == wanted


@pytest.mark.slow
@given(ROWS)
def test_pandas_reads_from_parquet_what_was_written_with_its_types(made: list[Any]) -> None:
    table = table_of(made)
    with tempfile.TemporaryDirectory() as folder:
        count = write_parquet(table, Path(folder, "t.parquet"))
        read = pd.read_parquet(Path(folder, "t.parquet"), dtype_backend="numpy_nullable")
    assert count == len(made)
    assert list(read.columns) == [column.name for column in table.columns]
    kinds = {INTEGER: "Int64", NUMBER: "Float64", BOOLEAN: "boolean"}
    for column in table.columns:
        assert str(read[column.name].dtype) == kinds.get(column.kind, str(read[column.name].dtype))
    for place, row in enumerate(table.lists(texts=True)):
        for name, column, cell in zip(read.columns, table.columns, row, strict=True):
            found = read[name].array[place]
            if cell is None or (isinstance(cell, float) and math.isnan(cell)):
                assert pd.isna(found)
            else:
                assert found == (float(cell) if column.kind == NUMBER else cell)


@given(TEXTS)
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    safe = safe_cell(text)
    assert unguarded(safe) == text
    if safe[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        float(safe)  # a number stays one


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "@SUM(1)", "+1+1", "-1-1", "\t=1", "\r=1", "\uff1d1"])
def test_what_spreadsheets_run_gets_an_apostrophe_in_cells_and_in_the_header(text: str) -> None:
    told = text_of(table_of([({text: text}, {}, None)]), "csv")
    (read,) = pd.read_csv(io.StringIO(told), dtype=str).to_dict("records")
    assert read[f"'{text}"] == f"'{text}"


def test_negative_numbers_stay_numbers() -> None:
    told = text_of(table_of([({"a": -1, "b": -0.5, "c": "-2", "d": -math.inf}, {}, None)]), "csv")
    (read,) = pd.read_csv(io.StringIO(told)).to_dict("records")
    assert (read["a"], read["b"], read["c"], read["d"]) == (-1, -0.5, -2, -math.inf)


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_text_that_is_no_unicode_breaks_no_file(kind: str, tmp_path: Path) -> None:
    table = table_of([({"file": "caf\udce9"}, {}, None)])
    path = tmp_path / "file"
    if kind == "parquet":
        write_parquet(table, path)
        assert pd.read_parquet(path)["file"].tolist() == ["caf\\udce9"]
        return
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        write_text(table, kind, stream)
    assert "caf\\udce9" in path.read_text(encoding="utf-8")
    if kind != "csv":
        read = json.loads(path.read_text(encoding="utf-8"))
        assert (read[0] if kind == "json" else read)["file"] == "caf\udce9"


def test_parquet_of_many_rows_is_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr("memento.exchange.table_files._GROUP", 10)
    count = write_parquet(table_of([({"n": n}, {}, None) for n in range(25)]), tmp_path / "t.parquet")
    assert count == 25
    assert pq.ParquetFile(tmp_path / "t.parquet").metadata.num_row_groups == 3
    assert pd.read_parquet(tmp_path / "t.parquet")["n"].tolist() == list(range(25))
