"""What a task sees: checkpoints, metrics, progress, shared steps."""

from memento.context.context import Context
from memento.context.space import Resources, StopTask, TaskSpace

__all__ = ["Context", "Resources", "StopTask", "TaskSpace"]
