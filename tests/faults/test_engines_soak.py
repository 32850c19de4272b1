"""The short form of `make soak-engines`: pilots, their workers and the coordinator are killed at random, by a seed."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.soak_engines import Engine, Soak, is_as_undisturbed, is_broken, table

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


def test_a_grid_on_pilots_that_are_killed_at_random_ends_as_one_on_this_machine(tmp_path: Path) -> None:
    random.seed(5)
    with ExitStack() as stack:
        engine = Engine(tmp_path)
        engine.up(stack)
        soak = Soak(engine, 1_500, 5, 15.0)
        soak.pauses, soak.gone = (0.5, 2.0), 200.0
        soak.to_the_end()
    figures = table(soak, is_as_undisturbed(soak))
    told = "\n".join((figures, *soak.errors, *soak.orphans))
    assert not is_broken(figures), told
    assert soak.strikes.total() > 3, told
