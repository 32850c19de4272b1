"""The table of what each engine promises says what the executors say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from memento.executors.choose import ENGINES
from memento.executors.futures import Futures

ROOT = Path(__file__).parents[2]
PROMISES = (
    "isolates", "preempts", "resizable", "tells", "keeps_output", "outlives", "shares_memory", "alone",
)  # fmt: skip
POOLS: dict[str, type[Pool]] = {
    "a pool of threads": ThreadPoolExecutor,
    "a pool of processes": ProcessPoolExecutor,
}
INSTANCES = {"threads": "not alone, unless it is made with one worker"}  # said when it has started


def rows() -> Iterator[tuple[str, dict[str, bool]]]:
    (page,) = [
        page
        for page in (*ROOT.glob("docs/*.md"), *ROOT.glob("docs/cluster/*.md"))
        if "| executor | a crash fails its task alone |" in page.read_text("utf-8")
    ]
    lines = page.read_text("utf-8").split("| executor | a crash fails its task alone |")[1].splitlines()[2:]
    for line in lines:
        if not line.startswith("|"):
            return
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        yield name.strip('`"'), dict(zip(PROMISES, [cell == "yes" for cell in cells], strict=True))


TABLE = dict(rows())


def test_the_table_has_every_engine() -> None:
    assert list(TABLE) == [*list(ENGINES)[:3], *POOLS, *list(ENGINES)[3:]]


@pytest.mark.parametrize("name", list(ENGINES))
def test_the_table_says_what_an_engine_says_of_itself(name: str) -> None:
    kind = ENGINES[name].load()
    told = {promise: bool(getattr(kind, promise)) for promise in PROMISES}
    if name in INSTANCES:
        told["alone"] = False
    assert told == TABLE[name]


@pytest.mark.parametrize("name", list(POOLS))
def test_the_table_says_what_a_pool_can_do(name: str) -> None:
    with POOLS[name](1) as pool:  # type: ignore[call-arg]  # both take a number
        executor = Futures(pool)
        assert {promise: bool(getattr(executor, promise)) for promise in PROMISES} == TABLE[name]
