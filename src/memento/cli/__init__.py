"""The command line: `memento ...`.

Knows: how to start it without cost. May not know: any room until a command needs it.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line; the console script's entry point."""
    import sys

    from memento.cli.app import app

    if sys.argv[1:2] != ["completion"] or sys.argv[3:4] != ["--"]:
        app()
        return
    # Somebody waits, with a finger on the key: without what typer needs to read arguments, which takes 100 ms.
    from typer.main import get_command

    from memento.cli.completion import print_words

    print_words(sys.argv[2], sys.argv[4:], get_command(app))
