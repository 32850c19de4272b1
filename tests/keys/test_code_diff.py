"""A change is told as a short diff, function by function; what is long is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memento.keys.code_diff import MOST_LINES, explain_code


def function(name: str, *body: str, line: int = 3) -> tuple[str, str]:
    text = "\n".join([f"# exp.py:{line}", f"def {name}():", *(f"    {part}" for part in body)])
    return text, text


def test_a_function_is_told_as_a_diff_with_a_line_around() -> None:
    old = {"exp.py:f": function("f", "a = 1", "b = 2", "c = 3", "return a")}
    new = {"exp.py:f": function("f", "a = 1", "b = 2", "c = 4", "return a")}
    assert explain_code(old, new) == [
        "f (exp.py:3)", "       b = 2", "  -    c = 3", "  +    c = 4", "       return a",
    ]  # fmt: skip


def test_changes_far_apart_have_a_gap_between_them() -> None:
    body = [f"x{i} = {i}" for i in range(10)]
    old = {"exp.py:f": function("f", *body)}
    new = {"exp.py:f": function("f", "x0 = 7", *body[1:9], "x9 = 7")}
    assert "  ..." in explain_code(old, new)


def test_a_constant_is_told_in_one_line() -> None:
    old, new = {"exp.py:LR": ("1", "LR = 0.1")}, {"exp.py:LR": ("2", "LR = 0.2")}
    assert explain_code(old, new) == ["LR: 0.1 -> 0.2"]
    long = {"exp.py:LR": ("3", f"LR = {[0] * 100}")}
    assert len(explain_code(old, long)[0]) < 90


def test_what_is_new_and_what_is_gone_come_last() -> None:
    old = {"exp.py:f": function("f"), "exp.py:g": function("g", "old")}
    new = {"exp.py:h": function("h", "return [1, 2, 3]"), "exp.py:g": function("g", "new")}
    told = explain_code(old, new)
    assert told[0] == "g (exp.py:3)"
    assert told[-2:] == ["new: h (exp.py:3)", "no longer used: f"]


def test_what_has_another_name_and_was_edited_as_well_is_told_as_a_diff() -> None:
    body = ["x = load()", "y = fit(x)", "return y"]
    old = {"exp.py:f": function("f", *body), "exp.py:LR": ("1", "LR = 0.1")}
    new = {"exp.py:h": function("h", *body[:2], "return y + 1")}
    told = explain_code(old, new)
    assert told[0] == "h, formerly f (exp.py:3)"
    assert {"  -    return y", "  +    return y + 1"} <= set(told)
    assert told[-1] == "no longer used: LR"


def test_what_stands_in_another_file_is_compared_with_what_it_was() -> None:
    old = {"a/exp.py:f": function("f", "x = 1"), "a/exp.py:g": function("g"), "a/exp.py:LR": ("1", "LR = 1")}
    new = {"b/exp.py:f": function("f", "x = 2"), "b/exp.py:g": function("g"), "b/exp.py:LR": ("2", "LR = 2")}
    assert explain_code(old, new) == [
        "f (exp.py:3)", "   def f():", "  -    x = 1", "  +    x = 2", "LR: 1 -> 2",
    ]  # fmt: skip


def test_a_change_that_the_text_does_not_show_is_told_in_another_file_too() -> None:
    old, new = {"a.py:K": ("1", "K = [0, 0, ...")}, {"b.py:K": ("2", "K = [0, 0, ...")}
    assert [line.partition(":")[0] for line in explain_code(old, new)] == ["K"]


def test_of_several_names_none_is_guessed_to_be_anothers() -> None:
    old = {"exp.py:f": function("f", "x = 1")}
    new = {"exp.py:g": function("g", "x = 1"), "exp.py:h": function("h", "x = 1")}
    assert explain_code(old, new) == ["new: g (exp.py:3)", "new: h (exp.py:3)", "no longer used: f"]


def test_a_long_diff_is_cut_and_what_is_left_is_counted() -> None:
    old = {"exp.py:f": function("f", *(f"x = {i}" for i in range(100)))}
    new = {"exp.py:f": function("f", *(f"y = {i}" for i in range(100)))}
    told = explain_code(old, new)
    assert len(told) < 20
    assert told[-1].strip().startswith("... ")
    assert told[-1].endswith(" more lines")


def test_functions_that_find_no_room_are_counted() -> None:
    old = {f"exp.py:f{i}": function(f"f{i}", "old") for i in range(100)}
    new = {f"exp.py:f{i}": function(f"f{i}", "new") for i in range(100)}
    told = explain_code(old, new)
    assert len(told) <= MOST_LINES
    named = sum(line.startswith("f") for line in told)
    assert told[-1] == f"and {100 - named} more functions"


versions = st.dictionaries(
    st.integers(0, 30).map(lambda i: f"exp.py:f{i}"),
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=30).map(lambda body: function("f", *body))
    | st.sampled_from([("x", "X = 1"), ("y", "X = 2"), ("", "")]),
    max_size=30,
)


@given(versions, versions, st.integers(6, 60))
def test_whatever_changed_is_told_within_the_bound_and_nothing_is_told_of_equal_versions(
    old: dict[str, tuple[str, str]], new: dict[str, tuple[str, str]], most: int
) -> None:
    told = explain_code(old, new, most)
    assert len(told) <= most
    differ = {name: mark for name, (mark, _) in old.items()} != {
        name: mark for name, (mark, _) in new.items()
    }
    assert bool(told) == differ
    assert all(len(line) <= 130 and "\n" not in line for line in told)


def test_long_values_are_shown_where_they_part() -> None:
    old, new = (f"Model({'same, ' * 30}C={c}, {'rest, ' * 30})" for c in (1.0, 100.0))
    told = explain_code({"exp:M": ("1", f"M = {old}")}, {"exp:M": ("2", f"M = {new}")})
    assert len(told) == 1
    assert "C=1.0" in told[0]
    assert "C=100.0" in told[0]
    assert len(told[0]) < 140
