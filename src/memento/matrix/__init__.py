"""What to run: a declaration, validated and compiled into numbered tasks.

Knows: names, values, rules. May not know: keys of tasks, stores, experiments, executors.
"""
