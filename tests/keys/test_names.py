"""What names promise: the same thing is called the same in every process."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import sysconfig
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from memento.errors import UnkeyableValue
from memento.keys import experiment_name, names
from memento.keys.names import _notebook_name, is_installed_file

SCRIPT = """
import sys
from memento.keys import script_name, experiment_name, digest
def train(context, config): return config.x
class Model: pass
if __name__ == "__main__" or "show" in sys.argv:
    print(script_name(), experiment_name(train), digest([train, Model, lambda: 1]).hex())
"""


def python(*arguments: str, cwd: Path, code: str | None = None) -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, input=code, capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": str(cwd)},
    )  # fmt: skip
    return done.stdout.split()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the script, loose and in a package; its name has a space and a quote."""
    root = tmp_path / "my 'own' project"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").touch()
    (root / "exp.py").write_text(SCRIPT)
    (root / "pkg" / "exp.py").write_text(SCRIPT)
    return root


def test_a_script_has_the_name_of_its_file_however_it_is_run(project: Path) -> None:
    as_script = python("exp.py", cwd=project)
    assert as_script[:2] == ["exp", "exp:train"]
    assert python("-m", "exp", cwd=project) == as_script
    assert python("-c", "import sys; sys.argv.append('show'); import exp", cwd=project)[1:] == as_script[1:]


def test_a_module_of_a_package_has_its_full_name_however_it_is_run(project: Path) -> None:
    as_script = python("pkg/exp.py", cwd=project)
    assert as_script[:2] == ["pkg.exp", "pkg.exp:train"]
    assert python("-m", "pkg.exp", cwd=project) == as_script
    assert (
        python("-c", "import sys; sys.argv.append('show'); import pkg.exp", cwd=project)[1:] == as_script[1:]
    )


def test_what_comes_from_no_file_is_interactive(project: Path) -> None:
    assert python("-", cwd=project, code=SCRIPT)[:2] == ["interactive", "interactive:train"]
    assert python("-c", SCRIPT, cwd=project)[:2] == ["interactive", "interactive:train"]


def test_a_prepared_process_carries_the_name_of_the_users_script(project: Path) -> None:
    code = "__memento_script__ = 'exp'\n" + SCRIPT
    assert python("-c", code, cwd=project)[:2] == ["exp", "exp:train"]


class Trainer:
    def train(self) -> None: ...

    @classmethod
    def make(cls) -> None: ...

    def __call__(self) -> None: ...


class Better(Trainer):
    pass


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (Trainer().train, "Trainer.train"),
        (Better().train, "Better.train"),
        (Better.make, "Better.make"),
        (Trainer(), "Trainer"),
        (functools.partial(Trainer().train), "Trainer.train"),
    ],
)  # fmt: skip
def test_methods_and_callable_objects_are_named_by_their_class(func: object, name: str) -> None:
    assert experiment_name(func) == f"{__name__}:{name}"


class Scaled:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, context: object, config: object) -> int:
        return self.factor

    def run(self, context: object, config: object) -> int:
        return self.factor


def adder(amount: int) -> Any:
    def add(context: object, config: Any) -> Any:
        return config.x + amount

    return add


def scale(context: object, config: Any, factor: int = 1) -> Any:
    return config.x * factor


@pytest.mark.parametrize(
    ("first", "again", "other"),
    [
        (
            functools.partial(scale, factor=1),
            functools.partial(scale, factor=1),
            functools.partial(scale, factor=2),
        ),
        (Scaled(1), Scaled(1), Scaled(2)),
        (Scaled(1).run, Scaled(1).run, Scaled(2).run),
        (adder(1), adder(1), adder(2)),
        (lambda c, g: 1, lambda c, g: 1, lambda c, g: 2),
    ],
    ids=["partial", "object", "method", "closure", "lambda"],
)
def test_experiments_that_were_made_with_different_things_have_different_names(
    first: object, again: object, other: object
) -> None:
    assert experiment_name(first) == experiment_name(again) != experiment_name(other)


def test_an_experiment_that_holds_what_has_no_identity_asks_for_a_name() -> None:
    with pytest.raises(UnkeyableValue, match="name=") as caught:
        experiment_name(functools.partial(Scaled(1).run, threading.Lock()))
    assert "Scaled" in str(caught.value)


def test_a_closure_that_captured_a_lock_is_named_by_the_rest() -> None:
    def make(lock: Any, amount: int) -> Any:
        def work(context: object, config: object) -> Any:
            return lock, amount

        return work

    assert experiment_name(make(threading.Lock(), 1)) == experiment_name(make(threading.Lock(), 1))
    assert experiment_name(make(threading.Lock(), 1)) != experiment_name(make(threading.Lock(), 2))


@pytest.mark.parametrize(
    ("session", "names", "name"),
    [
        ("/work/analysis.ipynb", {}, "analysis"),
        ("", {"__vsc_ipynb_file__": "/work/other.ipynb"}, "other"),
        ("8c5a-uuid", {}, "notebook"),
        ("", {}, "notebook"),
    ],
)
def test_a_notebook_is_named_by_its_file_where_that_is_known(
    session: str, names: dict[str, str], name: str
) -> None:
    assert _notebook_name(session, types.SimpleNamespace(user_ns=names)) == name


def test_the_standard_library_and_installed_packages_are_not_the_users(tmp_path: Path) -> None:
    assert is_installed_file(os.__file__)
    assert is_installed_file(pytest.__file__)
    assert not is_installed_file(str(tmp_path / "exp.py"))


def test_the_standard_library_is_where_sysconfig_says() -> None:
    paths = sysconfig.get_paths()
    for kind in ("stdlib", "platstdlib"):
        assert os.path.join(paths[kind], "") in names._standard_folders()
