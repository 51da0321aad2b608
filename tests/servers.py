"""Database servers for tests: throw-away ones over the product's own launcher, and databases on them."""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pytest_postgresql.janitor import DatabaseJanitor

from scripts.embedded import EmbeddedPostgres

# What a crash would lose does not matter in a test, and a lost wake-up shows sooner with short timeouts.
FAST = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "2GB", "autovacuum_naptime": "10s"}

SERVER_BINARIES: dict[str, Path | None] = {"bundled": None}
if Path("/usr/lib/postgresql/15/bin/postgres").exists():
    SERVER_BINARIES["15"] = Path("/usr/lib/postgresql/15/bin")


@contextlib.contextmanager
def database_server(
    binaries: Path | None = None, settings: dict[str, str] | None = None
) -> Iterator[EmbeddedPostgres]:
    """A server in a folder of its own, removed afterwards; `binaries` None is the bundled PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="roleta-test-"))
    folder.chmod(0o755)  # as root the server is `nobody` and passes through
    try:
        with EmbeddedPostgres(folder, settings={**FAST, **(settings or {})}, binaries=binaries) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class ServerForPlugin:
    """The launcher's server as pytest-postgresql's `depends_on` wants to see it."""

    options = ""
    maintenance_dbname = "postgres"
    template_dbname = None

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server
        self.host, self.port = server.host, server.port
        self.user, self.password = server.user, server.password


def janitor_of(url: str, dbname: str, template: str | None = None) -> DatabaseJanitor:
    """pytest-postgresql's maker of one database on the server of `url`."""
    parts = conninfo_to_dict(url)
    return DatabaseJanitor(
        user=str(parts["user"]),
        password=str(parts["password"]),
        host=str(parts["host"]),
        port=str(parts["port"]),
        dbname=dbname,
        template_dbname=template,
    )


@contextlib.contextmanager
def fresh_database(server_url: str, template: str | None = None) -> Iterator[str]:
    """A new database (a clone of `template` where given) on this server; its URL. Dropped afterwards."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with janitor_of(server_url, name, template):
        yield f"{server_url.rpartition('/')[0]}/{name}"


def audit_findings(url: str) -> list[str]:
    """One line per row in any view of schema `audit`: what the database finds wrong with itself."""
    findings: list[str] = []
    with psycopg.connect(url) as connection:
        views = connection.execute(
            "select viewname from pg_catalog.pg_views where schemaname = 'audit' order by 1"
        )
        for (view,) in views.fetchall():
            rows = connection.execute(sql.SQL("select * from audit.{} limit 5").format(sql.Identifier(view)))
            findings += [f"audit.{view}: {row}" for row in rows.fetchall()]
    return findings
