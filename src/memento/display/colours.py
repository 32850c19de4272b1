"""Colours where the user wants them, by what the terminal has.

Knows: rich, and the variables by which users ask for colours or for none. May not know: events, streams.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text


class Colours:
    """Turns styled text into what the terminal takes: colours by what it has, and none where the user wants none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        from rich.console import Console

        self._console = Console(
            force_terminal=True,
            force_interactive=True,
            force_jupyter=False,
            legacy_windows=False,
            no_color=no_colours(environment),
            highlight=False,
            markup=False,
            emoji=False,
        )

    def written(self, text: Text) -> str:
        """Return a text with the sequences that colour it."""
        with self._console.capture() as captured:
            self._console.print(text, end="", soft_wrap=True)
        return captured.get()


def no_colours(environment: Mapping[str, str]) -> bool:
    """Whether the user asks for a terminal without colours: NO_COLOR, or CLICOLOR=0 unless colours are forced."""
    if environment.get("NO_COLOR"):
        return True
    return environment.get("CLICOLOR") == "0" and not forced_colours(environment)


def forced_colours(environment: Mapping[str, str]) -> bool:
    """Whether the user asks for colours also where there is no terminal."""
    forced = (environment.get("FORCE_COLOR", ""), environment.get("CLICOLOR_FORCE", ""))
    return not environment.get("NO_COLOR") and any(one not in ("", "0", "false") for one in forced)
