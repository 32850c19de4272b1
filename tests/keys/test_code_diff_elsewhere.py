"""The same code at another place is told from code that has changed, also where files change their roles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.keys.code_diff import is_same_elsewhere

Functions = dict[str, tuple[str, str]]


def function(name: str, body: str = "pass", file: str = "exp.py") -> tuple[str, str]:
    text = f"def {name}():\n    {body}"
    return text, f"# {file}:3\n{text}"


def value(text: str) -> tuple[str, str]:
    return text, text


PROJECT: Functions = {
    "a/exp.py:train": function("train", "return g(step(LR))"),
    "a/exp.py:train.<locals>.inner": function("inner"),
    "a/exp.py:step": function("step", "return 1"),
    "a/exp.py:LR": value("LR = 0.1"),
    "a/exp.py:g": ("of a/helpers.py:g", "g = a/helpers.py:g"),
    "a/helpers.py:g": function("g", "return 2", "helpers.py"),
    "shared.py:h": function("h", "return 3", "shared.py"),
}


def moved(functions: Functions, **places: str) -> Functions:
    """Return the same in other files; places are given with _ for what no name of Python has."""

    def there(text: str) -> str:
        for old, new in places.items():
            text = text.replace(old.replace("__", "/") + ".py", new)
        return text

    return {
        there(name): (
            mark if text.startswith("# ") else there(mark),
            text if text.startswith("# ") else there(text),
        )
        for name, (mark, text) in functions.items()
    }


@pytest.mark.parametrize(
    "places",
    [
        {"a__exp": "a/train.py"},
        {"a__exp": "b/exp.py", "a__helpers": "b/helpers.py"},
        {"a__exp": "deep/er/train.py", "a__helpers": "helpers.py", "shared": "lib/shared.py"},
        {"a__helpers": "a/tools.py"},
    ],
)
def test_files_that_were_moved_are_the_same_code(places: dict[str, str]) -> None:
    assert is_same_elsewhere(PROJECT, moved(PROJECT, **places))


def test_a_function_that_was_renamed_is_the_same_code() -> None:
    renamed = {name.replace(":train", ":fit"): told for name, told in PROJECT.items()}
    renamed["a/exp.py:fit"] = function("fit", "return g(step(LR))")
    assert is_same_elsewhere(PROJECT, renamed)
    assert is_same_elsewhere(PROJECT, moved(renamed, a__exp="b/fit.py"))


def test_an_object_of_a_class_that_was_renamed_is_the_same_with_the_same_state() -> None:
    def version(name: str, held: int) -> Functions:
        text = f"# exp.py:1\nclass {name}:\n    def __call__(self): return self.k"
        return {
            f"exp.py:{name}": (f"of {text}", text),
            f"exp.py:{name}.k": (f"of {held}", f"{name}.k = {held}"),
        }

    assert is_same_elsewhere(version("Model", 1), version("Net", 1))
    assert not is_same_elsewhere(version("Model", 1), version("Net", 2))


@pytest.mark.parametrize("name", PROJECT)
@pytest.mark.parametrize("places", [{}, {"a__exp": "b/exp.py", "a__helpers": "b/helpers.py"}])
def test_any_edit_is_a_change_wherever_it_was_moved(name: str, places: dict[str, str]) -> None:
    mark, text = PROJECT[name]
    edited = PROJECT | {name: (f"{mark} edited", f"{text} + 1")}
    assert not is_same_elsewhere(PROJECT, moved(edited, **places))


@pytest.mark.parametrize("name", PROJECT)
def test_what_comes_or_goes_is_a_change(name: str) -> None:
    less = {other: told for other, told in PROJECT.items() if other != name}
    assert not is_same_elsewhere(PROJECT, less)
    assert not is_same_elsewhere(less, PROJECT)


def test_files_that_change_their_roles_are_a_change() -> None:
    old = {"a.py:f": function("f", "return 1"), "b.py:f": function("f", "return 2")}
    assert not is_same_elsewhere(old, {"a.py:f": old["b.py:f"], "b.py:f": old["a.py:f"]})


def test_functions_that_change_their_roles_are_a_change() -> None:
    old = {"a.py:f": function("f", "return 1"), "a.py:g": function("g", "return 2")}
    assert not is_same_elsewhere(
        old, {"a.py:f": function("f", "return 2"), "a.py:g": function("g", "return 1")}
    )


def test_a_name_that_is_bound_to_something_else_is_a_change() -> None:
    other = PROJECT | {"a/exp.py:g": ("of shared.py:h", "g = shared.py:h")}
    assert not is_same_elsewhere(PROJECT, other)
    assert not is_same_elsewhere(PROJECT, moved(other, a__exp="b/exp.py"))


names = st.sampled_from(["a.py", "b.py", "c/a.py"]).flatmap(
    lambda place: st.sampled_from("fgh").map(lambda name: f"{place}:{name}")
)
projects = st.dictionaries(names, st.integers(0, 2), max_size=6).map(
    lambda found: {name: function(name[-1], f"return {body}") for name, body in found.items()}
)


@pytest.mark.slow
@given(projects, projects)
def test_where_all_places_stay_only_a_renamed_function_is_the_same(old: Functions, new: Functions) -> None:
    if {n.partition(":")[0] for n in old} == {n.partition(":")[0] for n in new} and old.keys() == new.keys():
        assert is_same_elsewhere(old, new) == (old == new)
