"""The index in PostgreSQL keeps what every index promises, on a real server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memento.clock import SYSTEM_CLOCK, Clock
from memento.index.postgres.address import read_address
from memento.testing.index_contract import IndexContract, Opener, Stopped
from tests.engines.postgres import Postgres
from tests.engines.postgres import address as address
from tests.engines.postgres import postgres as postgres

pytestmark = pytest.mark.engine


class TestInPostgres(IndexContract):
    @pytest.fixture
    def open_index(self, address: str) -> Opener:
        from memento.index.postgres.postgres_index import PostgresIndex

        def opened(*, readonly: bool = False, clock: Clock = SYSTEM_CLOCK) -> PostgresIndex:
            return PostgresIndex.open(address, create=not readonly, readonly=readonly, clock=clock)

        return opened

    @pytest.fixture
    def pass_time(self, postgres: Postgres, address: str) -> Callable[[Stopped, float], None]:
        schema = read_address(address).schema

        def passed(clock: Stopped, seconds: float) -> None:
            clock.time += seconds
            for table in (
                "claims",
                "runs",
            ):  # the server's own clock cannot be moved, but what it is compared with
                postgres.all(f"UPDATE {schema}.{table} SET expires = expires - interval '{seconds} s'")

        return passed
