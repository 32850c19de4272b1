"""Import the Python object that a file names.

Knows: modules and their attributes. May not know: files, formats.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from typing import Any

from memento.errors import MatrixError
from memento.matrix.suggest import did_you_mean, nearest


def import_name(name: str, where: str) -> Any:
    """Return the object that ``module:qualname`` names.

    >>> import_name("collections:OrderedDict.fromkeys", "matrix.yaml, line 3")
    <built-in method fromkeys of type object at ...>
    """
    module_name, colon, qualname = name.strip().partition(":")
    if not colon or not _dotted(module_name) or not _dotted(qualname):
        module, _, last = name.strip().rpartition(".")
        guess = f"{module}:{last}" if _dotted(module) and _dotted(last) else "sklearn.svm:SVC"
        raise MatrixError(
            where, f"{name!r} is no name of a Python object.", f"Write module:name, like {guess}."
        )
    found: Any = _module(module_name, where)
    walked = module_name
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            public = [n for n in dir(found) if not n.startswith("_")]
            raise MatrixError(
                where, f"{walked} has no {part!r}.", did_you_mean(part, public, "It has")
            ) from None
        except Exception as exc:
            raise MatrixError(
                where,
                f"getting {part!r} from {walked} raised {type(exc).__name__}: {exc}.",
                "Import it by hand.",
            ) from exc
        walked += f"{':' if walked == module_name else '.'}{part}"
    return found


def _dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _module(name: str, where: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (name == exc.name or name.startswith(f"{exc.name}.")):
            raise _broken(name, where, exc) from exc  # the module is there; something that it needs is not
        parent, _, last = exc.name.rpartition(".")
        close = nearest(last, _children(parent))
        meant = f"Did you mean {f'{parent}.' if parent else ''}{close[0]}?" if close else ""
        todo = meant or "Install it, or run from the folder that has it."
        raise MatrixError(where, f"there is no module {exc.name!r}.", todo) from None
    except (Exception, SystemExit) as exc:  # a script that is imported may end itself
        raise _broken(name, where, exc) from exc


def _children(parent: str) -> Iterable[str]:
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if parent and path is None:
        return []
    found = [module.name for module in pkgutil.iter_modules(path)]
    return found if parent else [*found, *sys.builtin_module_names]


def _broken(name: str, where: str, exc: BaseException) -> MatrixError:
    return MatrixError(
        where, f"importing {name!r} raised {type(exc).__name__}: {exc}.", f"Try: python -c 'import {name}'."
    )
