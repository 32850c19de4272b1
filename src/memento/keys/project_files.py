"""Tell where source files lie: in the user's project, and where in it, or in a library.

Knows: files, folders, what Python was started with. May not know: values, classes and functions.

The project is the folder of the nearest ``pyproject.toml`` or ``.git`` above the script, else that of the nearest
store, else the script's own. A file in it is named by its path from there, so that it has one name however it is run
or imported, no other file has that name, and a checkout that is moved keeps it. Everything else is a library.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any, NamedTuple

from memento import system

STORE_FOLDER = "memento-store"
PROJECT_MARKS = ("pyproject.toml", ".git")
NOTEBOOK, INTERACTIVE = "notebook", "interactive"  # places where there is no file
MAINS = ("__main__", "__mp_main__")  # the latter in children of multiprocessing

# A worker's own `__main__` is not the user's: who prepares it writes the coordinator's `Script` here.
SCRIPT_ATTRIBUTE = "__memento_script__"


class Script(NamedTuple):
    """What the program was started with, the same in all processes of a run."""

    place: str  # of its file in the project; `NOTEBOOK` or `INTERACTIVE` where there is no file
    module: str  # the name by which it could be imported
    roots: tuple[str, ...]  # the project's folder, then those of experiments that lie elsewhere
    file: str  # "" where there is none


# Of experiments outside the script's project; they belong to the process as its modules do.
_added_roots: list[str] = []


def script() -> Script:
    """Return what this program was started with."""
    main = sys.modules.get("__main__")
    given = vars(main).get(SCRIPT_ATTRIBUTE) if main is not None else None
    if isinstance(given, Script):
        return given
    started = vars(main).get("__file__") if main is not None else None
    try:
        here = os.getcwd()
    except OSError:  # the folder is gone
        here = os.path.abspath(os.sep)
    told = sys.argv[0] if sys.argv else ""
    return _script(started if isinstance(started, str) else "", told, here, tuple(_added_roots))


@functools.lru_cache(maxsize=64)
def _script(started: str, told: str, here: str, added_roots: tuple[str, ...]) -> Script:
    """Look at the disk once for all names that are asked for."""
    file, kind = _script_file(started, told)
    run = _module_run(file)
    home = _home(_folder(file, run) if file else here)
    module = run or (_dotted(file) if file else kind)
    return Script(_below(file, home) if file else kind, module, (home, *added_roots), file)


def script_folder() -> str | None:
    """Return the folder of the script, that of its outermost package with ``python -m``; None where there is none."""
    file = script().file
    return _folder(file, _module_run(file)) if file else None


def _module_run(file: str) -> str:
    """Return the module that ``python -m`` was given, if this file is it."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name, origin = getattr(spec, "name", None), getattr(spec, "origin", None)
    return str(name) if name and name not in MAINS and origin and real(origin) == file else ""


def _folder(file: str, module: str) -> str:
    """Return the folder in which Python found a script or, with ``-m``, the first package of its module."""
    folder = os.path.dirname(file)
    for _ in range(module.count(".")):
        folder = os.path.dirname(folder)
    return folder


def _script_file(*started: str) -> tuple[str, str]:
    """Return the file of the script, and what stands in its place where there is none."""
    if "ipykernel" in sys.modules and type(_ipython()).__name__ == "ZMQInteractiveShell":
        return notebook_file(os.environ.get("JPY_SESSION_NAME", ""), _ipython()), NOTEBOOK
    # A profiler, debugger or test runner may be what was started; then the script, if any, is its first argument.
    for file in started:
        if file and not file.startswith("<") and not _is_program(real(file)):
            return real(file), ""
    return "", INTERACTIVE


@functools.lru_cache(maxsize=16)
def _is_program(path: str) -> bool:
    """Say whether what was started is an installed program, such as pytest, and no script of the user's."""
    if not any(map(os.path.isfile, with_parents(path))):  # an archive is a file above what it holds
        return True  # "-c", or no name of a file at all
    beside_python = os.path.dirname(path) == _real(os.path.dirname(system.absolute(sys.executable)))
    return beside_python or is_installed_file(path) or path.startswith(_MEMENTO)


def notebook_file(session: str, shell: Any) -> str:
    """Return a notebook's file where Jupyter or VS Code tells it, else ""."""
    told = str(getattr(shell, "user_ns", {}).get("__vsc_ipynb_file__") or session)
    if not told.endswith(".ipynb"):
        return ""
    # A server may tell the path from a folder of its own; a kernel begins in the notebook's folder.
    return real(told if os.path.isfile(told) else os.path.basename(told))


def _ipython() -> Any:
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get() if get is not None else None


@functools.lru_cache(maxsize=16)
def _dotted(file: str) -> str:
    """Return the name by which a file could be imported."""
    folder, base = os.path.split(file)
    parts = [os.path.splitext(base)[0]]
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.basename(folder).isidentifier():
        folder, base = os.path.split(folder)
        parts.append(base)
    return ".".join(reversed(parts))


_absolute: dict[str, str] = {}  # of relative paths, as they were when the program was still in that folder


def real(file: str) -> str:
    """Return the absolute path of a file, links followed: a file has one name whatever leads to it."""
    if os.path.isabs(file):
        return _real(file)
    path = os.path.abspath(file)
    if os.path.exists(path):
        _absolute[file] = path
    return _real(_absolute.get(file, path))


@functools.lru_cache(maxsize=4096)
def _real(file: str) -> str:
    return os.path.realpath(file)


@functools.lru_cache(maxsize=1024)
def project_of(folder: str) -> str | None:
    """Return the nearest folder, here or above, with a mark of a project; None where there is none."""
    for above in with_parents(folder):
        if any(os.path.exists(os.path.join(above, mark)) for mark in PROJECT_MARKS):
            return above
    return None


def with_parents(folder: str) -> list[str]:
    """Return a folder and all above it, nearest first."""
    found = [folder]
    while (parent := os.path.dirname(folder)) != folder:
        found.append(folder := parent)
    return found


@functools.lru_cache(maxsize=256)
def _home(folder: str) -> str:
    """Return the project's folder for a script that lies in a folder, or for a prompt in it."""
    folder = _real(folder)
    marked = project_of(folder)
    if marked is not None:
        return marked
    stores = (above for above in with_parents(folder) if os.path.isdir(os.path.join(above, STORE_FOLDER)))
    return next(stores, folder)


@functools.lru_cache(maxsize=1024)
def _below(file: str, folder: str) -> str:
    return os.path.relpath(file, folder).replace(os.sep, "/")


def _is_inside(file: str, folder: str) -> bool:
    return file.startswith(os.path.join(folder, ""))


@functools.lru_cache(maxsize=1)
def _standard_folders() -> tuple[str, ...]:
    # As `sysconfig` has them, which every worker would load.
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    parts = ("Lib",) if os.name == "nt" else (sys.platlibdir, name)
    named = [system.absolute(os.path.join(base, *parts)) for base in (sys.base_prefix, sys.exec_prefix)]
    # Links may lead there; where os.py lies settles what the paths of an environment leave open.
    folders = {*named, *map(os.path.realpath, named), os.path.dirname(system.absolute(os.__file__))}
    return tuple(sorted(f"{folder}{os.sep}" for folder in folders))


@functools.lru_cache(maxsize=4096)
def is_installed_file(file: str) -> bool:
    """Say whether a source file belongs to the standard library or an installed package."""
    if file.startswith("<"):
        return file.startswith("<frozen ")  # compiled from text: it lies nowhere
    path = system.absolute(file)
    if not {"site-packages", "dist-packages"}.isdisjoint(path.split(os.sep)):
        return True
    if path.startswith(_standard_folders()):
        return True
    return any(_is_inside(path, entry) and _holds_packages(entry) for entry in sys.path[1:] if entry)


@functools.lru_cache(maxsize=256)
def _holds_packages(folder: str) -> bool:
    """Say whether pip has installed packages into a folder: ``pip install --target``."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(".dist-info") for entry in entries)
    except OSError:
        return False


_MEMENTO = os.path.join(os.path.dirname(os.path.dirname(system.absolute(__file__))), "")


def place_of_file(file: str) -> str | None:
    """Return the path of one of the user's files from the project's folder; None for a library's."""
    return _place(file, script().roots, has_script=bool(script().file))


@functools.lru_cache(maxsize=4096)
def _place(file: str, roots: tuple[str, ...], has_script: bool) -> str | None:
    # Links are followed of what may be the user's: of every library that is loaded that takes longer than all else.
    if file.startswith("<") or _is_librarys(file) or _is_librarys(path := real(file)):
        return None
    root = next((root for root in roots if _is_inside(path, root)), None)
    if root == roots[0] and not has_script and project_of(root) is None:
        root = project_of(os.path.dirname(path)) or root  # a prompt or a test runner started above projects
    if root is None:
        if has_script or not os.path.isfile(path):
            return None
        root = own_root(path)  # a prompt or a test runner has no project of its own
    place = _below(path, root)
    if root != roots[0] and os.path.exists(os.path.join(roots[0], place)):
        place = _below(path, roots[0])  # another file of the script's project has this place
    # A name that is not UTF-8 could be neither stored nor digested: it is shown escaped.
    return place.encode("utf-8", "backslashreplace").decode()


def own_root(path: str) -> str:
    """Return the folder of the project that a file lies in, whatever the script."""
    return project_of(os.path.dirname(path)) or os.path.dirname(path)


def count_as_project(file: str) -> None:
    """Take the project of an experiment's file for the user's, where it is not the script's."""
    path = real(file)
    if (
        place_of_file(file) is None
        and os.path.isfile(path)
        and not (_is_librarys(file) or _is_librarys(path))
    ):
        _added_roots.append(own_root(path))


def _is_librarys(path: str) -> bool:
    return path.startswith((_MEMENTO, _real(_MEMENTO))) or is_installed_file(path)


def is_users_file(file: str) -> bool:
    """Say whether a source file is the user's, in this project or another: it is not installed."""
    return not (file.startswith("<") or _is_librarys(file) or _is_librarys(real(file)))


def is_project_file(file: str) -> bool:
    """Say whether a source file is the user's own."""
    return place_of_file(file) is not None
