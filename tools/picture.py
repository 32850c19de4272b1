"""Draw docs/demo.svg: what `memento demo` shows, taken from a real run on a real terminal.

Needs `pip install pyte rich` and the demo's environment: python tools/picture.py .venv-demo/bin/memento 6.0
(the second argument: at which second of the run the first picture is taken)
"""

from __future__ import annotations

import itertools
import os
import pty
import select
import struct
import sys
import tempfile
import time
from pathlib import Path

import pyte
from rich.console import Console
from rich.text import Text

COLUMNS, LINES = 100, 30
DOCS = Path(__file__).resolve().parent.parent / "docs"


def record(command: list[str], until: float) -> tuple[pyte.Screen, bytes]:
    """Run a command on a terminal; return the screen `until` seconds after its start, and all it printed."""
    import fcntl
    import termios

    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    folder = Path(tempfile.mkdtemp()) / "paper"
    folder.mkdir()
    pid, master = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.chdir(folder)
        os.execv(command[0], command)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    began, printed = time.monotonic(), b""
    while True:
        ready, _, _ = select.select([master], [], [], 0.1)
        if ready:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            data = data.replace(str(folder).encode(), b"~/paper")  # no machine's folder in the picture
            printed += data
            if time.monotonic() - began < until:
                stream.feed(data)
    os.waitpid(pid, 0)
    return screen, printed


def style_of(cell: pyte.screens.Char) -> str:
    """Name a cell's look as rich does."""
    color = "" if cell.fg == "default" else f"#{cell.fg}" if len(cell.fg) == 6 else cell.fg
    return " ".join(filter(None, ["bold" if cell.bold else "", color.replace("brown", "yellow")]))


def lines_of(screen: pyte.Screen) -> list[Text]:
    """Turn a screen into styled lines, without the empty ones at its end."""
    lines = []
    for y in range(LINES):
        line = Text()
        for style, cells in itertools.groupby((screen.buffer[y][x] for x in range(COLUMNS)), style_of):
            line.append("".join(cell.data for cell in cells), style)
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


def draw(lines: list[Text], name: str, title: str) -> None:
    """Write an SVG; the font is named, not fetched."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)
    for line in lines:
        console.print(line)
    svg = console.export_svg(title=title)
    start, end = svg.find("@font-face"), svg.rfind("@font-face")
    if start >= 0:
        close = svg.find("}", end) + 1
        svg = svg[:start] + svg[close:]
    (DOCS / name).write_text(svg)


if __name__ == "__main__":
    memento = os.path.abspath(sys.argv[1])
    running, printed = record([memento, "demo"], until=float(sys.argv[2]))
    ended = pyte.Screen(COLUMNS, LINES)
    pyte.ByteStream(ended).feed(printed)
    draw(
        [*lines_of(running), Text(), *lines_of(ended)], "demo.svg", "memento demo: while it runs, and its end"
    )
