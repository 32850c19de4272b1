"""Several runs over one store in PostgreSQL, in any order of events, connections that are lost among them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from memento.clock import SYSTEM_CLOCK
from memento.index.postgres.postgres_index import PostgresIndex
from tests.engines.postgres import Postgres
from tests.engines.postgres import postgres as postgres
from tests.index.test_lease import SharedStore

pytestmark = pytest.mark.engine


class Opened:
    """An index where the machine expects a store."""

    def __init__(self, address: str) -> None:
        self.index = PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK)
        self.begin, self.close = self.index.begin, self.index.close


class SharedDatabase(SharedStore):
    """The same as with files, and connections that end between two calls."""

    server: Postgres

    @initialize()
    def begin(self) -> None:
        self.address = self.server.address()
        super().begin()

    def opened(self) -> Any:
        return Opened(self.address)

    @rule()
    def lose_connections(self) -> None:
        self.server.all(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'memento'"
        )


def test_runs_in_any_order_of_events_do_each_task_once(postgres: Postgres) -> None:
    class Here(SharedDatabase):
        server = postgres

    run_state_machine_as_test(
        Here,
        settings=settings(max_examples=20, stateful_step_count=25, deadline=None),
    )
