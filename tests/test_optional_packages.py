"""Promises about packages that exchanges need: a missing one says what to install, a broken one why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from memento.errors import MissingExtra
from memento.optional_packages import imported


@pytest.mark.parametrize("module", ["absent_package", "absent_package.part", "json.absent_part"])
def test_a_package_that_is_missing_says_what_to_install(module: str) -> None:
    with pytest.raises(MissingExtra, match=r"export --to x needs .*: pip install 'memento-ml\[x\]'"):
        imported(module, "export --to x", "x")


def test_a_package_that_is_there_and_lacks_another_does_not_read_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("import another_absent_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_absent_package"):
        imported("broken_package", "export --to x", "x")
    assert "broken_package" not in sys.modules
