"""Pilots: processes of ours that an engine starts somewhere, and which bring the tasks to an end there."""
