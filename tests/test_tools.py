"""Promises of the scripts in tools/, which make the environments that everything else runs in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent / "tools"
VERSION = "{}.{}".format(*sys.version_info)
BASE = f"{sys.base_prefix}/bin/python{VERSION}"  # the Python that this environment was made from
PROGRAMS = "/usr/bin:/bin"  # where sh, sed and cksum are on every Unix


def _run(
    tool: str, *arguments: str | Path, path: str = PROGRAMS, home: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOLS / tool), *map(str, arguments)],
        env={"PATH": path, "HOME": str(home)},
        cwd=TOOLS.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def shims(tmp_path: Path) -> Path:
    """A folder of shims as pyenv makes them: there, and failing for a version that is not selected."""
    folder = tmp_path / "shims"
    folder.mkdir()
    for name in (f"python{VERSION}", "python3", "python"):
        (folder / name).write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def test_an_environment_on_the_path_leads_to_the_python_it_was_made_from(tmp_path: Path) -> None:
    found = _run("find-python", VERSION, path=f"{Path(sys.executable).parent}:{PROGRAMS}", home=tmp_path)
    assert (found.returncode, found.stdout.strip()) == (0, BASE)


def test_a_failing_shim_is_passed_over_for_the_python_behind_it(shims: Path, tmp_path: Path) -> None:
    behind = tmp_path / ".pyenv" / "versions" / f"{VERSION}.0" / "bin"
    behind.mkdir(parents=True)
    (behind / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    (behind / "python").chmod(0o755)
    found = _run("find-python", VERSION, path=f"{shims}:{PROGRAMS}", home=tmp_path)
    assert (found.returncode, found.stdout.strip()) == (0, BASE)


def test_the_first_version_that_is_here_wins(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{PROGRAMS}"
    found = _run("find-python", "3.99", VERSION, path=path, home=tmp_path)
    assert found.stdout.strip() == BASE


def test_a_version_that_is_not_here_is_a_plain_no(tmp_path: Path) -> None:
    found = _run("find-python", "3.99", home=tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")


def test_an_environment_without_any_python_says_which_would_do(tmp_path: Path) -> None:
    made = _run("environment", tmp_path / "env", "requirements/dev.txt", "3.98", "3.99", home=tmp_path)
    assert made.returncode == 1
    assert "3.98, 3.99" in made.stderr
    assert not (tmp_path / "env").exists()


@pytest.mark.slow
def test_an_extended_environment_has_what_the_other_one_has_and_is_made_once(tmp_path: Path) -> None:
    other, folder = tmp_path / "other", tmp_path / "env"
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    (other / "bin" / "python").chmod(0o755)
    (other / ".made-from").write_text("the pinned file\n", encoding="utf-8")
    made = _run("extended-environment", folder, other, "pytest", home=tmp_path)  # which the other one has
    assert made.returncode == 0, made.stderr
    found = subprocess.check_output(
        [folder / "bin" / "python", "-c", "import pytest; print(pytest.__file__)"], text=True
    )
    assert found.strip() == pytest.__file__
    again = _run("extended-environment", folder, other, "pytest", home=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    (other / ".made-from").write_text("another pinned file\n", encoding="utf-8")
    assert "Making" in _run("extended-environment", folder, other, "pytest", home=tmp_path).stderr
