"""Put back what a task has changed of its process, of its loggers and of libraries."""
