"""What makes attempts at tasks, wherever they run: code and values taken along, one attempt, its traces put back."""
