"""Parameters, values and output with all that steers, quotes or escapes: nothing is escaped from, all comes back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest

import memento
from memento import Config, Context, Memento, system
from memento.errors import MatrixError
from tests.cli.calling import memento as call

HOSTILE = {
    "quotes": "a'b\"c`d",
    "newlines": "a\nb\r\nc\x0b\x85\u2028d",
    "escapes": "\x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f",
    "html": "</td></table><script>alert(1)</script><img src=x onerror=alert(1)>&amp;",
    "path": "../../../../etc/passwd\\..\\x/~$HOME",
    "sql": "x'); DROP TABLE tasks; --",
    "format": "{0.__class__} %s %(x)d {config} ${jndi:x}",
    "rich": "[bold red]x[/bold red] [link=file:///etc/passwd]y[/link] :boom:",
    "direction": "\u202eabc\u2066\ufeff\u200d",
    "surrogate": "\ud800x",
    "zero": "a\0b",
    "long": "x" * 100_000,
}


def experiment(context: Context, config: Config) -> str:
    value = str(config.name)
    print(value.encode("utf-8", "replace").decode("utf-8"))
    context.record({value: 1.0})
    if config.fails:
        raise ValueError(value)
    return value


class Tags(HTMLParser):
    """Notes the tags of a page, and what would run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers += [
            name for name, value in attrs if name.startswith("on") or "script:" in (value or "")
        ]


def check_html(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert not tags.tags & {"script", "img", "iframe", "link", "a"}, tags.tags
    assert tags.handlers == []


def check_terminal(text: str) -> None:
    """Nothing that steers a terminal, but for line ends and tabs."""
    assert [
        c for c in text if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f" or c in "\u202e\u2066"
    ] == []


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a grid whose every name and value is hostile."""
    root = tmp_path_factory.mktemp("hostile") / "a 'store'\n<b>"
    runs = Memento(
        experiment,
        name="hos<b>tile'\x1b[2J",
        executor="serial",
        store=root,
        on_error="return",
        progress=False,
    )
    results = runs.run({"parameters": {"name": list(HOSTILE.values()), "fails": [False, True]}})
    assert results is not None
    assert [r.inner for r in results if r.status == "done"] == list(HOSTILE.values())
    assert [str(f.error) for f in results if f.status == "failed"] == list(HOSTILE.values())
    return root


def test_hostile_values_come_back_as_they_were_and_run_nothing(store: Path) -> None:
    results = memento.load(store)
    values = list(HOSTILE.values())
    assert sorted(r.inner for r in results if r.status == "done") == sorted(values)
    # No database has lone surrogates, and PostgreSQL no NUL: names of metrics are the same in all.
    names = {value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00") for value in values}
    assert {name for r in results for name in r.metrics} == names
    frame = results.to_frame()
    assert len(set(frame["name"])) == len(values)  # without the matrix, long ones are cut and have a digest
    with closing(sqlite3.connect(store / "index.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (2 * len(values),)
    assert memento.verify(store).whole
    assert not [path for path in store.parent.iterdir() if path != store], (
        "something was written beside the store"
    )


def test_a_notebook_shows_hostile_values_as_text(store: Path) -> None:
    results = memento.load(store)
    check_html(results._repr_html_())
    check_html(results.failures._repr_html_())
    for result in results:
        show = getattr(result, "_repr_html_", None)
        if show is not None:
            check_html(show())


@pytest.mark.parametrize("command", ["status", "ls", "ls --failed", "verify", "show", "logs"])
def test_a_terminal_shows_hostile_values_as_text(store: Path, command: str) -> None:
    keys = [result.key for result in memento.load(store)] if command in ("show", "logs") else [""]
    for key in keys:
        told = call(*command.split(), *([key] if key else []), "--store", store)
        assert told.out or told.err
        check_terminal(told.out + told.err)


def test_what_is_printed_of_results_and_failures_steers_no_terminal(store: Path) -> None:
    results = memento.load(store)
    check_terminal(repr(results))
    check_terminal(str(results.failures))
    for result in results:
        check_terminal(repr(result))


@pytest.mark.parametrize(
    "kind", ["quotes", "newlines", "escapes", "html", "path", "sql", "format", "zero", "surrogate"]
)
def test_a_parameter_with_a_hostile_name_is_refused_or_works(kind: str, tmp_path: Path) -> None:
    def take(context: Context, config: Config) -> int:
        return int(config.asdict()[HOSTILE[kind]])

    runs = Memento(take, name="take", executor="serial", store=tmp_path / "store", progress=False)
    try:
        results = runs.run({"parameters": {HOSTILE[kind]: [1, 2]}})
    except MatrixError as error:
        check_terminal(str(error))
        return
    assert results is not None
    assert [result.inner for result in results] == [1, 2]
    check_terminal(repr(results))
    check_html(results._repr_html_())
    assert list(results.to_frame()[HOSTILE[kind]]) == [1, 2]


NOT_UTF8 = b"lat\xe9in"
PLAIN = """
from memento import Memento
from memento.executors import Processes
import helper

def experiment(context, config):
    print("printed")
    return config.n + helper.N

if __name__ == "__main__":
    runs = Memento(experiment, executor=Processes(1, copy={copy}), progress=False)
    results = runs.run({{"parameters": {{"n": [1]}}}})
    print(results[0].inner, results[0].was_cached, results[0].log.strip())
"""


@pytest.mark.slow
@pytest.mark.skipif(not system.LINUX, reason="other systems refuse such names")
@pytest.mark.parametrize("copy", [False, None])
@pytest.mark.parametrize("odd", ["folder", "script", "store"])
def test_names_that_are_not_utf8_are_as_good_as_others(tmp_path: Path, odd: str, copy: bool | None) -> None:
    name = os.fsdecode(NOT_UTF8)
    folder = tmp_path / name if odd == "folder" else tmp_path
    folder.mkdir(exist_ok=True)
    script = folder / (f"{name}.py" if odd == "script" else "plain.py")
    script.write_text(PLAIN.format(copy=copy))
    (folder / "helper.py").write_text("N = 1\n")
    store = folder / name / "store" if odd == "store" else folder / "store"
    store.parent.mkdir(exist_ok=True)
    environment = {**os.environ, "MEMENTO_STORE": str(store)}
    for cached in (False, True):
        ran = subprocess.run(
            [sys.executable, script],
            env=environment,
            capture_output=True,
            cwd=folder,
            timeout=300,
            check=False,
        )
        assert (ran.returncode, ran.stdout.decode()) == (0, f"2 {cached} printed\n"), ran.stderr
