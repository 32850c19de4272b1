"""Messages that say the same of different tasks are told from messages that say different things."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.results.likeness import pieces, shown


def normalize(message: str) -> str:
    """Return the message without what differs from task to task."""
    return shown(pieces(message))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("samples: [150, 178]", "samples: [1797, 178, 3]"),
        ("samples: []", "samples: [1]"),
        ("shapes (3,) (4,5)", "shapes (7,8) (4,)"),
        ("shape torch.Size([3, 4])", "shape torch.Size([])"),
        ("input 3x224x224", "input 1x28x28"),
        ("at 0x7f3aab10", "at 0x10"),
        ("no column 'petal'", "no column 'sepal'"),
        ("no column “petal”", "no column “sepal”"),
        ("unknown key b'petal'", "unknown key b'it\\'s'"),
        ('no file "/a/b.csv"', 'no file "/c/d/e.csv"'),
        ("cannot open /data/run-1/x.csv", "cannot open /tmp/y.npy"),
        ("cannot open iris.csv", "cannot open data/wine.parquet"),
        ("cannot open runs/lr=0.1,bs=3/last", "cannot open ~/a/b"),
        (r"cannot open C:\data\x.csv", r"cannot open D:\y"),
        ("no answer from https://a.org/x?y=1", "no answer from s3://bucket/key"),
        ("run 123e4567-e89b-12d3-a456-426614174000", "run 00000000-e89b-12d3-a456-426614174abc"),
        ("loss is 1.5e-3", "loss is -2"),
        ("loss is nan", "loss is -inf"),
        ("blob deadbeef01", "blob 0123456789abcdef"),
        ("took 3s", "took 12s"),
        ("took 350 ms", "took 2.5 min"),
        ("took 1 h 5 min", "took 20 s"),
        ("tried to allocate 2.00 GiB", "tried to allocate 300 MiB"),
        ("at 2026-11-28 14:43:21.5", "at 2026-01-02T03:04:05Z"),
        ("got <Model object at 0x7f>", "got <Color.RED: 1>"),
        ("in the 3rd fold", "in the 4th fold"),
        ("weights {'a': 1.0, 'b': 2.0}", "weights {'c': 3}"),
        ("values [1. 2. ... 3.]", "values [0.5 1.5]"),
    ],
)
def test_what_differs_from_task_to_task_does_not_part_them(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bad shape", "bad dtype"),
        ("don't divide by zero", "don't take logs"),
        ("the users' data and models' size", "the users' names and models' size"),
        ("x1 is missing", "x2 is missing"),
        ("x12 is missing", "x13 is missing"),
        ("expected float32", "expected float64"),
        ("needs and/or", "needs either/or"),
        ("3 rows are missing", "3 columns are missing"),
        ("a < b", "a < c"),
    ],
)
def test_words_part_messages(one: str, other: str) -> None:
    assert normalize(one) != normalize(other)


def test_pieces_are_the_message() -> None:
    text = "layer 3: no 'petal' in (3, 4) of /a/b/c.csv"
    assert "".join(pieces(text)) == text
    assert shown(pieces(text), set()) == text


def test_a_message_without_end_is_looked_at_in_part() -> None:
    assert len(normalize("word " * 100_000)) < 3_000


WORDS = st.sampled_from(
    "shape of the input has not been seen before while loading model weights from disk".split()
)
VARYING = {
    "number": st.one_of(st.integers(), st.floats()).map(str),
    "shape": st.lists(st.integers(0, 99), max_size=4).map(lambda sizes: str(tuple(sizes))),
    "list": st.lists(st.floats(), max_size=4).map(str),
    "address": st.integers(0, 2**48).map(hex),
    "quoted": st.text(string.ascii_letters + " .,-_", max_size=12).map(repr),
    "path": st.lists(
        st.text(string.ascii_letters + "._-", min_size=1, max_size=8), min_size=2, max_size=4
    ).map(lambda parts: "/" + "/".join(parts)),
    "uuid": st.uuids().map(str),
    "hash": st.binary(min_size=16, max_size=16).map(lambda data: f"a0{data.hex()}"),
    "time": st.tuples(st.floats(0, 1e4), st.sampled_from(["s", "ms", "min", "h"])).map(
        lambda t: f"{t[0]:.3g} {t[1]}"
    ),
}


@st.composite
def two_of_one_template(draw: st.DrawFn) -> tuple[str, str, str]:
    """Two messages of a template, and the template."""
    template, one, other = [], [], []
    for kind in draw(st.lists(st.sampled_from(sorted(VARYING)), min_size=1, max_size=4)):
        word = draw(WORDS)
        template += [word, f"{{{kind}}}"]
        one += [word, draw(VARYING[kind])]
        other += [word, draw(VARYING[kind])]
    return " ".join(one), " ".join(other), " ".join(template)


@pytest.mark.slow
@given(two_of_one_template())
def test_messages_of_one_template_say_the_same(drawn: tuple[str, str, str]) -> None:
    one, other, template = drawn
    assert normalize(one) == normalize(other), template


@pytest.mark.slow
@given(two_of_one_template(), two_of_one_template())
def test_messages_of_templates_with_other_words_say_different_things(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    def words(template: str) -> list[str]:
        return template.split()[::2]

    same = words(first[2]) == words(second[2])
    assert same or normalize(first[0]) != normalize(second[0])
