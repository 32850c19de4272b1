"""A command's placeholders: split before anything is put in, checked against a matrix, filled for a task."""

from __future__ import annotations

import enum
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from memento.commands.template import as_argument, command_text, filled, read_command
from memento.errors import MatrixError

HOSTILE = [
    "a b",
    "'",
    '"',
    "$(rm -rf x)",
    "`x`",
    "a\nb",
    "-x",
    "--lr=1",
    "",
    "{lr}",
    "}{",
    "*",
    "ü→😀",
    ";",
    "\\",
]


class Colour(enum.Enum):
    RED = "r"


def fill(command: str | Sequence[Any], **values: Any) -> list[str]:
    return filled(read_command(command), values.__getitem__)


@hypothesis.settings(max_examples=30)
@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_value_is_one_argument_whatever_is_in_it(value: str) -> None:
    assert fill("train --name {name} --out=x/{name}.txt", name=value) == [
        "train",
        "--name",
        value,
        f"--out=x/{value}.txt",
    ]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_one_argument(value: str) -> None:
    assert fill("train {name} 'a b'", name=value) == ["train", value, "a b"]


@hypothesis.settings(max_examples=30)
@given(st.lists(st.text(st.characters(exclude_characters="{}[]", exclude_categories=["Cs"])), min_size=1))
def test_a_command_is_split_as_a_shell_would(words: list[str]) -> None:
    try:
        read = read_command(shlex.join(["x", *words]))
    except MatrixError:
        of_shell = set("| || && ; & > >> < 2> 2>> 2>&1 &>".split())
        assert any(word in of_shell or word.startswith(("~/", "$")) for word in words)
    else:
        assert read == ("x", *words)


def test_formats_conversions_attributes_and_items_are_as_in_python() -> None:
    found = fill("x {lr:.3f} {name!r} {size[1]} {opt[a]} {{lr}}", lr=0.5, name="n", size=(3, 4), opt={"a": 7})
    assert found == ["x", "0.500", "'n'", "4", "7", "{lr}"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1e-05, "1e-05"),
        (True, "True"),
        (None, "None"),
        (np.float64(0.5), "0.5"),
        (np.int32(3), "3"),
        (dict, "dict"),
        (PurePosixPath("a b"), "a b"),
        (Colour.RED, "r"),
        ([64, 32], "[64, 32]"),
        (("a", None), '["a", null]'),
        ({"a": np.float32(0.5)}, '{"a": 0.5}'),
        (np.arange(2), "[0, 1]"),
    ],
)
def test_a_value_is_written_as_a_program_reads_it(value: Any, text: str) -> None:
    assert as_argument(value) == text


def test_a_group_is_left_out_where_the_task_lacks_a_parameter_of_it() -> None:
    for command in ("x --m {m} [ --C {C} ]", ["x", "--m", "{m}", ["--C", "{C}"]]):
        assert fill(command, m="svc", C=1) == ["x", "--m", "svc", "--C", "1"]
        assert fill(command, m="tree") == ["x", "--m", "tree"]


def test_brackets_inside_a_word_stay() -> None:
    assert fill("x layers=[{a},2] [a]", a=1) == ["x", "layers=[1,2]", "[a]"]


@pytest.mark.parametrize("text", ["x {lr:.3f} 'a b' [ --C {C} ]", "x '{a} b' {{c}} ''"])
def test_the_text_of_a_command_reads_as_the_same_command(text: str) -> None:
    assert read_command(command_text(read_command(text))) == read_command(text)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("", "it names no program"),
        ([], "it names no program"),
        (3, "it must be a text or a list"),
        ("python a.py 'x", "no closing quotation"),
        ("python a.py > out.txt", "'>' is for a shell"),
        ("cd sub && python a.py", "cwd= takes the place of cd"),
        ("python a.py ~/data", "'~/data' is for a shell"),
        ("python a.py $HOME", "'$HOME' is for a shell"),
        ("LR=1 python a.py", "env={'LR': '1'}"),
        ("a.py {lr", "Write {{ and }} for braces"),
        ("a.py [ --C {C}", "a '[' is not closed"),
        (["a.py", None], "None is no argument"),
    ],
)
def test_a_command_that_cannot_be_read_is_refused(command: Any, told: str) -> None:
    with pytest.raises(MatrixError) as caught:
        read_command(command)
    assert told in str(caught.value)
