"""Promises about the project as a whole: its version, its pinned files, its imports, its files."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import memento

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PINNED = sorted((ROOT / "requirements").glob("*.txt"))
HEAVY = ("asyncio", "cloudpickle", "multiprocessing", "numpy", "pandas", "psutil", "rich", "typer", "yaml")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def pyproject() -> dict[str, dict[str, object]]:
    table: dict[str, dict[str, object]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return table


def test_the_version_is_written_in_one_place_that_the_build_reads(
    pyproject: dict[str, dict[str, object]],
) -> None:
    assert pyproject["project"]["dynamic"] == ["version"]
    hatch = pyproject["tool"]["hatch"]
    assert isinstance(hatch, dict)
    assert hatch["version"] == {"path": "src/memento/_version.py"}
    namespace: dict[str, str] = {}
    exec((ROOT / "src/memento/_version.py").read_text(encoding="utf-8"), namespace)
    assert memento.__version__ == namespace["__version__"]


def test_the_changelog_opens_with_this_version() -> None:
    released = re.sub(r"\.dev\d+$", "", memento.__version__)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(r"^## \[?([^\]\s]+)\]? - (\S+)", changelog, flags=re.MULTILINE)
    assert heading is not None
    assert heading[1] == released
    assert (heading[2] == "unreleased") == (released != memento.__version__)


def test_there_are_pinned_files_for_the_demo_for_development_and_for_the_peers_in_benchmarks() -> None:
    assert [path.name for path in PINNED] == ["ancestor.txt", "demo.txt", "dev.txt", "exca.txt"]


@pytest.mark.parametrize("path", PINNED, ids=_name)
def test_pinned_files_name_no_host_no_option_and_no_path(path: Path) -> None:
    bad = [
        line for line in path.read_text(encoding="utf-8").splitlines() if re.search(r"://|^-|@|^[./]", line)
    ]
    assert bad == []


@pytest.mark.parametrize("path", PINNED, ids=_name)
def test_every_pinned_requirement_has_an_exact_version_and_a_hash(path: Path) -> None:
    entries = re.split(r"^(?=\S)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(entries) > 5
    bare = [
        e.splitlines()[0] for e in entries if not re.match(r"[\w.-]+==\S+ ", e) or "--hash=sha256:" not in e
    ]
    assert bare == []


def test_what_the_demo_installs_is_what_was_tested() -> None:
    demo, dev = (
        set(
            re.findall(
                r"^[\w.-]+==[^ ]+", (ROOT / "requirements" / name).read_text(encoding="utf-8"), re.MULTILINE
            )
        )
        for name in ("demo.txt", "dev.txt")
    )
    assert demo - dev == set()


def test_every_direct_requirement_is_pinned(pyproject: dict[str, dict[str, object]]) -> None:
    pinned = {
        line.split("==")[0]
        for line in (ROOT / "requirements/demo.txt").read_text(encoding="utf-8").splitlines()
    }
    dependencies = pyproject["project"]["dependencies"]
    assert isinstance(dependencies, list)
    assert {re.split(r"[<>=;\[ ]", line)[0] for line in dependencies} - pinned == set()


def test_importing_memento_loads_no_heavy_package() -> None:
    code = f"import sys, memento; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", memento.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    getattr(memento, name)


def test_every_public_name_is_listed_once_and_shown_by_dir() -> None:
    assert len(set(memento.__all__)) == len(memento.__all__)
    assert set(memento.__all__) <= set(dir(memento))


@pytest.mark.parametrize("package", ["memento", "memento.executors", "memento.testing"])
def test_type_checkers_see_the_public_names_that_a_package_has(package: str) -> None:
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        (node.module, a.name, a.asname)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for a in node.names
    }
    homes = {(home, name, name) for home, names in module._HOMES.items() for name in names.split()}
    assert seen == homes
    assert {name for _, name, _ in homes} == set(module.__all__) - {"__version__"}


def test_every_source_file_opens_with_its_job() -> None:
    assert [_name(path) for path in SOURCES if len(_first_line(path)) <= 10] == []


def _first_line(path: Path) -> str:
    """Return the first line of what a file says of itself; "" where it says nothing."""
    line = path.read_text(encoding="utf-8").partition("\n")[0]
    return line.strip('"') if line.startswith('"""') else ""


def test_no_source_file_outgrows_a_reader() -> None:
    lines = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: count for name, count in lines.items() if count > 600} == {}


@pytest.mark.slow
def test_every_source_module_can_be_imported_without_the_extras() -> None:
    """An optional package is imported where it is used; only the demo is about one, and says so when it lacks."""
    modules = {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
    } - {"memento.__main__", "memento.cli.demo"}
    extras = "apprise dask distributed matplotlib obstore psycopg pyarrow pynvml ray sklearn torch".split()
    code = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({extras!r}))\n"  # None there makes an import fail
        f"for name in {sorted(modules)!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stderr.splitlines()[-3:] == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(memento.__file__).parent / "py.typed").exists()


def test_the_console_script_starts_what_the_cli_offers(pyproject: dict[str, dict[str, object]]) -> None:
    scripts = pyproject["project"]["scripts"]
    assert isinstance(scripts, dict)
    module, _, function = scripts["memento"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
