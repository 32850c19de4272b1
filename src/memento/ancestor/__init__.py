"""What 1.2.0 had beside experiments: caches of functions, checkpoints in a file, a task manager.

Knows: everything below it. May not know: the command line. Thin, on top of the rest.
"""
