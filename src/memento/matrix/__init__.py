"""What to run: a declaration, validated and compiled into numbered tasks.

Knows: names, values, rules. May not know: keys of tasks, stores, experiments, executors.
"""

from memento.matrix.dependencies import execution_order
from memento.matrix.files import load_file
from memento.matrix.matrix import Configs, Matrix, generate_configurations
from memento.matrix.table import TaskTable

__all__ = ["Configs", "Matrix", "TaskTable", "execution_order", "generate_configurations", "load_file"]
