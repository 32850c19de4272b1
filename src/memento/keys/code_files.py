"""Experiments that are programs: their code is files, to which no function or class of this process leads.

Knows: where files lie in the project, how files are read. May not know: how a program is run.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from memento.keys.project_files import count_as_project, place_of_file

if TYPE_CHECKING:
    from memento.keys.ast_normal_form import Found

COMMAND = "command:arguments"  # what stands under this name in a version of the code
_MOST = 1 << 20  # bytes; what is larger is data, not code


class Program(ABC):
    """An experiment that runs another program for each task."""

    @abstractmethod
    def __call__(self, context: Any, config: Any) -> Any:
        """Run the program for one task."""

    @abstractmethod
    def check(self, matrix: Any) -> None:
        """Refuse a matrix that the program cannot be run with, before anything runs."""

    @abstractmethod
    def text(self) -> str:
        """Return the program and its arguments, as one would write them."""

    @property
    @abstractmethod
    def program(self) -> str:
        """What is run, in a word."""

    @abstractmethod
    def made_with(self) -> object:
        """Return what tells this experiment from others of the same file, as plain values."""

    @abstractmethod
    def files(self) -> Sequence[tuple[str, str]]:
        """Return the files that may hold its code, and the module that each is run as; "" for a script."""

    @property
    @abstractmethod
    def program_file(self) -> str:
        """The file that is run, if it was named by its path; else ""."""

    @abstractmethod
    def unfollowed(self) -> Sequence[str]:
        """Return what may be code too and cannot be seen before the tasks run."""

    @property
    def place(self) -> str:
        """The first of its files that is the project's, by its path in it; where none is, the program."""
        for file, _ in self.files():
            count_as_project(file)
            place = place_of_file(file)
            if place is not None:
                return place
        return self.program

    def code(self) -> Iterator[tuple[str, str, Found | str]]:
        """Yield what counts as its code: a name, what a digest is made of, and what people may read."""
        from memento.keys.ast_normal_form import Found, normal_form
        from memento.keys.find_source import tree_of_file
        from memento.keys.imported_modules import imported_beside

        told = self.text()
        yield COMMAND, told, f"arguments = {told}"
        for file, module in self.files():
            place = place_of_file(file)
            tree = tree_of_file(file) if file.endswith((".py", ".pyw")) else None
            if place is None:
                continue
            if tree is None:
                # The program itself counts however large it is; of the others, what is large is data.
                content = _content(file, None if file == self.program_file else _MOST)
                if content is not None:
                    yield f"{place}:text", content[0], f"# {place}:1\n{content[1]}"
                continue
            yield f"{place}:script", normal_form(tree), Found(tree, "script", file, 1)
            beside = "" if module else os.path.dirname(file)
            for name, found in imported_beside(tree, module.rpartition(".")[0], beside).items():
                yield f"module:{name}", normal_form(found.tree), found


def _content(file: str, most: int | None) -> tuple[str, str] | None:
    """Return what a digest is made of, and what people may read; None for what is larger, or cannot be read."""
    try:
        if most is not None and os.path.getsize(file) > most:
            return None
        with open(file, "rb") as stream:
            data = stream.read()
    except OSError:
        return None
    if len(data) > _MOST or b"\0" in data:
        return blake2b(data, digest_size=16).hexdigest(), f"<{len(data):,} bytes>"
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return text, text
