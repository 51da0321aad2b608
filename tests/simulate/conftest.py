"""A server of its own for a simulation, which replaces the clock of a whole database."""

from collections.abc import Iterator

import pytest

from scripts.embedded import bootstrap_supabase
from scripts.migrate import apply_all
from tests.servers import database_server, fresh_database


@pytest.fixture(scope="module")
def fresh_server_url() -> Iterator[str]:
    """A migrated, empty database on a server that nobody else uses."""
    with database_server() as server, fresh_database(server.url) as url:
        bootstrap_supabase(url)
        apply_all(url, say=lambda _: None)
        yield url
