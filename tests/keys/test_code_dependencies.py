"""By whatever way an experiment reaches a piece of its project, an edit of that piece is a new version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keys import ways
from tests.keys.projects import Projects, edited

PROGRAMS = {name: (files, mark, values) for name, files, mark, values in ways.programs()}


@pytest.fixture
def projects(tmp_path: Path) -> Iterator[Projects]:
    found = Projects(tmp_path)
    yield found
    found.forget()


# One of them walks all modules that the other tests have loaded: it takes ten seconds.
@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=pytest.mark.slow) if way == "sys.modules" else way for way in PROGRAMS]
)
def test_an_edit_is_seen_through(projects: Projects, way: str) -> None:
    files, mark, values = PROGRAMS[way]
    old, new = values.split(",")
    one, again, other = (projects.version(edited(files, mark, value)) for value in (old, old, new))
    assert one.digest == again.digest
    assert one.digest != other.digest
    commented = {name: f"# first\n{text}\n# last\n" for name, text in edited(files, mark, old).items()}
    assert projects.version(commented).digest == one.digest


@pytest.mark.parametrize("in_table", [False, True])
@pytest.mark.parametrize("things", ways.EXCHANGED)
def test_it_is_seen_which_name_stands_for_which_of(projects: Projects, things: str, in_table: bool) -> None:
    helpers = {
        "lab_helpers.py": "def one(): return 1\ndef two(): return 2\n",
        "lab_others.py": "def one(): return 3\n",
    }
    above = ways.EXCHANGED[things]
    used = "T['a'], T['b']" if in_table else "a, b"
    if in_table:
        above += "T = {'a': a, 'b': b}\n"
    text = f"{above}def train(context, config): return {used}\n"
    one, other = (
        projects.version({"lab_exp.py": text.replace("@1", first).replace("@2", second), **helpers})
        for first, second in ("ab", "ba")
    )
    assert one.digest != other.digest


@pytest.mark.parametrize("edit", ways.MEANINGLESS)
def test_an_edit_without_meaning_is_not_seen(projects: Projects, edit: str) -> None:
    old, new = ways.MEANINGLESS[edit]
    assert old in ways.MEANT
    before, after = (
        projects.version({"lab_exp.py": text}) for text in (ways.MEANT, ways.MEANT.replace(old, new))
    )
    assert before.functions.keys() == after.functions.keys()
    assert before.digest == after.digest
