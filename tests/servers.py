"""Database servers for tests: throw-away ones over the product's own launcher, and databases on them."""

import contextlib
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from scripts.embedded import EmbeddedPostgres
from scripts.soak.judge import audit_findings, audit_findings_over

__all__ = [
    "SERVER_BINARIES",
    "ServerForPlugin",
    "audit_findings",
    "audit_findings_over",
    "clone_of",
    "database_server",
    "fresh_database",
]

# What a crash would lose does not matter in a test (those that stop a server at once have one of their own),
# and a lost wake-up shows sooner with short timeouts.
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "2GB",
    "autovacuum_naptime": "10s",
}

SERVER_BINARIES: dict[str, Path | None] = {"bundled": None}
if Path("/usr/lib/postgresql/15/bin/postgres").exists():
    SERVER_BINARIES["15"] = Path("/usr/lib/postgresql/15/bin")


def _roomy_memory() -> str | None:
    """A file system in memory with room for a server, else None: hundreds of databases come and go."""
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder that is ours alone
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    return str(memory) if roomy else None


@contextlib.contextmanager
def database_server(binaries: Path | None = None) -> Iterator[EmbeddedPostgres]:
    """A server in a folder of its own, removed afterwards; `binaries` None is the bundled PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="roleta-test-", dir=_roomy_memory()))
    folder.chmod(0o755)  # as root the server is `nobody` and passes through
    try:
        with EmbeddedPostgres(folder, settings=FAST, binaries=binaries) as server:
            _make_connecting_cheap(server)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_connecting_cheap(server: EmbeddedPostgres) -> None:
    """Same password, same protocol, one round of hashing instead of 4096, which cost both sides 2-3 ms a
    connection; PostgreSQL 15 has no such setting."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        if connection.info.server_version >= 160000:
            connection.execute("set scram_iterations = 1")
            connection.execute(
                sql.SQL("alter role {} password {}").format(
                    sql.Identifier(server.user), sql.Literal(server.password)
                )
            )


class ServerForPlugin:
    """The launcher's server as pytest-postgresql's `depends_on` wants to see it."""

    options = ""
    maintenance_dbname = "postgres"
    template_dbname = None

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server
        self.host, self.port = server.host, server.port
        self.user, self.password = server.user, server.password


@contextlib.contextmanager
def clone_of(template: str, maintenance: psycopg.Connection[Any]) -> Iterator[str]:
    """The name of a new database on the server of `maintenance` (autocommit), dropped afterwards."""
    name = sql.Identifier(f"t_{uuid.uuid4().hex[:12]}")
    # Copying files takes 13 ms where logging every page takes 69: a checkpoint is cheap without fsync.
    maintenance.execute(
        sql.SQL("create database {} template {} strategy file_copy").format(name, sql.Identifier(template))
    )
    try:
        yield name.as_string().strip('"')
    finally:
        _wait_for_leavers(maintenance, name.as_string().strip('"'))
        maintenance.execute(sql.SQL("drop database {} with (force)").format(name))


def _wait_for_leavers(maintenance: psycopg.Connection[Any], name: str) -> None:
    """Give closed connections a moment to be gone: a drop that finds one of them sleeps for 100 ms."""
    pause = threading.Event()
    for _ in range(10):
        row = maintenance.execute(
            "select count(*) from pg_stat_activity where datname = %s", [name]
        ).fetchone()
        if row == (0,):
            return
        pause.wait(0.002)


@contextlib.contextmanager
def fresh_database(server_url: str, template: str | None = None) -> Iterator[str]:
    """A new database (a clone of `template` where given) on this server; its URL. Dropped afterwards."""
    with (
        psycopg.connect(server_url, autocommit=True) as maintenance,
        clone_of(template or "template1", maintenance) as name,
    ):
        yield f"{server_url.rpartition('/')[0]}/{name}"
