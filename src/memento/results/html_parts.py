"""Pieces of HTML that can be read wherever a notebook is: on light and dark themes, also where styles are taken out.

Knows: HTML. May not know: which theme there is, results, events.

Text keeps the colour of the theme; what is to be seen has a translucent ground and a bar on its left. A colour of text
that has enough contrast on white and on black does not exist, and which theme a page has is told to nobody.
"""

from __future__ import annotations

import html

from memento.wording import safe_text

FAILED, WARNED, DONE, CACHED = (209, 36, 47), (191, 135, 0), (46, 139, 87), (74, 163, 181)
TINT = 0.16  # how much of the ground is ours
CODE = "var(--jp-code-font-family, var(--vscode-editor-font-family, ui-monospace, monospace))"
_TRACE = 8_000  # characters of a traceback


def marked(colour: tuple[int, int, int]) -> str:
    """Return the style of what is marked with a colour."""
    red, green, blue = colour
    return (
        f"background-color:rgba({red},{green},{blue},{TINT});border-left:3px solid rgb({red},{green},{blue})"
    )


def rgb(colour: tuple[int, int, int]) -> str:
    """Return a colour as CSS has it."""
    return f"rgb({colour[0]},{colour[1]},{colour[2]})"


def traceback_block(text: str) -> str:
    """Return a traceback, or what a task printed last, in letters of one width; it scrolls and does not wrap."""
    shown = text if len(text) <= _TRACE else "…" + text[-_TRACE:]
    return (
        f'<pre style="white-space:pre;overflow:auto;max-height:24em;font-family:{CODE};font-size:90%;line-height:1.35;'
        'text-align:left;padding:.5em;margin:.3em 0;background-color:rgba(127,127,127,.12)">'
        f"{escape(shown)}</pre>"
    )


def escape(text: str) -> str:
    """Return text of anybody's as HTML that shows it, and does nothing else."""
    return html.escape(safe_text(text))
