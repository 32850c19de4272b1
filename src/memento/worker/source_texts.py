"""Take along source texts: those that stand in no file, and those of modules that tasks will import.

Knows: `linecache`, the standard input of `python -`, imports. May not know: tasks, workers.

A module that a task imports for itself is read from the disk by each worker at another time, as is all that the program
has imported by a worker that is a fresh process; and somebody may edit it meanwhile. All tasks of a run are to use the
code of its start: so its text is read then, and goes with the run.

Cells of a notebook and lines typed into a prompt are kept in this process' `linecache` only, and tracebacks made in a
worker are to show them. A script that comes from the standard input is kept nowhere, but can be read once more where
that is a file.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType

_MOST = 4_000_000  # characters; whoever types more sees the latest
_STDIN = "<stdin>"
MODULE, _CELL = "module:", "cell:"
WORKER_MARK = "MEMENTO_WORKER_OF"  # in the environment of processes that work for one run only

_cells: dict[str, str] = {}  # what people call the notebook's cells, by the names of their files


def sources() -> dict[str, str]:
    """Return the source texts of this process that stand in no file, by the names that code objects have for them.

    With them goes what a notebook's cells are called.
    """
    found: dict[str, str] = {}
    room = _MOST
    linecache = sys.modules.get("linecache")  # where nobody has it, nothing is in it
    # A copy, here as of `sys.modules`: other threads of the program add to it meanwhile.
    for name, entry in reversed(getattr(linecache, "cache", {}).copy().items()):
        if len(entry) != 4 or entry[1] is not None:  # of a file, which workers find by themselves
            continue
        room -= entry[0]
        if room < 0:
            break
        found[name] = "".join(entry[2])
    if _STDIN not in found and sys.argv[:1] == ["-"]:
        script = _standard_input()
        if script:
            found[_STDIN] = script
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    tell = getattr(getattr(shell, "compile", None), "format_code_name", lambda name: None)
    for name in list(found):
        told = tell(name)  # "Cell", "In[2]"
        if told is not None:
            found[_CELL + name] = f"cell {told[1].strip('In[]')}"
    return found


def place_text(file: str, line: int) -> str:
    """Name a line as people do: ``train.py:24``, or ``cell 2, line 24`` of a notebook, whose files nobody sees."""
    cell = _cells.get(file)
    return f"{os.path.basename(file)}:{line}" if cell is None else f"{cell}, line {line}"


def modules(functions: Iterable[str]) -> dict[str, str]:
    """Return the texts of the project's modules: of loaded ones, and of "module:name" among `functions`."""
    from memento.keys.code_files import find_module
    from memento.keys.project_files import is_project_file

    files = {MODULE + name: file for name, file in loaded(is_project_file)}
    for name in functions:
        spec = find_module(name[len(MODULE) :]) if name.startswith(MODULE) else None
        if spec is not None and spec.origin is not None:
            files[name] = spec.origin
    found: dict[str, str] = {}
    room = _MOST
    for name, path in files.items():
        from importlib.util import decode_source

        try:
            with open(path, "rb") as file:
                text = decode_source(file.read(room + 1))
        except (OSError, ValueError, SyntaxError):  # whoever imports it will be told
            continue
        room -= len(text)
        if room < 0:
            break
        found[name] = text
    return found


def loaded(wanted: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Yield the modules that this process has imported, with their files, where these are wanted."""
    for name, module in sys.modules.copy().items():
        # Not the module itself is asked: some import others then.
        file = getattr(module, "__dict__", {}).get("__file__")
        if name == "__main__" or not isinstance(file, str) or not file.endswith(".py"):
            continue
        if "site-packages" not in file and wanted(file):
            yield name, file


def install(texts: Mapping[str, str]) -> None:
    """Let tracebacks of this process find texts that stand in no file, and a worker's imports those of the start."""
    of_modules = {name[len(MODULE) :]: text for name, text in texts.items() if name.startswith(MODULE)}
    # Other processes outlive the run; the next one may be about newer code.
    there = any(getattr(finder, "is_of_start", False) for finder in sys.meta_path)
    if of_modules and WORKER_MARK in os.environ and not there:
        sys.meta_path.insert(0, _AsAtStart(of_modules))
    _cells.update({name[len(_CELL) :]: text for name, text in texts.items() if name.startswith(_CELL)})
    typed = {name: text for name, text in texts.items() if not name.startswith((MODULE, _CELL))}
    if typed:
        import linecache

        for name, text in typed.items():
            linecache.cache.setdefault(name, (len(text), None, text.splitlines(keepends=True), name))


def show_text(file: str, text: str) -> None:
    """Have tracebacks and `inspect` show this text of a file, whatever stands in it now."""
    import linecache

    # Without a time the entry is as of a file that is nowhere, and is never looked up again.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)


def edited_since(texts: Mapping[str, str]) -> set[str]:
    """Return the places of loaded modules whose files are not what they were when the run began."""
    from importlib.util import decode_source

    from memento.keys.project_files import place_of_file

    places: set[str] = set()
    for name, text in texts.items():
        module = sys.modules.get(name[len(MODULE) :]) if name.startswith(MODULE) else None
        file = getattr(module, "__dict__", {}).get("__file__")
        place = place_of_file(file) if isinstance(file, str) else None
        if place is None or file is None:
            continue
        try:
            with open(file, "rb") as stream:
                now = decode_source(stream.read())
        except (OSError, ValueError, SyntaxError):
            now = ""
        if now != text:
            places.add(place)
    return places


class _AsAtStart:
    """Finds modules as everybody does, and loads them from the text that they had when the run began."""

    is_of_start = True

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        text = self._texts.get(name)
        spec = PathFinder.find_spec(name, path) if text is not None else None
        if text is not None and spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = TextLoader(name, spec.loader.path, text)
        return spec


class TextLoader(SourceFileLoader):
    """Loads a module from the text that it had, be it with the help of what Python has compiled of it already."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        if self._is_unchanged():
            code = super().get_code(fullname)
            if code is not None and self._is_unchanged():  # nor was it meanwhile
                return code
        show_text(self.path, self._text)
        return compile(self._text, self.path, "exec", dont_inherit=True)

    def _is_unchanged(self) -> bool:
        from importlib.util import decode_source

        try:
            return decode_source(self.get_data(self.path)) == self._text
        except (OSError, ValueError, SyntaxError):
            return False

    def get_source(self, fullname: str) -> str:
        return self._text


def _standard_input() -> str:
    try:
        status = os.fstat(0)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST:
            return ""
        return os.pread(0, status.st_size, 0).decode("utf-8", "replace")
    except (OSError, AttributeError):  # closed, a terminal; a system without pread
        return ""
