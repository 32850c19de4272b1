"""In a program that lives long, a version is of the code that runs, whatever its files say by now."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from memento.keys.code_versions import CodeVersion, code_version
from tests.keys.projects import Projects

EXPERIMENT = "import lab_helpers\ndef train(context, config): return lab_helpers.load(), lab_helpers.Cfg\n"
HELPERS = """import functools
def other(): return 1
def load():
    '''Load.'''
    return [(lambda x: x + 1), (lambda x: x + 2)], 10, Model().fit()
class Cfg:
    depth = 3
class Model:
    def fit(self): return 5
"""
HARMLESS: dict[str, Callable[[str], str]] = {
    "nothing": lambda text: text,
    "a comment at the top": lambda text: f"# comment\n{text}",
    "a comment at the end": lambda text: f"{text}# comment\n",
    "lines between": lambda text: text.replace("\ndef ", "\n\n\n\ndef ").replace("\nclass ", "\n\nclass "),
    "an unused function": lambda text: text.replace("other(): return 1", "other(): return 2"),
    "a new function above": lambda text: f"def load2(): return 1\n{text}",
    "a docstring": lambda text: text.replace("'''Load.'''", "'''Load all of it.\n    Now.'''"),
    "another order": lambda text: text.replace("def other(): return 1\n", "") + "def other(): return 1\n",
}
EDITS = {
    "the function": ("10", "11"), "a lambda in it": ("x + 2", "x + 3"),
    "a class's constant": ("depth = 3", "depth = 4"), "a method": ("return 5", "return 6"),
}  # fmt: skip


class Living:
    """A project that is loaded, and whose files are then written."""

    def __init__(self, projects: Projects, module: ModuleType, folder: Path) -> None:
        self._projects = projects
        self._module = module
        self.file = folder / "lab_helpers.py"
        self._later = self.file.stat().st_mtime

    def version(self) -> CodeVersion:
        return code_version(self._module.train)

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self._later += 5  # Python's cache of bytecode sees no change within a second
        os.utime(self.file, (self._later, self._later))

    def reload(self) -> None:
        importlib.reload(importlib.import_module("lab_helpers"))

    def fresh(self, text: str) -> CodeVersion:
        """Return what a new process would make of a text."""
        return self._projects.version({"lab_exp.py": EXPERIMENT, "lab_helpers.py": text})


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Living]:
    projects = Projects(tmp_path)
    folder = projects.write({"lab_exp.py": EXPERIMENT, "lab_helpers.py": HELPERS})
    with projects.loaded(folder) as module:
        yield Living(projects, module, folder)


@pytest.mark.slow
@pytest.mark.parametrize("reload", [False, True])
@pytest.mark.parametrize("seen_before", [False, True])
@pytest.mark.parametrize("edit", HARMLESS)
def test_an_edit_that_does_not_touch_what_is_reached_is_no_change(
    living: Living, edit: str, seen_before: bool, reload: bool
) -> None:
    before = living.version() if seen_before else None
    text = HARMLESS[edit](HELPERS)
    living.write(text)
    if reload:
        living.reload()
    after = living.version()
    assert before is None or after.digest == before.digest
    assert after.digest == living.fresh(text).digest == living.fresh(HELPERS).digest


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_counts_once_it_is_loaded(living: Living, edit: str) -> None:
    before = living.version()
    text = HELPERS.replace(*EDITS[edit])
    assert text != HELPERS
    living.write(text)
    assert living.version().digest == before.digest
    living.reload()
    assert living.version().digest == living.fresh(text).digest != before.digest
    living.write(HELPERS)
    living.reload()
    assert living.version().digest == before.digest


@pytest.mark.parametrize("edit", EDITS)
def test_code_that_runs_is_not_taken_for_another_that_was_never_loaded(living: Living, edit: str) -> None:
    text = HELPERS.replace(*EDITS[edit])
    living.write(text)  # before anybody read what is loaded
    assert living.version().digest != living.fresh(text).digest


@pytest.mark.parametrize("text", ["", "def load(:\n", "\0", None])
def test_a_file_that_is_broken_or_gone_is_no_change(living: Living, text: str | None) -> None:
    before = living.version()
    if text is None:
        living.file.unlink()
    else:
        living.write(text)
    assert living.version().digest == before.digest
