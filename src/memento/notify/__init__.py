"""Tell people about a run: by console, file, mail, and everything that Apprise reaches.

Knows: events. May not know: the runner, the store.
"""
