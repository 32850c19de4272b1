"""`memento schema`: what a command prints with --json, as JSON Schema (draft 2020-12).

Knows: the files in `schemas/`, one for each command and version. May not know: commands.

Fields may be added to a version; one that goes, or means something else, makes a new version.
"""

from __future__ import annotations

import os
import sys

from memento.cli.exit_codes import UsageError
from memento.suggest import nearest

FOLDER = os.path.join(os.path.dirname(__file__), "schemas")


def names() -> list[str]:
    """Return the schemas that there are, like "ls/1"."""
    stems = [name[: -len(".json")] for name in sorted(os.listdir(FOLDER)) if name.endswith(".json")]
    return ["/".join(stem.rsplit(".", 1)) for stem in stems]


def text_of(name: str) -> str:
    """Return the schema with this name ("ls/1"), or the newest version of a command's ("ls", "memento.ls")."""
    known = names()
    asked = name.strip().removeprefix("memento.")
    versions = sorted(
        (one for one in known if one.split("/")[0] == asked), key=lambda one: int(one.rpartition("/")[2])
    )
    found = asked if asked in known else versions[-1] if versions else None
    if found is None:
        commands = sorted({one.split("/")[0] for one in known})
        near = nearest(asked, commands)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(commands)}."
        raise UsageError(f"there is no schema {name!r}; {hint}")
    with open(os.path.join(FOLDER, f"{found.replace('/', '.')}.json"), encoding="utf-8") as file:
        return file.read()


def print_schema(name: str) -> None:
    """Print one schema, or the names of all."""
    sys.stdout.write(text_of(name) if name else "".join(f"{one}\n" for one in names()))
