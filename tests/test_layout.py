"""The layout of a store: its paths, and that no other file of the package spells a name of it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import memento
from memento import layout
from memento.layout import Layout

PACKAGE = Path(memento.__file__).parent
# "artifacts", "steps" and "work" are also names of fields: these only where a path is made.
NAMES = {
    *layout.FOLDERS,
    *layout.GENERATIONS,
    layout.INDEX,
    layout.INDEX_SUSPECT,
    layout.INDEX_REBUILT,
    layout.INDEX_SALVAGED,
    layout.INDEX_DAMAGED,
    layout.IGNORED,
    layout.SET_ASIDE,
    layout.DEFINITIONS,
}
COMMON = {
    layout.ARTIFACTS,
    layout.WORK,
    layout.LOOPS,
    layout.STEP_KEYS,
    layout.QUARANTINE,
    layout.BOARD,
    layout.OUTLIVES,
    layout.WRITING,
    layout.STEPS,
    layout.CHECKPOINTS,
    layout.LOGS,
    layout.PAYLOADS,  # an option, too
}
RARE = NAMES - COMMON
# What may be one of them, before a file is read as Python.
SPELLED = re.compile("[\"'](" + "|".join(map(re.escape, sorted(NAMES | COMMON))) + ")[\"'/{]")


def test_paths_lie_below_the_root() -> None:
    store = Layout("/results")
    paths = [store.payloads, store.checkpoints, store.steps, store.step_keys]
    paths += [store.checkpoint("00ff"), store.artifacts("00ff"), store.work("00ff"), store.log("run/1.log")]
    assert len(set(paths)) == len(paths)
    assert all(path.startswith(f"/results{os.sep}") for path in paths)


def test_no_other_file_spells_the_name_of_a_folder_or_file_of_the_store() -> None:
    spelled = [
        f"{path.relative_to(PACKAGE)}:{line}: {name}"
        for path in PACKAGE.rglob("*.py")
        if path.name != "layout.py"
        for text in [path.read_text("utf-8")]
        if SPELLED.search(text)
        for name, line in _spelled(ast.parse(text))
    ]
    assert not spelled, "\n".join(spelled)


def _spelled(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield names as texts, at the beginning of paths, and common words where they are joined to a path."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in RARE:
            yield str(node.value), node.lineno
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            start = str(node.values[0].value)
            if (start.partition("/")[0] in NAMES and "/" in start) or start in RARE:
                yield start, node.lineno
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield from _common([node.right])
        elif isinstance(node, ast.Call) and _makes_path(node.func):
            yield from _common(node.args)


def _makes_path(func: ast.expr) -> bool:
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    text_join = isinstance(func, ast.Attribute) and isinstance(func.value, ast.Constant)
    return name in ("join", "joinpath", "Path", "with_name", "PayloadDir") and not text_join


def _common(parts: list[ast.expr]) -> Iterator[tuple[str, int]]:
    for part in parts:
        if isinstance(part, ast.Constant) and part.value in COMMON:
            yield str(part.value), part.lineno
