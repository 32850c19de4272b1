"""Lists in a terminal of any width: what tells rows apart stays whole, numbers go and are named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memento.cli.list_layout import Column, laid_out, width_of

ROWS = st.lists(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=40),
    min_size=1,
    max_size=5,
)


def example(texts: list[str]) -> list[Column]:
    many = len(texts)
    return [
        Column("key", ["0123456789ab"] * many, stays=True),
        Column("parameters", texts, stays=True, wraps=True),
        Column("acc", ["0.9123"] * many, right=True),
        Column("time", ["12 s"] * many, right=True),
    ]


def test_numbers_go_first_and_are_named() -> None:
    lines, left_out = laid_out(example(["model=SVC, C=3"]), 40)
    assert left_out == ["time"]
    assert "model=SVC, C=3" in lines[1]
    assert laid_out(example(["model=SVC, C=3"]), None)[1] == []


def test_a_pipe_has_a_line_a_row() -> None:
    lines, _ = laid_out(example(["x" * 500, "y" * 300]), None)
    assert len(lines) == 3
    assert "x" * 500 in lines[1]


@given(texts=ROWS, width=st.integers(30, 200))
def test_no_letter_of_what_tells_rows_apart_is_lost_at_any_width(texts: list[str], width: int) -> None:
    lines, left_out = laid_out(example(texts), width)
    assert all(width_of(line) <= width for line in lines)
    whole = "".join(line[14:] for line in lines)
    for text in texts:
        assert all(letter in whole for letter in text if letter != " ")  # none stands at the end of a line
    if len(left_out) == 2:
        assert "".join("".join(line[14:] for line in lines[1:]).split()) == "".join("".join(texts).split())


def test_an_error_is_cut_to_what_is_left() -> None:
    columns = [
        Column("key", ["0123456789ab"], stays=True),
        Column("error", ["ValueError: " + "x" * 100], cut=True),
    ]
    lines, left_out = laid_out(columns, 60)
    assert not left_out
    assert lines[1].endswith("x…")
    assert width_of(lines[1]) == 60


def test_wide_letters_take_two_columns() -> None:
    lines, _ = laid_out([Column("name", ["学习", "ab"]), Column("n", ["1", "2"])], 80)
    assert [width_of(line) for line in lines] == [7, 7, 7]
