"""Databases migrated under Supabase's two sets of default grants, with two agencies in each."""

from collections.abc import Iterator

import psycopg
import pytest

from scripts.embedded import bootstrap_supabase
from scripts.migrate import apply_all
from tests.database.world import World
from tests.security.tenants import Tenants
from tests.servers import fresh_database

# What passes under permissive grants passes because a migration revoked, not because nobody granted.
FLAVOURS = [
    pytest.param("permissive", marks=pytest.mark.scoreboard("S7", tier="commit")),
    pytest.param("restrictive", marks=pytest.mark.scoreboard("S7", tier="landing")),
]


@pytest.fixture(scope="module", params=FLAVOURS)
def settled(request: pytest.FixtureRequest, server_url: str) -> Iterator[Tenants]:
    """Two agencies and the house in a database that was migrated under these default grants, for a module."""
    with fresh_database(server_url) as url:
        bootstrap_supabase(url, request.param)
        apply_all(url, say=lambda _: None)
        with psycopg.connect(url) as connection:
            found = Tenants(World(connection))
            connection.commit()
            yield found


@pytest.fixture
def tenants(settled: Tenants) -> Iterator[Tenants]:
    """The same for one test: what it does is undone."""
    yield settled
    settled.world.connection.rollback()
