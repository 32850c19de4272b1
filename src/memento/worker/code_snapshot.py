"""Keep the user's code as it was when a run began, for workers that start an hour later.

Knows: Python files of the user, imports. May not know: tasks, engines, what the code is for.

    work/<run>/code.texts    a line of JSON (which modules were loaded, where each text stands); then the texts

In it are the modules of the user that the program has loaded, those that the experiment leads to by import
statements, and what else lies in their packages and beside the script: a task may import it by a name that it makes.
The user's are all files that are not installed: also those of packages that are installed as editable.

A worker finds modules as Python does, in the same order of folders, but for Python files of the user it looks into
the snapshot and not at the disk: what was edited, moved or removed since is as it was. `__file__` is what it was too,
so data beside the code is found. Texts in tracebacks, for `inspect` and for the keys of shared steps are those of the
snapshot. Not in it: compiled extensions, data, installed packages; and who starts a Python of his own reads the disk.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import decode_source, spec_from_file_location
from itertools import accumulate

from memento.errors import StoreError, StoreUnwritable
from memento.keys.code_files import find_module
from memento.keys.find_source import read_instead
from memento.keys.project_files import STORE_FOLDER, Script, is_users_file
from memento.layout import INDEX, SNAPSHOT
from memento.worker.source_texts import MODULE, TextLoader, loaded, show_text
from memento.worker.work import Work

log = logging.getLogger("memento.executors")

_MOST = 32_000_000  # characters of all texts
_MOST_EXTRA = 1_000_000  # of one to which no import leads: what is larger is data
_MOST_ENTRIES = 10_000  # names that are looked at for such
_NO_CODE = frozenset({"__pycache__", "node_modules", "site-packages", STORE_FOLDER})


# -- where the run begins


def take(work: Work) -> str:
    """Write the user's code into the run's folder, which is there; return its path. Raises StoreUnwritable."""
    modules = dict(loaded(is_users_file))
    for name in work.sources:
        if name.startswith(MODULE):
            spec = find_module(name.removeprefix(MODULE))
            if spec is not None and spec.origin is not None:
                modules.setdefault(spec.name, spec.origin)
    needed = [os.path.abspath(file) for file in modules.values()]
    if work.script.file and not work.script.file.endswith(".ipynb"):  # whose cells travel: `source_texts`
        needed.append(os.path.abspath(work.script.file))
    texts, room = dict[str, str](), _MOST
    files = dict.fromkeys(needed)
    whole = _add_beside(files)
    known = {os.path.abspath(file): work.sources.get(MODULE + name) for name, file in modules.items()}
    for file in files:
        text = known.get(file) or _text(file, room if file in known else min(room, _MOST_EXTRA))
        if text is not None and len(text) <= room:
            texts[file] = text
            room -= len(text)
        elif file in known:
            log.warning(
                "the code of the run's start has more than %d MB: %s is read later", _MOST // 10**6, file
            )
    told: dict[str, object] = {
        "modules": {name: os.path.abspath(file) for name, file in modules.items()},
        "left": [file for file in files if file not in texts] if whole else None,
    }
    return _write(work, texts, told)


def _add_beside(files: dict[str, None]) -> bool:
    """Add the Python files in the packages of these, and below the folders of those in none; False for too many."""
    left = _MOST_ENTRIES
    for folder in dict.fromkeys(map(_outermost, files)):
        for path, below, names in os.walk(folder):
            left -= len(below) + len(names)
            if left < 0:
                return False
            below[:] = [name for name in below if _may_hold_code(os.path.join(path, name), name)]
            files.update((os.path.join(path, name), None) for name in names if name.endswith(".py"))
    return True


def _outermost(file: str) -> str:
    """Return the folder of the outermost package that a file is in, or its own folder."""
    folder = os.path.dirname(file)
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        above = os.path.dirname(folder)
        if not os.path.isfile(os.path.join(above, "__init__.py")):
            break
        folder = above
    return folder


def _may_hold_code(path: str, name: str) -> bool:
    marks = ("pyvenv.cfg", INDEX)  # an environment, a store
    hidden = name.startswith(".") or name in _NO_CODE
    return not (hidden or any(os.path.exists(os.path.join(path, mark)) for mark in marks))


def _text(file: str, most: int) -> str | None:
    """Return the text of a file; None for what is larger, or cannot be read: whoever imports it will be told."""
    try:
        with open(file, "rb") as stream:
            data = stream.read(most + 1)
            return decode_source(data) if len(data) <= most else None
    except (OSError, ValueError, SyntaxError):
        return None


def _write(work: Work, texts: dict[str, str], told: dict[str, object]) -> str:
    from memento.layout import Layout

    path = os.path.join(Layout(work.store).work(work.run), SNAPSHOT)
    unfinished = f"{path}.writing"
    # Not compressed: each run waits for it, and the file goes with the run.
    data = [text.encode("utf-8", "surrogatepass") for text in texts.values()]
    ends = accumulate(map(len, data))
    places = {file: (end - len(one), len(one)) for file, one, end in zip(texts, data, ends, strict=True)}
    try:
        with open(unfinished, "wb") as file:
            file.write(json.dumps({**told, "texts": places}).encode() + b"\n")
            file.writelines(data)
        os.replace(unfinished, path)
    except OSError as error:
        raise StoreUnwritable(path, f"cannot write the file ({error.strerror or error}).") from error
    return path


# -- in a worker


def install(path: str, script: Script) -> None:
    """Have this process import the user's code as it is in a snapshot; once, before anything of it is imported."""
    if any(isinstance(finder, CodeOfStart) for finder in sys.meta_path):
        return
    finder = CodeOfStart(path)
    # After what is built in, before what is on the disk.
    at = next((n for n, other in enumerate(sys.meta_path) if other is PathFinder), len(sys.meta_path))
    sys.meta_path.insert(at, finder)
    read_instead(finder.text)
    text = finder.text(script.file) if script.file else None
    if text is not None:
        show_text(script.file, text)  # its functions travel, and their lines are looked up


class CodeOfStart:
    """Finds the user's modules in a snapshot: see `importlib.abc.MetaPathFinder`."""

    is_of_start = True  # see `source_texts.install`

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            with open(path, "rb") as file:
                head = file.readline()
            told = json.loads(head)
            self._modules: dict[str, str] = told["modules"]
            self._left: list[str] | None = told["left"]  # the user's, and not in it; None: not known
            self._files: dict[str, tuple[int, int]] = told["texts"]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise _unreadable(path, error) from error
        self._first = len(head)  # where the texts begin
        self._folders: set[str] = set()
        for file in self._files:
            folder = os.path.dirname(file)
            while folder not in self._folders:
                self._folders.add(folder)
                folder = os.path.dirname(folder)
        # The last parts of all names that it can have an answer to: of others nothing is asked.
        stems = {os.path.splitext(os.path.basename(file))[0] for file in self._files}
        self._last = stems | {os.path.basename(folder) for folder in self._folders}

    def text(self, file: str) -> str | None:
        """Return the text of a file when the run began; None for one that is not in the snapshot."""
        place = self._files.get(os.path.abspath(file))
        if place is None:
            return None
        begin, length = place
        try:
            with open(self._path, "rb") as stream:
                stream.seek(self._first + begin)
                data = stream.read(length)
            if len(data) < length:
                raise ValueError("it is torn")
            return data.decode("utf-8", "surrogatepass")
        except (OSError, ValueError) as error:
            raise _unreadable(self._path, error) from error

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """Return where a module lies, as `PathFinder` would have when the run began; None to let others look."""
        last = name.rpartition(".")[2]
        if last not in self._last:
            return None
        portions: list[str] = []  # of a package without a file of its own
        for entry in sys.path if path is None else path:
            folder = os.path.abspath(entry)
            for file in (os.path.join(folder, last, "__init__.py"), os.path.join(folder, f"{last}.py")):
                if file in self._files:
                    return self._spec(name, file)
            there = PathFinder.find_spec(name, [entry])
            if there is not None and there.origin is not None and not self._is_newer(there.origin):
                return there  # installed, or an extension: Python looks no further either
            if there is not None and there.submodule_search_locations and there.origin is None:
                portions += there.submodule_search_locations
            elif os.path.join(folder, last) in self._folders:
                portions.append(os.path.join(folder, last))
        if name in self._modules and self._modules[name] in self._files:  # a finder of its own found it
            return self._spec(name, self._modules[name])
        if not portions:
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = portions
        return spec

    def _is_newer(self, file: str) -> bool:
        """Tell whether a Python file has come since, beside those of the user: it may stand before what was meant."""
        file = os.path.abspath(file)
        known = self._left is None or file in self._left or not file.endswith(".py")
        return not known and os.path.dirname(file) in self._folders

    def _spec(self, name: str, file: str) -> ModuleSpec | None:
        text = self.text(file)
        assert text is not None, file
        folder = [os.path.dirname(file)] if os.path.basename(file) == "__init__.py" else None
        loader = TextLoader(name, file, text)
        return spec_from_file_location(name, file, loader=loader, submodule_search_locations=folder)


def _unreadable(path: str, error: Exception) -> StoreError:
    return StoreError(
        path,
        f"the code of the run's start cannot be read ({error}).",
        "It is needed by workers that start while the run goes on: start the run again.",
    )
