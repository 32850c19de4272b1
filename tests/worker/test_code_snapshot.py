"""A worker that starts late runs the code of the run's start, whatever has become of the files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memento.errors import StoreError
from memento.worker.code_snapshot import CodeOfStart

SUBMIT = """
import os, pickle, sys
from memento.keys.project_files import script
from memento.worker import code_snapshot
from memento.worker.portable import Portable
from memento.worker.source_texts import modules, sources
from memento.worker.work import Work

def submit(function, store, led_to=()):
    path = [entry or os.getcwd() for entry in sys.path]
    texts = {**sources(), **modules(led_to)}
    function = Portable(function, "f")
    work = Work("run", "e", function, Portable({}, "s"), (), (), store, script(), path, os.getcwd(), 1, sources=texts)
    os.makedirs(store + "/work/run")
    work = work._replace(snapshot=code_snapshot.take(work))
    with open(store + "/work.pickle", "wb") as file:
        file.write(pickle.dumps(work))
"""

ARRIVE = """
import json, os, pickle, sys
with open(sys.argv[1], "rb") as file:
    work = pickle.load(file)
sys.path[:] = work.sys_path
os.environ["MEMENTO_WORKER_OF"] = "1/run"
from memento.executors.processes.launch import arrive
print(json.dumps(arrive(work)(None, None)))
"""

TRAIN = """
import importlib, inspect, traceback
from pathlib import Path
import helper
from pkg import model
from memento.context.step_calls import Call

def experiment(context, config):
    import late
    told = {"own": own(), "helper": helper.version(), "model": model.version(), "late": late.VERSION}
    told["plugin"] = importlib.import_module("plugins." + "one").VERSION
    told["relative"] = model.below()
    told["data"] = (Path(helper.__file__).parent / "data.txt").read_text()
    told["source"] = inspect.getsource(helper.version)
    told["own source"] = inspect.getsource(own)
    try:
        helper.fails()
    except ValueError:
        told["traceback"] = traceback.format_exc()
    told["step"] = Call(helper.version, (), {}).key.hex()
    told["own step"] = Call(own, (), {}).key.hex()
    told["whole step"] = Call(lazy, (), {}).key.hex()
    return told

def own():
    return 1

def lazy():
    import late
    return late.VERSION

if __name__ == "__main__":
    import json, sys
    print(json.dumps(experiment(None, None)))
    from submitting import submit
    submit(experiment, sys.argv[1], ["module:late"])
"""

FILES = {
    "pyproject.toml": "",
    "data.txt": "data",
    "helper.py": "def version():\n    return 1\n\ndef fails():\n    raise ValueError('the line of the start')\n",
    "late.py": "VERSION = 1\n",
    "plugins/one.py": "VERSION = 1\n",
    "pkg/__init__.py": "",
    "pkg/model.py": "from .sub import deep\n\ndef version():\n    return 1\n\n"
    "def below():\n    from .sub.deeper import VERSION\n    return [deep.VERSION, VERSION]\n",
    "pkg/sub/__init__.py": "",
    "pkg/sub/deep.py": "VERSION = 1\n",
    "pkg/sub/deeper.py": "VERSION = 1\n",
}


def rewrite(project: Path, change: Callable[[str], str]) -> None:
    for path in project.rglob("*.py"):
        path.write_text(change(path.read_text()))


def edited(project: Path) -> None:
    rewrite(
        project, lambda text: f"# a line more\n{text}".replace("1", "2").replace("of the start", "of today")
    )


def broken(project: Path) -> None:
    rewrite(project, lambda text: f"def broken(:\n{text}")


def removed(project: Path) -> None:
    for path in project.rglob("*.py"):
        path.unlink()
    for name in ("plugins", "pkg"):
        shutil.rmtree(project / name)


def renamed(project: Path) -> None:
    for name in ("helper.py", "late.py", "pkg", "plugins"):
        (project / name).rename(project / f"new_{name}")
    (project / "train.py").rename(project / "other.py")


def replaced(project: Path) -> None:
    """Packages stand where modules stood, and modules where packages did."""
    for name in ("helper", "late"):
        (project / f"{name}.py").unlink()
        (project / name).mkdir()
        (project / name / "__init__.py").write_text("VERSION = 2\n")
    for name in ("pkg", "plugins"):
        shutil.rmtree(project / name)
        (project / f"{name}.py").write_text("VERSION = 2\n")


def nothing(project: Path) -> None:
    return


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "a project"
    for name, text in {**FILES, "train.py": TRAIN}.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "submitting.py").write_text(SUBMIT)
    return project


def run(project: Path, *command: str, **more: str) -> Any:
    tools = str(project.parent / "tools")
    environment = {**os.environ, "PYTHONPATH": tools, "PYTHONDONTWRITEBYTECODE": "", **more}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=project, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


CHANGES = [nothing, edited, broken, removed, renamed, replaced]


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_code_is_as_it_was_whatever_became_of_the_files(project: Path, tmp_path: Path, change: Any) -> None:
    store = str(tmp_path / "store")
    told = run(project, "train.py", store)
    change(project)
    assert run(project, "-c", ARRIVE, f"{store}/work.pickle") == told


@pytest.mark.slow
@pytest.mark.parametrize("change", [edited, removed])
def test_a_module_that_was_run_by_its_name_is_as_it_was(project: Path, tmp_path: Path, change: Any) -> None:
    store = str(tmp_path / "store")
    text = TRAIN.replace("from pkg import model", "from . import model").replace(
        "import helper\n", "import helper\n"
    )
    (project / "train.py").rename(project / "pkg" / "train.py")
    (project / "pkg" / "train.py").write_text(text)
    told = run(project, "-m", "pkg.train", store)
    change(project)
    assert run(project, "-c", ARRIVE, f"{store}/work.pickle") == told


@pytest.mark.parametrize("change", [edited, removed])
def test_a_program_without_a_file_has_its_modules_as_they_were(
    project: Path, tmp_path: Path, change: Any
) -> None:
    store = str(tmp_path / "store")
    script = (
        "import helper, json; from submitting import submit; f = lambda context, config: helper.version();"
        f" submit(f, {store!r}); print(json.dumps(f(None, None)))"
    )
    assert run(project, "-c", script) == 1
    change(project)
    assert run(project, "-c", ARRIVE, f"{store}/work.pickle") == 1


@pytest.mark.slow
def test_a_package_that_is_installed_as_editable_elsewhere_is_as_it_was(
    project: Path, tmp_path: Path
) -> None:
    store, elsewhere = str(tmp_path / "store"), tmp_path / "elsewhere"
    (elsewhere / "mine").mkdir(parents=True)
    (elsewhere / "mine" / "__init__.py").write_text("")
    for name in ("loaded", "lazy"):
        (elsewhere / "mine" / f"{name}.py").write_text("VERSION = 1\n")
    (project / "train.py").write_text(
        "from mine import loaded\ndef experiment(context, config):\n    from mine import lazy\n"
        "    return [loaded.VERSION, lazy.VERSION]\n"
        "if __name__ == '__main__':\n    import sys\n    from submitting import submit\n"
        "    submit(experiment, sys.argv[1])\n    print('[1, 1]')\n"
    )
    path = os.pathsep.join([str(tmp_path / "tools"), str(elsewhere)])
    assert run(project, "train.py", store, PYTHONPATH=path) == [1, 1]
    for name in ("loaded", "lazy"):
        (elsewhere / "mine" / f"{name}.py").write_text("VERSION = 22\n")
    assert run(project, "-c", ARRIVE, f"{store}/work.pickle") == [1, 1]


@pytest.mark.slow
def test_installed_packages_and_data_are_not_in_it(project: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    (project / "environment").mkdir()
    (project / "environment" / "pyvenv.cfg").touch()
    (project / "environment" / "library.py").write_text("")
    (project / "generated.py").write_text("DATA = 1\n" * 200_000)
    run(project, "train.py", str(store))
    snapshot = CodeOfStart(str(store / "work" / "run" / "code.texts"))
    assert snapshot.text(str(project / "plugins" / "one.py")) == "VERSION = 1\n"
    for name in ("environment/library.py", "generated.py", "data.txt", "pyproject.toml"):
        assert snapshot.text(str(project / name)) is None
    assert snapshot.text(json.__file__) is None
    assert snapshot.find_spec("json") is None


@pytest.mark.parametrize("content", [None, b"", b'{"modules": '])
def test_a_snapshot_that_cannot_be_read_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "code.texts"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match="code of the run's start cannot be read"):
        CodeOfStart(str(path))
