"""Decide what to run, why, in which order and how long it will take.

Knows: matrices, keys, what the store has. May not know: executors, displays.
"""
