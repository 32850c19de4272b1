"""What a task sees: checkpoints, metrics, progress, shared steps."""
