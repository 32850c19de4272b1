"""What names promise: the same thing is called the same in every process."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

import pytest

from memento.errors import UnkeyableValue
from memento.keys import project_files
from memento.keys.experiment_names import experiment_name
from memento.keys.project_files import is_installed_file, notebook_file
from memento.wording import short_name

SCRIPT = """
import sys
from memento.keys.experiment_names import experiment_name
from memento.keys.project_files import script
from memento.keys.value_digest import digest
def train(context, config): return config.x
class Model: pass
if __name__ == "__main__" or "show" in sys.argv:
    print(script().place, experiment_name(train), digest([train, Model, lambda: 1]).hex())
"""


def python(*arguments: str, cwd: Path, code: str | None = None) -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, input=code, capture_output=True, text=True, timeout=300, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(cwd), *filter(None, [os.environ.get("PYTHONPATH")])])},
    )  # fmt: skip
    return done.stdout.split()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the script, loose and in a package; its name has a space and a quote."""
    root = tmp_path / "my 'own' project"
    (root / "pkg").mkdir(parents=True)
    (root / "loose").mkdir()
    (root / "pyproject.toml").touch()
    (root / "pkg" / "__init__.py").touch()
    (root / "exp.py").write_text(SCRIPT)
    (root / "loose" / "exp.v2.py").write_text(SCRIPT)
    (root / "pkg" / "exp.py").write_text(SCRIPT)
    return root


# Each starts the same file in another way; {} is its path from the working directory.
WAYS = [
    ("{}",),
    ("-i", "{}"),
    ("-m", "cProfile", "{}"),
    ("-m", "pdb", "-c", "c", "-c", "q", "{}"),
    ("-m", "trace", "--count", "-C", "counts", "{}"),
    ("-c", "import runpy; runpy.run_path('{}', run_name='__main__')"),
]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=lambda way: " ".join(way[:2]))
@pytest.mark.parametrize("file", ["exp.py", "pkg/exp.py", "loose/exp.v2.py"])
def test_a_script_has_the_name_of_its_place_however_it_is_run(
    project: Path, way: tuple[str, ...], file: str
) -> None:
    there = python(*[part.format(file) for part in way], cwd=project)
    place, name, values = there[there.index(file) :][:3]
    assert (place, name) == (file, f"{file}:train")
    folder, base = os.path.split(file)
    from_its_folder = python(*[part.format(base) for part in way], cwd=project / folder)
    assert [place, name, values] == from_its_folder[from_its_folder.index(file) :][:3]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "file"), [("exp", "exp.py"), ("pkg.exp", "pkg/exp.py")])
def test_a_module_has_the_name_of_its_place_however_it_is_imported(
    project: Path, module: str, file: str
) -> None:
    as_script = python(file, cwd=project)
    assert python("-m", module, cwd=project) == as_script
    for imported in (module, module.rpartition(".")[2]):  # the latter from the package's own folder
        code = f"import sys; sys.argv.append('show'); sys.path.insert(0, {file[:-7]!r}); import {imported}"
        assert python("-c", code, cwd=project)[1:] == as_script[1:]


def test_a_file_beside_which_somebody_put_an_init_keeps_its_name(project: Path) -> None:
    before = python("exp.py", cwd=project)
    (project / "__init__.py").touch()
    assert python("exp.py", cwd=project) == before


def test_a_checkout_that_is_moved_keeps_its_names(project: Path) -> None:
    before = python("pkg/exp.py", cwd=project)
    moved = project.rename(project.parent / "elsewhere")
    assert python("pkg/exp.py", cwd=moved) == before


def test_a_link_to_a_file_leads_to_its_name(project: Path) -> None:
    (project / "link.py").symlink_to("pkg/exp.py")
    assert python("link.py", cwd=project) == python("pkg/exp.py", cwd=project)


def test_without_a_mark_of_a_project_the_scripts_folder_is_the_project(project: Path) -> None:
    (project / "pyproject.toml").unlink()
    assert python("pkg/exp.py", cwd=project)[:2] == ["exp.py", "exp.py:train"]
    (project / "memento-store").mkdir()
    assert python("pkg/exp.py", cwd=project)[:2] == ["pkg/exp.py", "pkg/exp.py:train"]


def test_projects_that_share_a_store_above_them_are_told_apart(project: Path) -> None:
    names = []
    for inner in ("one", "two"):
        (project / inner).mkdir()
        (project / inner / "pyproject.toml").touch()
        (project / inner / "exp.py").write_text(
            "from memento import Memento\ndef train(context, config): ...\nprint(Memento(train).name)"
        )
        names += python("exp.py", cwd=project / inner)
    assert names == ["exp.py:train"] * 2  # each has a store of its own
    (project / "memento-store").mkdir()
    assert [*python("one/exp.py", cwd=project), *python("exp.py", cwd=project / "two")] == [
        "one/exp.py:train",
        "two/exp.py:train",
    ]


def test_a_child_of_multiprocessing_has_the_names_of_its_parent(project: Path) -> None:
    (project / "exp.py").write_text(
        SCRIPT.replace(
            'if __name__ == "__main__" or "show" in sys.argv:',
            "def show():",
        )
        + "if __name__ == '__main__':\n"
        "    import multiprocessing\n"
        "    show()\n"
        "    sys.stdout.flush()\n"
        "    child = multiprocessing.get_context('spawn').Process(target=show)\n"
        "    child.start()\n"
        "    child.join()\n"
    )
    told = python("exp.py", cwd=project)
    assert told[:2] == ["exp.py", "exp.py:train"]
    assert told[:3] == told[3:]


@pytest.mark.slow
def test_what_comes_from_no_file_is_named_by_its_code(project: Path) -> None:
    for way, code in ((("-",), SCRIPT), (("-c", SCRIPT), None)):
        place, name, _ = python(*way, cwd=project, code=code)
        assert place == "interactive"
        assert re.fullmatch("interactive:train#[0-9a-f]{32}", name)
    other = SCRIPT.replace("return config.x", "return config.y")
    assert python("-", cwd=project, code=other)[1] != python("-", cwd=project, code=SCRIPT)[1]


def test_a_prepared_process_carries_the_name_of_the_users_script(project: Path) -> None:
    code = (
        "from memento.keys.project_files import Script\n__memento_script__ = Script('a/exp.py', 'a.exp', ('/',), '')\n"
        + SCRIPT
    )
    place, name, _ = python("-c", code, cwd=project)
    assert (place, name) == ("a/exp.py", "a/exp.py:train")


def test_a_library_is_named_by_its_modules_wherever_it_is_installed(project: Path) -> None:
    target = project / "libs"
    (target / "lib-1.0.dist-info").mkdir(parents=True)
    (target / "lib.py").write_text("class Net: ...")
    outside = project.parent / "outside"
    outside.mkdir()
    (outside / "other.py").write_text("class Net: ...")
    (project / "exp.py").write_text(
        f"import sys; sys.path += [{str(target)!r}, {str(outside)!r}]\n"
        "import lib, other\nfrom memento.keys.names import qualified_name\n"
        "print(qualified_name(lib.Net), qualified_name(other.Net))"
    )
    assert python("exp.py", cwd=project) == ["lib:Net", "other:Net"]


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
    assert experiment_name(func) == f"tests/keys/test_experiment_names.py:{name}"


class Scaled:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, context: object, config: object) -> int:
        return self.factor

    def run(self, context: object, config: object) -> int:
        return self.factor


class Small: ...


class Large: ...


def capturing(thing: Any) -> Any:
    def train(context: object, config: Any) -> Any:
        return thing, config.x

    return train


def with_default(thing: Any) -> Any:
    def train(context: object, config: Any, used: Any = thing) -> Any:
        return used

    return train


def with_keyword(thing: Any) -> Any:
    def train(context: object, config: Any, *, used: Any = thing) -> Any:
        return used

    return train


def with_attribute(thing: Any) -> Any:
    def train(context: object, config: Any) -> Any:
        return train.used  # type: ignore[attr-defined]  # functions may have any

    train.used = thing  # type: ignore[attr-defined]
    return train


def of_class(thing: Any) -> Any:
    class Experiment:
        used = thing

        def __call__(self, context: object, config: Any) -> Any:
            return self.used

    return Experiment()


def undecorated(function: Any) -> Any:
    def wrapper(context: object, config: Any) -> Any:
        return function(context, config)

    return wrapper


def deeper(thing: Any) -> Any:
    return undecorated(capturing(functools.partial(capturing, [thing])))


def in_loop(thing: Any) -> Any:
    def train(context: object, config: Any, used: Any = thing) -> Any:
        return used

    train.__qualname__ = "train_in_loop"
    globals()["train_in_loop"] = train
    return train


def scale(context: object, config: Any, factor: Any = 1) -> Any:
    return config.x * factor


def pass_on(function: Any) -> Any:
    return function


MAKERS = [
    capturing, with_default, with_keyword, with_attribute, of_class, undecorated, deeper, in_loop, Scaled,
    lambda thing: Scaled(thing).run,
    lambda thing: functools.partial(scale, factor=thing),
    lambda thing: functools.partial(functools.partial(capturing(1), thing), 1),
    lambda thing: functools.wraps(scale)(undecorated(capturing(thing))),
]  # fmt: skip
# Each makes a pair of things that differ, anew at each call.
PAIRS = [
    lambda: (1, 2),
    lambda: (0.1 + 0.2, 0.3),
    lambda: ([1], [2]),
    lambda: (Small, Large),
    lambda: (Scaled(1), Scaled(2)),
    lambda: (abs, float),
    lambda: (lambda x: x + 2, lambda x: x + 3),
    lambda: (scale, pass_on),
    lambda: (capturing(1), capturing(2)),
    lambda: (functools.partial(scale, factor=1), functools.partial(scale, factor=2)),
    lambda: (Scaled(1).run, Scaled(2).run),
    lambda: ({"f": [abs]}, {"f": [float]}),
    lambda: (Small, Small()),
    lambda: (True, 1),
]


@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
@pytest.mark.parametrize("make", MAKERS, ids=range(len(MAKERS)))
def test_experiments_that_were_made_with_different_things_have_different_names(make: Any, pair: Any) -> None:
    one, other = pair()
    again, _ = pair()
    assert experiment_name(make(one)) == experiment_name(make(again)) != experiment_name(make(other))


def test_no_bit_of_what_an_experiment_was_made_with_is_left_out() -> None:
    assert re.search("#[0-9a-f]{32}$", experiment_name(capturing(1)))


DECORATORS = {
    "a function": "def timed(f):\n    def wrapper(context, config): return f(context, config)\n    return wrapper",
    "wraps": "def timed(f):\n    @functools.wraps(f)\n    def wrapper(*args): return f(*args)\n    return wrapper",
    "an object": (
        "class timed:\n    def __init__(self, f): self.f = f\n    def __call__(self, *args): return self.f(*args)"
    ),
    "an object that tells what it wraps": (
        "class timed:\n    def __init__(self, f):\n        functools.update_wrapper(self, f)\n"
        "    def __call__(self, *args): return self.__wrapped__(*args)"
    ),
    "a cache": "timed = functools.lru_cache",
}


@pytest.mark.slow
@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_decorated_experiment_keeps_its_name_when_its_code_is_edited(project: Path, decorator: str) -> None:
    code = f"""
import functools
{DECORATORS[decorator]}
@timed
def train(context, config): return 1
from memento.keys.experiment_names import experiment_name
print(experiment_name(train))
"""
    names = set()
    for edit in (
        "config): return 1",
        "config): return 2",
        "config: dict): return 1",
        "config): 'Return nothing.'",
    ):
        (project / "exp.py").write_text(code.replace("config): return 1", edit))
        names |= {*python("exp.py", cwd=project)}
    assert len(names) == 1


def test_an_experiment_of_a_comprehension_has_one_name_in_every_python() -> None:
    made = [lambda context, config: None for _ in range(1)]
    assert "comp>" not in experiment_name(made[0])


def test_a_written_default_is_code_and_no_part_of_the_name() -> None:
    assert experiment_name(scale) == "tests/keys/test_experiment_names.py:scale"


def test_an_experiment_that_holds_what_has_no_identity_asks_for_a_name() -> None:
    with pytest.raises(UnkeyableValue, match="name=") as caught:
        experiment_name(functools.partial(Scaled(1).run, object()))
    assert "Scaled" in str(caught.value)


def test_a_closure_that_captured_what_has_no_identity_asks_for_a_name() -> None:
    with pytest.raises(UnkeyableValue, match=r"captured 'thing'.*name=") as caught:
        experiment_name(capturing({"token": object()}))
    assert "'token'" in str(caught.value)


def test_a_notebook_is_its_file_where_that_is_known(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "analysis.ipynb").touch()
    monkeypatch.chdir(project)

    def told(session: str, **names: str) -> str:
        return notebook_file(session, types.SimpleNamespace(user_ns=names))

    file = os.path.realpath(project / "analysis.ipynb")
    assert told(file) == file
    assert told("work/of/me/analysis.ipynb") == file  # a server's own path
    assert told("", __vsc_ipynb_file__=file) == file
    assert told("8c5a-uuid") == told("") == ""


def test_the_standard_library_and_installed_packages_are_not_the_users(tmp_path: Path) -> None:
    assert is_installed_file(os.__file__)
    assert is_installed_file(pytest.__file__)
    assert not is_installed_file(str(tmp_path / "exp.py"))


def test_the_standard_library_is_where_sysconfig_says() -> None:
    paths = sysconfig.get_paths()
    for kind in ("stdlib", "platstdlib"):
        assert os.path.join(paths[kind], "") in project_files._standard_folders()


def test_above_a_project_a_prompt_knows_it_by_its_own_folder(project: Path) -> None:
    code = f"import sys; sys.argv.append('show'); sys.path.insert(0, {str(project)!r}); import exp"
    assert python("-c", code, cwd=project.parent)[1:] == python("exp.py", cwd=project)[1:]


def test_what_a_partial_was_made_with_has_the_same_digits_in_every_release() -> None:
    assert experiment_name(json.dumps) == "json:dumps"
    made = experiment_name(functools.partial(json.dumps, indent=2))
    assert short_name(made) == "json:dumps#352a9652"
