"""Fixtures of the database tests: a world in one session, and more of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from pytest_postgresql.executors import NoopExecutor

from tests.agency_fixtures import agency, served, them
from tests.database.world import BentClock, Connect, Connection, World, bend
from tests.servers import audit_findings_over, clone_of

# Names that pytest finds here.
__all__ = ["agency", "served", "them"]

Worlds = Callable[[], World]
# Who asks for one of these has, or may open, other sessions: they see only what was committed.
SEEN_BY_OTHERS = {"another", "connect", "database_url", "db"}

ENDED = "the test ended the transaction that is to be undone: mark it own_database"


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    """One session, and nothing in the database but what the test does.

    A quick test that needs nobody else to see it acts in a transaction that is undone, on its module's
    database; any other, or one marked own_database, has a database of its own, where each statement commits.
    A slow one would be slower undone: nothing that it updates a thousand times could be cleaned up.
    """
    marked = any(request.node.get_closest_marker(name) for name in ("slow", "own_database"))
    if marked or SEEN_BY_OTHERS.intersection(request.fixturenames):
        connect: Connect = request.getfixturevalue("connect")
        return World(connect())
    undone: World = request.getfixturevalue("undone_world")
    return undone


@contextmanager
def session_on_a_clone(server_url: str, template: str, maintenance: Connection) -> Iterator[Connection]:
    """A session on a migrated database of its own."""
    with (
        clone_of(template, maintenance) as name,
        psycopg.connect(f"{server_url.rpartition('/')[0]}/{name}") as connection,
    ):
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def module_session(
    server_url: str, migrated_template: NoopExecutor, maintenance: Connection
) -> Iterator[Connection]:
    """One session on a database of this module's own, where nothing is ever committed."""
    with session_on_a_clone(server_url, migrated_template.template_dbname, maintenance) as connection:
        yield connection


@pytest.fixture(scope="module")
def module_session_with_bent_clock(
    server_url: str, migrated_template: NoopExecutor, maintenance: Connection
) -> Iterator[Connection]:
    """Another, where the clock is bent and nothing else was ever committed: were it bent by each test, every
    plan would be made anew in each."""
    with session_on_a_clone(server_url, migrated_template.template_dbname, maintenance) as connection:
        bend(World(connection))
        connection.commit()
        yield connection


@pytest.fixture
def undone_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The module's session in a transaction of this test's own; before it is undone, the audit views must be
    empty, as for every database of a test."""
    bent = "bent_clock" in request.fixturenames
    module_session: Connection = request.getfixturevalue(
        "module_session_with_bent_clock" if bent else "module_session"
    )
    which = "select pg_current_xact_id()"
    begun = module_session.execute(which).fetchone()  # World's savepoints lie in it
    try:
        yield World(module_session, in_one_transaction=True)
        if not request.node.get_closest_marker("audit_findings_expected"):
            assert audit_findings_over(module_session) == []
        assert module_session.execute(which).fetchone() == begun, ENDED
    finally:
        module_session.rollback()


@pytest.fixture
def another(connect: Connect) -> Worlds:
    """Call it for one more session on the same database."""
    return lambda: World(connect())


@pytest.fixture
def bent_clock(world: World) -> BentClock:
    """The database's clock, moved by the test alone."""
    return BentClock(world)
