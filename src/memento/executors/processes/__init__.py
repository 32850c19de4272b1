"""Worker processes on this machine."""

from memento.executors.processes.supervisor import Processes

__all__ = ["Processes"]
