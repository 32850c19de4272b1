"""Give classes, functions and experiments the names by which every process knows them.

Knows: modules, scripts and where their files lie. May not know: how values are encoded, source code.
"""

from __future__ import annotations

import functools
import os
import sys
from types import ModuleType

from memento import system
from memento.hints import Any

# The worker's own `__main__` is not the user's: who prepares it writes the script's name here.
SCRIPT_ATTRIBUTE = "__memento_script__"

# Standard classes that a Python release moved; keys know them under their public home.
_MOVED = {
    "pathlib._local": "pathlib",
    "pathlib._abc": "pathlib",
    "_operator": "operator",
    "_functools": "functools",
}


def script_name() -> str:
    """Return the module name that stands for `__main__` in every key.

    Returns
    -------
    str
        The name given to ``python -m``; ``package.module`` for a script that lies in a package; else the
        file's stem (a notebook's too, where it is known); ``"notebook"`` or ``"interactive"`` where there is no file.

    Examples
    --------
    >>> isinstance(script_name(), str)
    True
    """
    main = sys.modules.get("__main__")
    given = getattr(main, SCRIPT_ATTRIBUTE, None)
    if isinstance(given, str):
        return given
    spec = getattr(main, "__spec__", None)
    if spec is not None and getattr(spec, "name", None) and spec.name != "__main__":
        return str(spec.name)
    if "ipykernel" in sys.modules and type(_ipython()).__name__ == "ZMQInteractiveShell":
        return _notebook_name(os.environ.get("JPY_SESSION_NAME", ""), _ipython())
    file = getattr(main, "__file__", None)
    if not file or str(file).startswith("<") or "_pyrepl" in str(file):
        return "interactive"
    return _name_of_file(str(file))


def _notebook_name(session: str, shell: Any) -> str:
    """Name a notebook by its file, where Jupyter or VS Code tells it: two notebooks are two scripts."""
    told = getattr(shell, "user_ns", {}).get("__vsc_ipynb_file__") or session
    return _stem(str(told)) if str(told).endswith(".ipynb") else "notebook"


def _ipython() -> Any:
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get() if get is not None else None


@functools.lru_cache(maxsize=64)
def _name_of_file(file: str) -> str:
    home, stem = os.path.dirname(system.absolute(file)), _stem(file)
    parts = [] if stem == "__init__" else [stem]
    folder, name = os.path.split(home)
    while os.path.isfile(os.path.join(folder, name, "__init__.py")) and name.isidentifier():
        parts.append(name)
        folder, name = os.path.split(folder)
    if parts == ["__main__"]:
        return os.path.basename(home)  # a folder or an archive that is run as a whole
    return ".".join(reversed(parts)) or stem


def _stem(file: str) -> str:
    """Return a file's name without its ending, as `pathlib` does."""
    name = os.path.basename(system.absolute(file))
    dot = name.rfind(".")
    return name[:dot] if 0 < dot < len(name) - 1 else name


def module_name(name: str | None) -> str:
    """Return the name of a module as keys know it: the script's for `__main__`."""
    if name == "__main__":
        return script_name()
    return _MOVED.get(name or "", name or "builtins")


def qualified_name(obj: Any) -> str:
    """Return ``module:qualname`` of a class or function, the script's name in place of `__main__`.

    Parameters
    ----------
    obj : object
        Anything that has a ``__qualname__``; for others, their class is named.

    Returns
    -------
    str
        The name, the same in every process.

    Examples
    --------
    >>> from pathlib import Path
    >>> qualified_name(dict.fromkeys), qualified_name(Path)
    ('builtins:dict.fromkeys', 'pathlib:Path')
    """
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    if not isinstance(name, str):
        return qualified_name(type(obj))
    module = getattr(obj, "__module__", None)
    if not isinstance(module, str):
        owner = getattr(obj, "__objclass__", None) or getattr(obj, "__self__", None)
        module = owner.__name__ if isinstance(owner, ModuleType) else getattr(owner, "__module__", None)
    if (module, name) == ("numpy", "bool"):  # NumPy 2's new name of it
        name = "bool_"
    return f"{_public_module(obj, module if isinstance(module, str) else None, name)}:{name}"


def _public_module(obj: Any, module: str | None, name: str) -> str:
    # pandas moved its names from where they are defined to where they are used; keys know the latter.
    if (module or "").startswith("pandas.") and getattr(sys.modules.get("pandas"), name, None) is obj:
        return "pandas"
    return module_name(module)


def resolve(module: str | None, qualname: str) -> Any:
    """Return what a loaded module has under a dotted name, or None; imports and runs nothing."""
    obj: Any = sys.modules.get(module or "")
    for part in qualname.split("."):
        if obj is None:
            return None
        space = getattr(obj, "__dict__", {})
        if part not in space and isinstance(obj, type):
            space = next((vars(base) for base in obj.__mro__ if part in vars(base)), {})
        obj = space.get(part)
        if isinstance(obj, (staticmethod, classmethod)):
            obj = obj.__func__
    return obj


@functools.lru_cache(maxsize=1)
def _standard_folders() -> tuple[str, ...]:
    # As `sysconfig` has them, which takes 2 ms to import.
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
    return path.startswith(_standard_folders())


_MEMENTO = os.path.join(os.path.dirname(os.path.dirname(system.absolute(__file__))), "")


def file_of_module(name: str | None) -> str | None:
    """Return the source file of a loaded module, or None."""
    file = getattr(sys.modules.get(name or ""), "__file__", None)
    return file if isinstance(file, str) else None


def is_project_module(name: str | None) -> bool:
    """Say whether a module is the user's own: neither installed, nor standard, nor Memento."""
    if not name:
        return False
    if name == "__main__":
        return True
    file = file_of_module(name)
    if file is None:
        return False  # built in, or made by hand: nothing of it can be edited in a file
    return is_project_file(file)


def is_project_file(file: str) -> bool:
    """Say whether a source file is the user's own."""
    return not is_installed_file(file) and not system.absolute(file).startswith(_MEMENTO)


@functools.lru_cache(maxsize=1)
def project_folder() -> str:
    """Return the folder of the project."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = home = os.path.dirname(os.path.realpath(file)) if file else os.getcwd()
    while True:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in ("pyproject.toml", ".git")):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return home
        folder = above


def is_script_module(name: str | None) -> bool:
    """Say whether a module is a script: `__main__` or a loose top-level file outside packages.

    The functions of a script count by their code, those of packages by name. A `__main__` that stands for a
    module of a package is that module, so that ``python -m pkg.exp`` and ``import pkg.exp`` agree.
    """
    if not name:
        return False
    if name == "__main__":
        return "." not in script_name()
    if name == script_name():
        return "." not in name  # loaded a second time under its own name, or named so in a worker
    module = sys.modules.get(name)
    if "." in name or module is None or hasattr(module, "__path__"):
        return False
    return is_project_module(name)
