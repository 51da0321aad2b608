"""The throw-away database a bench runs on. Refuses one that holds anything."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from scripts.embedded import EmbeddedPostgres, bootstrap_supabase
from scripts.migrate import apply_all
from shared.errors import RoletaError

_RELATIONS = """
    select count(*) from pg_catalog.pg_class as c
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.oid >= 16384
"""


class NotThrowAway(RoletaError):
    """The database given to a bench holds something."""


@contextmanager
def prepared(database_url: str | None) -> Iterator[str]:
    """The address of a migrated database for one bench: on an embedded server of its own, gone afterwards, or
    the empty one given, which is left as the bench leaves it. NotThrowAway where that one is not empty."""
    if database_url is not None:
        refuse_used(database_url)
        _migrate(database_url)
        yield database_url
        return
    folder = Path(tempfile.mkdtemp(prefix="roleta-bench-"))
    folder.chmod(0o755)  # as root the server is `nobody` and passes through
    try:
        with EmbeddedPostgres(folder) as server:
            _migrate(server.url)
            yield server.url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_used(database_url: str) -> None:
    """Raises NotThrowAway unless the database is as `create database` made it."""
    try:
        with psycopg.connect(database_url) as connection:
            found = connection.execute(_RELATIONS).fetchone()
    except psycopg.OperationalError:
        # The driver's text would repeat the address.
        raise NotThrowAway("the database given with --database-url cannot be reached") from None
    if found != (0,):
        raise NotThrowAway(
            "a bench fills its database with rubbish: give it one that is empty and may be thrown away "
            "(create database bench), or none, and it starts a server of its own"
        )


def _migrate(database_url: str) -> None:
    bootstrap_supabase(database_url)
    apply_all(database_url, say=lambda _: None)
