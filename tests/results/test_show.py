"""Results show themselves: bounded, aligned, escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from memento.config import Config
from memento.results.html_parts import DONE, FAILED, TINT, WARNED, marked
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
    assert "<details " in page


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


def test_items_of_dicts_are_columns_with_four_digits() -> None:
    values = [
        {"acc": 0.9777777777777777, "loss": 123456.789, "test": {"f1": 2}},
        {"acc": 1.0, "tags": ["a", "b"], "test": {"f1": 0.00001234567}},
        failure("bad"),
    ]
    results, _ = results_of(FakeMatrix(n=[1, 2, 3]), values)
    assert repr(results).splitlines()[1:] == [
        "   n  acc     loss    test.f1    tags        error            status  runtime",
        "0  1  0.9778  123457  2                                       done    2.0 s",
        "1  2  1               1.235e-05  ['a', 'b']                   done    3.0 s",
        "2  3                                         ValueError: bad  failed  4.0 s",
    ]
    before = repr(results)
    assert [result.inner for result in results[:2]] == values[:2]  # read, they are shown alike
    assert repr(results) == before


def test_values_of_several_kinds_stand_beside_the_columns_of_dicts() -> None:
    parameters: dict[str, Any] = {"acc": [1, 2, 3, 4]}
    results, _ = results_of(FakeMatrix(**parameters), [{"acc": 0.5}, 0.25, {3: 0.5}, {}])
    assert repr(results).splitlines()[1:] == [
        "   acc  value.acc  value     status  runtime",
        "0  1    0.5                  done    2.0 s",
        "1  2               0.25      done    3.0 s",
        "2  3               {3: 0.5}  done    4.0 s",
        "3  4               {}        done    5.0 s",
    ]


def test_dicts_of_many_items_are_cut_with_a_word_and_identity_first() -> None:
    many = {f"metric_{i}": i / 7 for i in range(60)}
    results, _ = results_of(FakeMatrix(model=["SVC", "Ada"], constant=["x" * 20]), [many, many])
    lines = repr(results).splitlines()
    assert max(map(len, lines)) <= 110
    assert lines[1].split()[:3] == ["model", "…", "metric_0"]
    assert lines[1].split()[-3:] == ["…", "status", "runtime"]
    hidden = 61 - sum(name.startswith("metric_") for name in lines[1].split())
    assert lines[-1] == f"{hidden} more columns: results.to_frame() has them all"
    page = results._repr_html_()
    assert page.count("<th>metric_") == 20
    assert "40 more columns: results.to_frame() has them all" in page


def test_failed_rows_can_be_read_on_light_and_dark_themes() -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2]), [1, failure("bad", traceback="Traceback ...")])
    page = results._repr_html_() + results.failures._repr_html_()
    assert marked(FAILED) in page
    assert not re.search(r"[^-]color:(?!inherit)", page)  # the text has the theme's own colour
    # Text and ground of: JupyterLab, VS Code, Colab; light and dark.
    themes = [("212121", "ffffff"), ("3b3b3b", "ffffff"), ("1f1f1f", "ffffff")]
    themes += [("e0e0e0", "111111"), ("cccccc", "1f1f1f"), ("e3e3e3", "383838")]
    for text, ground in themes:
        for colour in (FAILED, WARNED, DONE):
            tinted = [
                TINT * ours + (1 - TINT) * its for ours, its in zip(colour, channels(ground), strict=True)
            ]
            assert contrast(channels(text), tinted) >= 4.5, (text, ground, colour)


def channels(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) for i in (0, 2, 4)]


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """The ratio of WCAG 2.1."""

    def luminance(colour: Sequence[float]) -> float:
        parts = [part / 255 for part in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_traceback_in_a_notebook_has_one_width_and_scrolls() -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2]), [1, failure("bad", traceback="Traceback\n" + "x" * 500)])
    page = results.failures._repr_html_()
    (block,) = re.findall(r"<pre style=\"([^\"]*)\">", page)
    for wanted in ("white-space:pre;", "overflow:auto", "max-height:", "monospace"):
        assert wanted in block
    assert page.index("<details") < page.index("<pre") < page.index("</details>")
