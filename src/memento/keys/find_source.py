"""Find the source of functions and classes that run, also where their file was edited meanwhile.

Knows: texts of files and notebook cells, syntax trees, code objects. May not know: how values are encoded.

Nothing here imports a module or runs a user's code. A file that was written since the program started need not be what
runs: then a function is taken from a text only where it compiles to the very code that runs, wherever in the file it
stands by now. All texts that were read of a file are kept: code that was edited later is still found in its own.
Long because which text a definition is looked up in depends on how it is found there.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from memento import system
from memento.clock import SYSTEM_CLOCK
from memento.keys.ast_normal_form import Found, bytecode_form
from memento.keys.class_body import methods
from memento.keys.global_names import module_bindings
from memento.keys.names import file_of_module, is_project_package
from memento.keys.project_files import script

_OPTIMIZED = 0x1  # code of functions
_MOST_TEXTS = 8  # of one file; who edits more often while a program lives runs the latest

Candidate = tuple[str, Any]  # a definition with its qualified name


class Source:
    """One text of a file or cell."""

    def __init__(self, text: str | bytes, file: str, settled: bool) -> None:
        self.text = text
        self.file = file  # as code objects name it
        # Nobody has written the file since the program started: what stands there runs.
        self.settled = settled

    @functools.cached_property
    def tree(self) -> ast.Module | None:
        """Its syntax tree, never to be changed; None where it cannot be parsed."""
        tree: ast.Module | None = _compile(self.text, "<unknown>", ast.PyCF_ONLY_AST)
        return tree

    @functools.cached_property
    def _definitions(self) -> dict[int | str, list[Candidate]]:
        """Functions and lambdas by the line on which they begin, classes by their qualified name."""
        found: dict[int | str, list[Candidate]] = {}
        for name, definition in _definitions(self.tree) if self.tree is not None else ():
            place = name if isinstance(definition, ast.ClassDef) else first_line(definition)
            found.setdefault(place, []).append((name, definition))
        return found

    @functools.cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """What the import statements of the text bind, as `module_bindings` tells it."""
        return module_bindings(self.tree) if self.tree is not None else {}

    @functools.cached_property
    def _compiled(self) -> dict[str, list[tuple[str, CodeType]]]:
        """All functions of the text as this interpreter compiles them, by their form."""
        found: dict[str, list[tuple[str, CodeType]]] = {}
        todo = [("", _compile(self.text, self.file))]
        while todo:
            prefix, outer = todo.pop()
            for code in getattr(outer, "co_consts", ()):
                if isinstance(code, CodeType):
                    name = prefix + code.co_name
                    found.setdefault(bytecode_form(code), []).append((name, code))
                    todo.append((f"{name}.<locals>." if code.co_flags & _OPTIMIZED else f"{name}.", code))
        return found

    def function(self, code: CodeType, qualname: str) -> Candidate | None:
        """Return the definition that a code object was compiled from, if it stands in this text."""
        if self.tree is None:
            return None
        if not self.settled and not _is_rewritten(code):
            same = self._compiled.get(bytecode_form(code))
            if not same:
                return None
            line = code.co_firstlineno
            code = min(same, key=lambda one: (one[0] != qualname, abs(one[1].co_firstlineno - line)))[1]
        candidates = [
            (name, definition)
            for name, definition in self._definitions.get(code.co_firstlineno, ())
            if getattr(definition, "name", "<lambda>") == code.co_name and _same_arguments(definition, code)
        ]
        if len(candidates) > 1:
            candidates = _by_columns(candidates, code) or _by_code(candidates, code)
        return candidates[0] if candidates else None

    def classes(self, qualname: str) -> list[Any]:
        """Return the class definitions of a qualified name; several where it depends on something which is made."""
        return [definition for _, definition in self._definitions.get(qualname, ())]


def _is_rewritten(code: CodeType) -> bool:
    """Say whether an import hook compiled more than the text, as pytest does of assertions: no text compiles to it."""
    return any(name.startswith("@") for name in code.co_names)


def _compile(text: str | bytes, file: str, flags: int = 0) -> Any:
    """Compile a text without the warnings that its user has seen already; None where it cannot be compiled."""
    try:
        with system.quiet():
            return compile(text, file, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# -- texts -----------------------------------------------------------------------------------------------

_texts: dict[str, list[Source]] = {}  # by file, the latest first; those of a process, as its modules are
_stamps: dict[str, Any] = {}
_instead: list[Callable[[str], str | None]] = []


def read_instead(text_of: Callable[[str], str | None]) -> None:
    """Take the texts of files from here, where it has one: their code was loaded from that, whatever they hold now."""
    _instead[:] = [text_of]


def sources(file: str, space: dict[str, Any] | None = None) -> list[Source]:
    """Return the texts that were read of a file or cell, the latest first."""
    text = _instead[0](file) if _instead and file not in _texts else None
    if text is not None:
        _texts[file], _stamps[file] = [Source(text, file, True)], _instead
    if _stamps.get(file) is _instead:
        return _texts[file]
    stamp = _stamp(file)
    if stamp is None:
        return _sources_without_file(file, space)
    if _stamps.get(file) != stamp:
        settled = max(stamp[:2]) / 1e9 < _program_start()
        with contextlib.suppress(OSError), open(file, "rb") as stream:
            _keep(file, stream.read(), settled)  # Python reads the encoding by itself
        if not settled:
            _keep(file, _told_by_loader(space), settled)
        _stamps[file] = stamp
    return _texts.get(file, [])


def tree_of_file(file: str) -> ast.Module | None:
    """Return the syntax tree of a file as it is now, or None; never to be changed."""
    found = sources(file)
    return found[0].tree if found else None


def _stamp(file: str) -> tuple[int, ...] | None:
    if file[:1] == "<":
        return None
    try:
        status = os.stat(file)
    except OSError:
        return None
    # A file that replaces another may bring along an old time of its content.
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _keep(file: str, text: str | bytes | None, settled: bool) -> None:
    known = _texts.setdefault(file, [])
    if text and (not known or text != known[0].text):
        for older in known:
            older.settled = False  # what runs may have been loaded from either
        known.insert(0, Source(text, file, settled))
        del known[_MOST_TEXTS:]


def _told_by_loader(space: dict[str, Any] | None) -> str | None:
    """Return the text that a module of a worker was loaded from: the file's as it was when the run began."""
    loader = (space or {}).get("__loader__")
    if not type(loader).__module__.startswith("memento."):
        return None
    try:
        return str(loader.get_source(str((space or {}).get("__name__"))))  # type: ignore[union-attr]
    except Exception:
        return None


def _sources_without_file(file: str, space: dict[str, Any] | None) -> list[Source]:
    """Return the texts of a cell, of a module in an archive, or of a file that is gone."""
    if "linecache" in sys.modules or (space or {}).get("__loader__") is not None:
        import linecache

        try:
            lines = linecache.getlines(file, space)
        except Exception:
            lines = []
        if _stamps.get(file) is not lines:  # a cell's lines stay the same list
            if lines:
                _texts[file] = [Source("".join(lines), file, True)]
            _stamps[file] = lines
    return _texts.get(file, [])


@functools.lru_cache(maxsize=1)
def _program_start() -> float:
    return system.program_start(SYSTEM_CLOCK.now()) - 1  # clocks and file systems round


# -- functions -------------------------------------------------------------------------------------------


def find_function(func: FunctionType) -> Found | None:
    """Return where a function is defined, or None where there is no source that fits it."""
    file = func.__code__.co_filename
    for source in sources(file, func.__globals__):
        candidate = source.function(func.__code__, func.__qualname__)
        if candidate is not None:
            return Found(candidate[1], candidate[0], file, candidate[1].lineno)
    return None


def _definitions(tree: ast.Module) -> Iterator[Candidate]:
    """Yield every function, class and lambda of a module with its qualified name."""
    todo: list[tuple[str, ast.AST]] = [("", tree)]
    while todo:
        prefix, owner = todo.pop()
        below: list[tuple[str, ast.AST]] = []
        for child in ast.iter_child_nodes(owner):
            inside = prefix
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
                name = prefix + getattr(child, "name", "<lambda>")
                yield name, child
                inside = f"{name}." if isinstance(child, ast.ClassDef) else f"{name}.<locals>."
            below.append((inside, child))
        todo += reversed(below)


def first_line(definition: ast.AST) -> int:
    """Return the line on which a definition begins, its first decorator included."""
    nodes: list[Any] = [definition, *getattr(definition, "decorator_list", ())]
    return min(int(item.lineno) for item in nodes)


def _same_arguments(definition: Any, code: CodeType) -> bool:
    """Say whether a definition fits a code object; the file may have been edited since it was read."""
    args: ast.arguments = definition.args
    names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    count = code.co_argcount + code.co_kwonlyargcount
    # Within a class `__x` is `_Class__x` in the code.
    return len(names) == count and all(map(str.endswith, code.co_varnames[:count], names))


def _by_columns(candidates: list[Candidate], code: Any) -> list[Candidate]:
    if not hasattr(code, "co_positions"):  # before 3.11
        return []
    spans = {(line, column) for line, _, column, _ in code.co_positions() if line and column is not None}
    spans = {span for span in spans if span != (code.co_firstlineno, 0)}  # the preamble

    def holds(definition: Any) -> bool:
        body = definition.body if isinstance(definition, ast.Lambda) else definition
        start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
        return bool(spans) and all(start <= span < end for span in spans)

    # Of nested ones the outer holds the inner's places too: the smallest is meant.
    held = [c for c in candidates if holds(c[1])]
    return sorted(held, key=lambda c: len(ast.dump(c[1])))[:1]


def _by_code(candidates: list[Candidate], code: CodeType) -> list[Candidate]:
    for candidate in candidates:
        if not isinstance(candidate[1], ast.Lambda):
            continue
        outer = compile(ast.Expression(body=candidate[1]), "<lambda>", "eval", dont_inherit=True)
        inner = [c for c in outer.co_consts if isinstance(c, CodeType)]  # lambdas among the defaults too
        if _outline(code) in map(_outline, inner):
            return [candidate]
    return []


def _outline(code: CodeType) -> list[Any]:
    """Return instructions with what they mean; a captured name, compiled alone, is a global."""
    import dis

    steps: list[Any] = []
    for step in dis.get_instructions(code):
        name = "LOAD" if step.opname in ("LOAD_DEREF", "LOAD_GLOBAL", "LOAD_CLOSURE") else step.opname
        value = _outline(step.argval) if isinstance(step.argval, CodeType) else repr(step.argval)
        steps.append((name, value))
    return steps


def defaults_of(func: FunctionType) -> dict[str, Any]:
    """Return the defaults of a function's parameters."""
    values, count = func.__defaults__ or (), func.__code__.co_argcount
    names = func.__code__.co_varnames[count - len(values) : count]
    return dict(zip(names, values, strict=True)) | (func.__kwdefaults__ or {})


def filled_cells(func: FunctionType) -> dict[str, Any]:
    """Return what a function captured, by name; less the cells to which nothing was assigned yet."""
    found = {}
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def literal_defaults(found: Found | None) -> dict[str, Any]:
    """Return the defaults of parameters that are written out where a function is defined."""
    args = getattr(found.tree, "args", None) if found is not None else None
    if args is None:
        return {}
    positional = [*args.posonlyargs, *args.args]
    given = [*zip(reversed(positional), reversed(args.defaults), strict=False)]
    given += zip(args.kwonlyargs, args.kw_defaults, strict=True)
    return {arg.arg: default.value for arg, default in given if isinstance(default, ast.Constant)}


def imported_as(name: str, value: Any, file: str) -> str | None:
    """Return the name by which the import statement of a file took a library's object; None for all else.

    What a library calls it inside differs between its versions.
    """
    texts = sources(file)
    module, attribute = texts[0].imports.get(name, ("", "")) if texts else ("", "")
    library = sys.modules.get(module)
    if not isinstance(library, ModuleType) or is_project_package(library):
        return None  # an object may stand in a module's place
    held = vars(library).get(attribute) if attribute else library
    return f"{module}:{attribute}".rstrip(":") if held is value else None


# -- classes ---------------------------------------------------------------------------------------------


def find_class(cls: type) -> Found | None:
    """Return where a class is defined, or None; of several definitions the last that has its methods or constants."""
    # What was put into the class later, or made by a decorator, stands elsewhere.
    own = [f for f in methods(cls) if f.__qualname__.startswith(f"{cls.__qualname__}.")]
    named: Found | None = None
    for file in dict.fromkeys(_files_of(cls, own)):
        functions = [f for f in own if f.__code__.co_filename == file]
        for source in sources(file, vars(sys.modules.get(cls.__module__, sys))):
            for definition in reversed(source.classes(cls.__qualname__)):
                found = Found(definition, cls.__qualname__, file, definition.lineno)
                if _fits(definition, cls, functions, source):
                    return found
                if not functions and named is None:
                    named = found
    return named  # its constants were changed after it was made


def _files_of(cls: type, own: list[FunctionType]) -> Iterator[str]:
    yield from (f.__code__.co_filename for f in own)
    is_main = cls.__module__ == "__main__"
    # A worker's `__main__` has none.
    file = file_of_module(cls.__module__) or (script().file if is_main else "")
    if file:
        yield file
    elif is_main:
        cells = getattr(sys.modules.get("linecache"), "cache", {})
        yield from reversed(
            [name for name, entry in cells.copy().items() if len(entry) == 4 and not entry[1]]
        )


def _fits(definition: Any, cls: type, functions: list[FunctionType], source: Source) -> bool:
    """Say whether a class has the methods that its definition in a text has, and the constants."""
    start, end = first_line(definition), definition.end_lineno
    for func in functions:
        found = source.function(func.__code__, func.__qualname__)
        if found is None or not start <= first_line(found[1]) <= end:
            return False
    if functions:
        return True
    values = literal_attributes(definition)
    held = vars(cls)
    members = held.get("_member_map_", {})  # of an enum
    return all(
        name not in held or _is_same(getattr(members.get(name), "_value_", held[name]), value)
        for name, value in values.items()
    )


def _is_same(held: Any, written: Any) -> bool:
    return type(held) is not type(written) or held == written or held != held


def assigned_attributes(definition: Any) -> dict[str, Any]:
    """Return the expressions that the body of a class assigns to names, the last of each."""
    found: dict[str, Any] = {}
    for statement in definition.body:
        targets: Iterable[Any] = statement.targets if isinstance(statement, ast.Assign) else ()
        if isinstance(statement, ast.AnnAssign):
            targets = (statement.target,)
        found.update({target.id: statement.value for target in targets if isinstance(target, ast.Name)})
    return found


def literal_attributes(definition: Any) -> dict[str, Any]:
    """Return the attributes whose values are written out in the body of a class."""
    assigned = assigned_attributes(definition)
    return {name: value.value for name, value in assigned.items() if isinstance(value, ast.Constant)}
