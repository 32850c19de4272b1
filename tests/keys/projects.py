"""Write a user's project to disk, load it, and take the version of its experiment."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from memento.keys.code_versions import CodeVersion, code_version

_numbers = itertools.count()


class Projects:
    """Projects under one folder; each version lies in a folder of its own, with the same names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, files: Mapping[str, str], folder: Path | None = None) -> Path:
        folder = folder or self.folder / f"version{next(_numbers)}"
        for name, text in {"pyproject.toml": "", **files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    @contextmanager
    def loaded(self, folder: Path, name: str = "lab_exp") -> Iterator[ModuleType]:
        """Have the modules of a folder, and no other version of them, while the block runs."""
        sys.path.insert(0, str(folder))
        others = self.forget()
        try:
            yield importlib.import_module(name)
        finally:
            sys.path.remove(str(folder))
            self.forget()
            sys.modules.update(others)

    def forget(self) -> dict[str, ModuleType]:
        """Take the modules of a project out of this process, with what imports know of its folders; return them."""
        gone = {name: sys.modules.pop(name) for name in list(sys.modules) if name[:4] == "lab_"}
        for path in [path for path in sys.path_importer_cache if path.startswith(str(self.folder))]:
            del sys.path_importer_cache[path]
        return gone

    def version(self, files: Mapping[str, str], name: str = "train") -> CodeVersion:
        with self.loaded(self.write(files)) as module:
            return code_version(getattr(module, name))


def edited(files: Mapping[str, Any], old: str, new: str) -> dict[str, str]:
    return {name: text.replace(old, new) for name, text in files.items()}
