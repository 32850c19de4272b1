"""Different values have different texts, as short as can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.results.distinct_texts import Name, distinct_texts


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        ([Name("Solver", "bench.cd"), Name("Solver", "bench.gd")], ["cd.Solver", "gd.Solver"]),
        ([Name("S", "a.x.m"), Name("S", "b.x.m")], ["a.x.m.S", "b.x.m.S"]),
        ([Name("S", "bench/cd.py"), Name("S", "bench/gd.py")], ["cd.S", "gd.S"]),
        ([Name("S", "a.m"), Name("S", "b.m"), Name("S", "b.m")], ["a.m.S", "b.m.S#1", "b.m.S#2"]),
        ([Name("<lambda>", "m"), Name("<lambda>", "m")], ["<lambda>#1", "<lambda>#2"]),
        ([Name("1", quoted="1"), Name("1", quoted="'1'")], ["1", "'1'"]),
        ([Name("SVC", "sklearn.svm"), Name("SVC", quoted="'SVC'")], ["SVC", "'SVC'"]),
        ([Name("a"), Name("a"), Name("a#1")], ["a#2", "a#3", "a#1"]),
    ],
)
def test_what_tells_values_apart_is_shown(names: list[Name], texts: list[str]) -> None:
    assert distinct_texts(names) == texts


def test_long_texts_show_where_they_differ() -> None:
    long = "Pipeline(steps=[('scale', StandardScaler()), ('pca', PCA(n_components=10)), ('svc', SVC(C="
    first, second = distinct_texts([Name(f"{long}1))])"), Name(f"{long}10))])")], limit=40)
    assert max(map(len, (first, second))) <= 40
    assert first.startswith("Pipeline(")
    assert (first[-9:], second[-10:]) == ("SVC(C=1))])"[-9:], "SVC(C=10))])"[-10:])


TEXTS = st.sampled_from(["a", "b", "1", "-", "a#1", "x" * 50, "x" * 50 + "y", "y" + "x" * 50, "'1'"])


@given(
    st.lists(st.builds(Name, TEXTS, st.sampled_from(["", "m", "n.m"]), st.sampled_from(["", "'1'", "'a'"]))),
    st.sampled_from([8, 20, 80]),
)
def test_no_two_texts_are_the_same(names: list[Name], limit: int) -> None:
    texts = distinct_texts(names, ("-",), limit)
    assert len(set(texts)) == len(names)
    assert "-" not in texts
    assert max(map(len, texts), default=0) <= 50 + limit
