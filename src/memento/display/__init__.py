"""Show a run while it goes on: on a terminal, in a notebook, or as plain lines.

Knows: events. May not know: the runner, the store. `base.make_display` chooses.
"""
