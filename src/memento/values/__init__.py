"""Values as bytes: how each type is written and read, where the bytes go, checkpoints."""
