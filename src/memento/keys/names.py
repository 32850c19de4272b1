"""Give classes and functions the names by which every process knows them.

Knows: modules, and where their files lie. May not know: how values are encoded, source code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

from memento.keys.project_files import MAINS, own_root, place_of_file, real, script

# Standard classes that a Python release moved; keys know them under their public home.
_MOVED = {
    "pathlib._local": "pathlib",
    "pathlib._abc": "pathlib",
    "_operator": "operator",
    "_functools": "functools",
}


def module_name(name: str | None) -> str:
    """Return the name of a module as keys know it: its place in the project for the user's own, else its name."""
    if name in MAINS:
        return script().place
    file = file_of_module(name)
    place = place_of_file(file) if file is not None else None
    return place or _MOVED.get(name or "", name or "builtins")


def qualified_name(obj: Any) -> str:
    """Return ``module:qualname`` of a class or function; ``path/in/project.py:qualname`` of the user's own."""
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    if not isinstance(name, str):
        return qualified_name(type(obj))
    for kind in ("list", "set", "dict"):  # Python 3.12 and later: comprehensions leave no trace
        name = name.replace(f"<{kind}comp>.<locals>.", "").replace(f"<{kind}comp>.", "")
    module = getattr(obj, "__module__", None)
    if not isinstance(module, str):
        owner = getattr(obj, "__objclass__", None) or getattr(obj, "__self__", None)
        module = owner.__name__ if isinstance(owner, ModuleType) else getattr(owner, "__module__", None)
    if (module, name) == ("numpy", "bool"):  # NumPy 2's new name of it
        name = "bool_"
    home = _place_of_function(obj, module) if isinstance(obj, FunctionType) else None
    return f"{home or _public_module(obj, module if isinstance(module, str) else None, name)}:{name}"


def _place_of_function(func: FunctionType, module: str | None) -> str | None:
    """Return the place of the file that a function's globals tell: profilers and notebooks run files as `__main__`."""
    space = func.__globals__
    file = space.get("__file__")
    if module != space.get("__name__") or not isinstance(file, str):
        return None  # in a worker, or `functools.wraps` gave it another's name
    return place_of_file(file)


def _public_module(obj: Any, module: str | None, name: str) -> str:
    # pandas moved its names from where they are defined to where they are used; keys know the latter.
    if (module or "").startswith("pandas.") and getattr(sys.modules.get("pandas"), name, None) is obj:
        return "pandas"
    return module_name(module)


def resolve(module: str | None, qualname: str) -> Any:
    """Return what a loaded module has under a dotted name, or None; imports and runs nothing."""
    return _look_up(getattr(sys.modules.get(module or ""), "__dict__", {}), qualname)


def stands_under_its_name(obj: Any) -> bool:
    """Say whether a name that could be imported stands for this very object."""
    module, qualname = getattr(obj, "__module__", None), getattr(obj, "__qualname__", "<>")
    if isinstance(obj, FunctionType) and obj.__globals__.get("__name__") == module:
        return _look_up(obj.__globals__, qualname) is obj  # a profiler's `__main__` is its own
    return resolve(module, qualname) is obj


def _look_up(space: Mapping[str, Any], qualname: str) -> Any:
    obj, spaces = None, [space]
    for part in qualname.split("."):
        obj = next((space[part] for space in spaces if part in space), None)
        if isinstance(obj, (staticmethod, classmethod)):
            obj = obj.__func__
        spaces = (
            [vars(base) for base in obj.__mro__] if isinstance(obj, type) else [getattr(obj, "__dict__", {})]
        )
    return obj


def file_of_module(name: str | None) -> str | None:
    """Return the source file of a loaded module, or None."""
    file = getattr(sys.modules.get(name or ""), "__file__", None)
    return file if isinstance(file, str) else None


def path_in_project(value: str, module: str) -> str | None:
    """Return a path in the project's folder as seen from there; None for other texts."""
    if not os.path.isabs(value):
        return None
    file = file_of_module(module)
    for root in dict.fromkeys((*script().roots, own_root(real(file)) if file is not None else "")):
        if root and (value == root or value.startswith(os.path.join(root, ""))):
            return value[len(root) + 1 :].replace(os.sep, "/")
    return None


def without_place(value: Any, module: str | None) -> Any:
    """Return data as what it is in every checkout of the project, and under every name of its module."""
    path = value if isinstance(value, str) else str(value) if is_path(value) else ""
    if module is not None and path in (module, *MAINS):
        return ("the name of the module",)
    inside = path_in_project(path, module or "")
    return ("in the project", inside) if inside is not None else value


def is_path(value: Any) -> bool:
    """Say whether a value is a path of `pathlib`, which takes long to import: whoever has one has done so."""
    pathlib = sys.modules.get("pathlib")
    return pathlib is not None and isinstance(value, pathlib.PurePath)


def is_project_package(module: ModuleType) -> bool:
    """Say whether a loaded module is the user's own, or a package of theirs that has no file but a folder."""
    file = module.__dict__.get("__file__")
    if module.__name__ in MAINS or isinstance(file, str):
        return _is_project(module.__name__, file)
    folders = module.__dict__.get("__path__") or ()
    return any(place_of_file(os.path.join(folder, "__init__.py")) is not None for folder in folders)


def is_project_function(func: FunctionType) -> bool:
    """Say whether a function is the user's own, also where its module was loaded by hand, under any name."""
    return _is_project(func.__globals__.get("__name__"), func.__globals__.get("__file__"))


def _is_project(name: object, file: object) -> bool:
    known = isinstance(name, str) and is_project_module(name)
    return known or (isinstance(file, str) and place_of_file(file) is not None)


def is_project_module(name: str | None) -> bool:
    """Say whether a module is the user's own: neither installed, nor standard, nor Memento."""
    file = file_of_module(name)
    # Without one it is built in, or made by hand: nothing of it can be edited in a file.
    return name in MAINS or (file is not None and place_of_file(file) is not None)
