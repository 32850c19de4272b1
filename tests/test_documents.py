"""Every command line of the pages works: it is run in a project like the one that the pages speak of.

A line that begins with `memento` or `$ memento` in a block (bash, console, text, or indented) is run, alone, or after
the lines above it in its block where it needs them. One in a block whose fence says more than its language, as
"```bash needs a server", is only looked at: the command and its options must be there. So are those in running text.

In the project (`tests/data/documents`) stands a grid of which two tasks failed, once more in ../laptop. What looks like
a key becomes the key of a failed task, the next one that of a done one; commands that steer a run are given one; the
matrix of a --command has the parameters that it takes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from memento.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "src" / "memento" / "SKILL.md",
]
MATRICES = ("m.yaml", "grid.yaml", "small.yaml")  # other names that pages have for a matrix
STEERING = {"pause", "resume", "stop", "cancel", "first", "resize"}
MAY_FAIL = {
    "run": "failed",
    "retry": "tasks failed",
    "run-one": "",
    "diff": "",
}  # what may exit with 1, and what it says then
GENEROUS = 300  # seconds; a test that needs them fails

BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^(?:\$ +)?(memento +(?:[^\n\\]|\\\n|\\.)+)", re.MULTILINE)
INDENTED = re.compile(r"^ {4}(memento [^\n]+)", re.MULTILINE)
INLINE = re.compile(r"`(memento [^`\n]+)`")
KEY = re.compile(r"(?<![\w./=:-])(?:KEY\b|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{4,32}(?![\w./:-]))")


class Line(NamedTuple):
    """A command line of a page, and those above it in its block."""

    page: Path
    number: int
    text: str
    before: tuple[str, ...] = ()
    runs: bool = True

    @property
    def command(self) -> str:
        return self.text.split()[1]

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.page.name}:{self.number}"


def lines_of(page: Path) -> Iterator[Line]:
    """Yield the command lines of a page."""
    text = page.read_text("utf-8")
    for block in BLOCK.finditer(text):
        if block[1] not in ("", "bash", "console", "sh", "shell", "text"):
            continue
        before: list[str] = []
        for found in LINE.finditer(block[3]):
            if block[1] == "text" and not found[0].startswith("$"):
                continue
            number = text.count("\n", 0, block.start(3) + found.start()) + 1
            yield Line(page, number, found[1], tuple(before), runs=not block[2].strip())
            before.append(found[1])
    rest = BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)
    for pattern, runs in ((INDENTED, True), (INLINE, False)):
        for found in pattern.finditer(rest):
            number = rest.count("\n", 0, found.start()) + 1
            yield Line(page, number, found[1], runs=runs)


LINES = [line for page in PAGES for line in lines_of(page)]


@cache
def commands() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, one in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]  # it is a group
        found[name] = one
        found |= {f"{name} {inner}": other for inner, other in getattr(one, "commands", {}).items()}
    return found


def wrong(text: str) -> str:
    """Say what is wrong with a command line, as far as can be seen without calling it; "" where nothing is."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    words = list(lexer)[1:]
    end = next((i for i, word in enumerate(words) if re.fullmatch(r"[|&;<>()]+", word)), len(words))
    words = words[:end]
    name = " ".join(words[:2]) if " ".join(words[:2]) in commands() else words[0]
    if name.startswith("-"):
        return ""
    if name not in commands():
        return f"there is no command {name!r}"
    known = {option for one in commands()[name].params for option in (*one.opts, *one.secondary_opts)}
    known |= {"--help", "-h"}
    given = [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    unknown = {word if word.startswith("--") else word[:2] for word in given} - known
    return f"{name} has no {', '.join(sorted(unknown))}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_command_that_a_page_names_is_there_with_its_options(page: Path) -> None:
    problems = {line.place: wrong(line.text) for line in lines_of(page)}
    assert not {place: problem for place, problem in problems.items() if problem}


def test_a_command_or_an_option_that_is_not_there_is_found() -> None:
    assert wrong("memento lss") == "there is no command 'lss'"
    assert wrong("memento ls --fail --json -x # --why") == "ls has no --fail, -x"
    assert wrong('memento notify test --json "a b" | grep --what') == ""


# -- run them


class Prepared(NamedTuple):
    """A folder with a project, how it was when it was made, and keys of its tasks."""

    folder: Path
    made: Path
    failed: str
    done: str

    def anew(self) -> Path:
        """Return the project as it was made, in the folder in which its runs were started."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.made, self.folder)
        return self.folder / "project"


def environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    own = {name: value for name, value in os.environ.items() if not name.startswith("MEMENTO_")}
    return {**own, "PATH": path, "COLUMNS": "100", "HOME": str(home)}


def shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {text}"],
        cwd=folder,
        env=environment(folder.parent / "home"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=GENEROUS,
    )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(ROOT / "tests" / "data" / "documents", folder / "project")
    project = folder / "project"
    (project / "pyproject.toml").touch()
    (folder / "home" / ".config" / "fish" / "completions").mkdir(parents=True)
    for name in MATRICES:
        shutil.copy(project / "matrix.yaml", project / name)
    for target in ("experiment.py:train", "train.py:train"):
        ran = shell(f"memento run {target} matrix.yaml -j 2", project)
        assert "2 of 8 tasks failed" in ran.stderr, ran.stderr
    for other in ("laptop", "other"):
        (folder / other).mkdir()
        shutil.copytree(project / "memento-store", folder / other / "memento-store")
    tasks = json.loads(shell("memento ls --json", project).stdout)["tasks"]
    keys = {task["status"]: task["key"] for task in tasks}
    made = tmp_path_factory.mktemp("made") / "documents"
    shutil.copytree(folder, made)
    return Prepared(folder, made, keys["failed"], keys["done"])


def with_keys(text: str, keys: list[str]) -> str:
    """Put real keys for those of a page, the same for the same."""
    names = dict.fromkeys(KEY.findall(text))
    real = dict(zip(names, keys, strict=False))
    text = KEY.sub(lambda found: real.get(found[0], keys[0]), text)
    return re.sub(r"\bdiff \d+ \d+", "diff 1 2", text)  # two of the runs that there are


def works(line: Line, folder: Path, keys: list[str]) -> subprocess.CompletedProcess[str] | None:
    """Return what went wrong with a line; None where nothing did."""
    taken = sorted(set(re.findall(r"\{(\w+)\}", line.text))) if "--command" in line.text else []
    for name in ("matrix.yaml", *MATRICES) if taken else ():
        (folder / name).write_text("parameters:\n" + "".join(f"  {one}: [1, 2]\n" for one in taken))
    if line.command == "export":
        (folder / "results.csv").unlink()  # what `import` reads is what `export` writes
    ran = shell(with_keys(line.text, keys), folder)
    may_fail = ran.returncode == 1 and line.command in MAY_FAIL and MAY_FAIL[line.command] in ran.stderr
    fine = (ran.returncode == 0 or may_fail) and "Traceback (most" not in ran.stderr.replace(
        "    Traceback", ""
    )
    return None if fine else ran


class Live:
    """A run that goes on until the end of the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> list[str]:
        """Start it, and return keys of tasks that run."""
        line = "exec memento run experiment.py:slow matrix.yaml -j 2"
        self._process = subprocess.Popen(
            ["bash", "-c", line],
            cwd=self._folder,
            env=environment(self._folder.parent / "home"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + GENEROUS
        while time.monotonic() < end:
            ran = shell("memento status --json", self._folder)
            for run in json.loads(ran.stdout)["runs"] if ran.returncode == 0 else ():
                if run["status"] == "running" and len(run["now"]) == 2:
                    found: list[str] = run["now"]
                    return found
        raise AssertionError("the run did not begin in time")

    def __exit__(self, *error: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [line for line in LINES if line.runs and line.text != "memento demo"],  # `cli/test_demo.py` runs that one
    ids=lambda line: line.place,
)
def test_a_command_line_of_a_page_works(prepared: Prepared, line: Line) -> None:
    keys = [prepared.failed, prepared.done]
    if line.command in STEERING:
        with Live(prepared.anew()) as running:
            problem = works(line, prepared.folder / "project", running)
    else:
        problem = works(line, prepared.anew(), keys)
        if problem is not None and line.before:
            project = prepared.anew()
            for text in line.before:
                shell(with_keys(text, keys), project)
            problem = works(line, project, keys)
    if problem is not None:
        missing = re.search(r"pip install 'memento-ml\[(\w+)\]'", problem.stderr)
        if missing:
            pytest.skip(f"needs what {missing[1]} brings")
        raise AssertionError(
            f"{line.page}:{line.number}: {line.text}\nexit code {problem.returncode}\n{problem.stdout[-2000:]}\n"
            f"{problem.stderr[-4000:]}"
        )


def test_lines_are_found_wherever_they_stand(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Write `memento ls --failed`.\n\n```bash\n$ memento a \\\n  --b\nother\nmemento c  # why\n```\n"
        "```text\nmemento: an error\n$ memento d\nmemento e\n```\n```python\nmemento = 1\n```\n"
        "```bash needs a server\nmemento f\n```\n\n    memento g\n"
    )
    told = [(line.number, line.text, line.before, line.runs) for line in lines_of(page)]
    assert told == [
        (4, "memento a \\\n  --b", (), True),
        (7, "memento c  # why", ("memento a \\\n  --b",), True),
        (11, "memento d", (), True),
        (18, "memento f", (), False),
        (21, "memento g", (), True),
        (1, "memento ls --failed", (), False),
    ]


def test_what_looks_like_a_key_becomes_one() -> None:
    told = with_keys("memento diff 3f0c 77a9 KEY x=3f0c a/3f0c beef 1234", ["one", "two"])
    assert told == "memento diff one two one x=3f0c a/3f0c beef 1234"
