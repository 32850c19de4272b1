"""What came out: results by task, as frames, by group, and why some failed."""
