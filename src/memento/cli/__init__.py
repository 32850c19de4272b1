"""The command line: `memento ...`.

Knows: how to start it without cost. May not know: any room until a command needs it.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; the console script's entry point."""
    from memento.cli.app import app

    app()
