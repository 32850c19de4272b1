"""What to run: a declaration, validated and compiled into numbered tasks.

Knows: names, values, rules. May not know: keys of tasks, stores, experiments, executors.

Names are imported on first use: a matrix that is a dict needs no reader of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.matrix.dependencies import execution_order
    from memento.matrix.files import load_file
    from memento.matrix.matrix import Configs, Matrix, generate_configurations
    from memento.matrix.table import TaskTable

__all__ = [
    "Configs",
    "Matrix",
    "TaskTable",
    "execution_order",
    "generate_configurations",
    "load_file",
]

_HOMES = {
    "Configs": "memento.matrix.matrix",
    "Matrix": "memento.matrix.matrix",
    "TaskTable": "memento.matrix.table",
    "execution_order": "memento.matrix.dependencies",
    "generate_configurations": "memento.matrix.matrix",
    "load_file": "memento.matrix.files",
}

__getattr__ = on_first_use(__name__, _HOMES)
