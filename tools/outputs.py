"""Run the examples of a page, and write below them what they print: python tools/outputs.py README.md

The page's blocks of Python are one script. A block of text that follows the comment <!-- prints --> is what the block
of Python above it prints; after <!-- prints: COMMAND -->, what a command prints in the script's folder afterwards. With
--check nothing is written, and what is stale is shown; times, and small differences of numbers, do not count.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- prints(?:: (.*?))? -->\n\Z")
END = "\x1e"  # what the script prints after each block
TIME = re.compile(r"\b\d+(\.\d+)? (µs|ms|s|min|h)\b")
FLOAT = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e[+-]?\d+)?(?![\w.])")
# Frames of libraries in a traceback: whose lines they are depends on the machine.
LIBRARY = re.compile(
    r'(?:^ +File "[^"]*(?:site-packages|lib/python)[^"]*", .*\n(?:^(?! +File ) {8,}.*\n)*)+', re.MULTILINE
)
CARETS = re.compile(r"^ *[~^]+ *\n", re.MULTILINE)  # Python 3.10 writes none
TOLERANCE = 0.05  # from one release of scikit-learn to the next


class Shown(NamedTuple):
    """Text of a page that is printed by something: where it stands, the number of its block, or its command."""

    start: int
    end: int
    block: int
    command: str | None


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a language."""
    return [block[2] for block in BLOCK.finditer(page) if block[1] == language]


def shown(page: str) -> list[Shown]:
    """Return the marked blocks of text."""
    found, block = [], -1
    for match in BLOCK.finditer(page):
        block += match[1] == "python"
        mark = MARK.search(page[: match.start()])
        if match[1] == "text" and mark:
            found.append(Shown(match.start(2), match.end(2), block, mark[1]))
    return found


def run(page: str, folder: Path, name: str) -> tuple[list[str], str]:
    """Run a page's Python in a folder; return what each block printed, and all that came on stderr."""
    script = folder / f"{name}.py"
    script.write_text("".join(f'{text}print(end="{END}")\n' for text in blocks(page, "python")), "utf-8")
    done = _called([sys.executable, script.name], folder)
    if done.returncode:
        raise SystemExit(f"{name}.py ended with status {done.returncode}:\n{done.stderr}")
    return done.stdout.split(END), done.stderr


def renewed(page: str, name: str) -> str:
    """Return a page with what its blocks print now."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent).resolve() / "project"
        folder.mkdir()
        (folder / "pyproject.toml").touch()
        printed, _ = run(page, folder, name)
        pieces, last = [], 0
        for one in shown(page):
            text = printed[one.block] if one.command is None else _called(one.command, folder).stdout
            text = LIBRARY.sub("      ...\n", text.replace(f"{folder}/", ""))
            lines = [line.rstrip() for line in text.strip("\n").split("\n")]
            pieces += [page[last : one.start], "\n".join(lines) + "\n"]
            last = one.end
        return "".join([*pieces, page[last:]])


def _called(command: list[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    env = {name: value for name, value in os.environ.items() if not name.startswith("MEMENTO_")}
    return subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env={**env, "PATH": path, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def stale(page: str, now: str) -> list[str]:
    """Return how two states of a page differ, line by line; nothing where they say the same."""
    if len(shown(page)) == len(shown(now)) and all(
        same(page[one.start : one.end], now[two.start : two.end])
        for one, two in zip(shown(page), shown(now), strict=True)
    ):
        return []
    return list(difflib.unified_diff(page.splitlines(), now.splitlines(), "the page", "now", lineterm=""))


def same(one: str, other: str) -> bool:
    """Tell whether two outputs say the same, but for times, spaces, and the last digits of numbers."""
    texts = [CARETS.sub("", TIME.sub("TIME", text)) for text in (one, other)]
    numbers = [list(map(float, FLOAT.findall(text))) for text in texts]
    words = [FLOAT.sub("NUMBER", text).split() for text in texts]
    return words[0] == words[1] and all(
        math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE / 10) for a, b in zip(*numbers, strict=True)
    )


def main(arguments: list[str]) -> None:
    """Renew the pages that are named, or check them."""
    check = "--check" in arguments
    for path in [Path(argument) for argument in arguments if argument != "--check"]:
        page = path.read_text("utf-8")
        now = renewed(page, path.stem.lower())
        differs = stale(page, now)
        print("\n".join(differs) or f"{path}: what it shows is what is printed")
        if differs and check:
            raise SystemExit(f"{path} is stale: python tools/outputs.py {path}")
        if differs:
            path.write_text(now, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
