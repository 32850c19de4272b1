"""Keep every result: one folder with an index of records, values, checkpoints, logs.

Knows: how to find, open, read and write a store. May not know: matrices, executors, displays.
"""
