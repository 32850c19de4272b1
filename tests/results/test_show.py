"""Results show themselves: bounded, aligned, escaped."""

from __future__ import annotations

from typing import Any

import pytest

from memento.config import Config
from memento.results.show import as_text
from tests.results.fakes import MISSING, FakeMatrix, failure, results_of


def test_a_table_has_a_headline_and_a_row_a_task() -> None:
    matrix = FakeMatrix(model=[dict, list], C=[1, 10])
    results, _ = results_of(matrix, [0.123456789, failure("bad"), MISSING, "text"])
    assert repr(results).splitlines() == [
        "Results: 4 tasks: 2 done, 1 failed, 1 missing",
        "   model  C   value            status   runtime",
        "0  dict   1   0.123457         done     2.0 s",
        "1  dict   10  ValueError: bad  failed   3.0 s",
        "2  list   1                    missing",
        "3  list   10  text             done     5.0 s",
    ]


def test_a_long_table_is_cut_in_the_middle_and_loads_only_what_it_shows() -> None:
    results, store = results_of(FakeMatrix(n=list(range(1000))), list(range(1000)))
    lines = repr(results).splitlines()
    assert len(lines) == 15
    assert [line.split()[0] for line in lines[2:]] == [*"012345", "…", *map(str, range(994, 1000))]
    assert store.loads == 12


def test_a_wide_table_is_cut_to_the_width() -> None:
    names: dict[str, Any] = {f"parameter_{i}": ["a value of some length"] for i in range(20)}
    results, _ = results_of(FakeMatrix(**names), [1])
    text = as_text(results, results._selection, width=100)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" in text.splitlines()[1]
    assert "status" in text


def test_where_not_all_fits_what_varies_is_shown() -> None:
    same: dict[str, Any] = {f"constant_{i}": ["x" * 20] for i in range(4)}
    matrix = FakeMatrix(**{**same, "clean.seed": [1, 2], "train.clean.seed": [1, 2], "alpha": [0.5, 0.25]})
    matrix.table().columns[:, 5] = matrix.table().columns[:, 4]  # known from the one before
    results, _ = results_of(matrix, [0.5] * 8)
    header = as_text(results, results._selection, width=60).splitlines()[1].split()
    assert header == ["clean.seed", "alpha", "…", "value", "status", "runtime"]
    wide = as_text(results, results._selection, width=300).splitlines()[1].split()
    assert wide == [*same, "clean.seed", "train.clean.seed", "alpha", "value", "status", "runtime"]


def test_html_is_escaped_and_bounded() -> None:
    evil = "<script>alert(1)</script>"
    results, _ = results_of(FakeMatrix(n=list(range(100)), p=[evil]), [evil] * 99 + [failure(evil)])
    page = results._repr_html_()
    assert evil not in page
    assert "&lt;script&gt;" in page
    assert page.count("<tr") == 1 + 60 + 1
    assert "40 more" in page


def test_failures_in_a_notebook_are_escaped_and_folded() -> None:
    evil = "<img src=x onerror=alert(1)>"
    results, _ = results_of(FakeMatrix(n=[1, 2]), [1, failure(evil, traceback=evil)])
    page = results.failures._repr_html_()
    assert evil not in page
    assert "<details>" in page


def test_names_that_steer_a_terminal_are_shown_without_that_power() -> None:
    evil = "loss\x1b]0;owned\x07\x9b2J"
    parameters: dict[str, Any] = {evil: [1], "p": [1, 2]}
    results, _ = results_of(FakeMatrix(**parameters), [{evil: 1.0}, failure(evil, traceback=evil)])
    shown = [repr(results), results._repr_html_(), results.failures._repr_html_(), str(results.failures)]
    for ask in (lambda: results.filter(q=1), lambda: results.summary("q"), lambda: results.pivot("p", "q")):
        with pytest.raises(ValueError, match="there is no") as caught:
            ask()
        shown.append(str(caught.value))
    assert [text for text in shown if "\x1b" in text or "\x9b" in text or "\x07" in text] == []


def test_no_results_show_as_none() -> None:
    results, _ = results_of(FakeMatrix(n=[1]), [1])
    assert repr(results[:0]) == "Results: none"
    assert "none" in results[:0]._repr_html_()


def test_a_result_shows_its_configuration_and_value() -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2]), [0.5, failure("bad")])
    assert repr(results[0]) == f"Result(config={Config(n=1)!r}, status='done', inner=0.5)"
    assert repr(results[1]) == f"Result(config={Config(n=2)!r}, status='failed', error='ValueError: bad')"


@pytest.mark.slow
def test_a_table_of_very_many_does_not_read_them_all_to_count_them() -> None:
    results, store = results_of(FakeMatrix(n=list(range(60_000))), [1] * 60_000)
    assert repr(results).splitlines()[0] == "Results: 60,000 tasks"
    assert store.reads <= 2
    results.to_frame()
    assert repr(results).splitlines()[0] == "Results: 60,000 tasks: 60,000 done"


def test_the_numbers_of_a_dict_are_few_digits_in_the_table() -> None:
    values = [
        {"accuracy": 0.9777777777777777, "train": 1.0},
        {"of": [1], 3: 0.5},
        {"name": "a", "nested": {"f1": 2}},
    ]
    results, _ = results_of(FakeMatrix(n=[1, 2, 3]), values)
    lines = repr(results).splitlines()[2:]
    assert "{accuracy: 0.9778, train: 1}" in lines[0]
    assert "{'of': [1], 3: 0.5}" in lines[1]
    assert "{name: 'a', nested: {'f1': …" in lines[2]
    assert [result.inner for result in results] == values  # read, they are shown alike
    assert repr(results).splitlines()[2:] == lines
