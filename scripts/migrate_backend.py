"""yoyo as `roleta migrate` uses it: its tables in one schema, a file and its mark in one transaction.

What to run, and whether it may run, is decided in migrate.py.
"""

import getpass
import hashlib
import socket
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.migrations import (
    Migration,
    MigrationList,
    MigrationStep,
    default_migration_table,
    parse_metadata_from_sql_comments,
)

from shared.clock import now
from shared.errors import MigrationRefused

SCHEMA = "roleta_migrations"
_WAIT_FOR_LEFTOVER = """
    set local lock_timeout = '60s';
    select pg_advisory_xact_lock(hashtextextended('roleta.migrate.transaction', 0));
    set local lock_timeout = '5s';
"""


class FileMigration(Migration):  # type: ignore[misc]
    """One NNNN.subject.sql and its rollback file, each sent whole: the server splits SQL best."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.stem, str(path), source_dir=str(path.parent))
        self.text = _read(path)
        rollback = path.with_suffix(".rollback.sql")
        self.rollback_text = _read(rollback) if rollback.exists() else None
        directives, self.notes, _ = parse_metadata_from_sql_comments(self.text)
        self.depends_on = directives.get("depends", "").split()
        # The database compares what was applied with what is here: yoyo itself only knows names.
        self.sha256 = hashlib.sha256(self.text.encode()).hexdigest()
        self.steps = [MigrationStep(0, self.text, self.rollback_text)]


class QuietCursor(psycopg.Cursor[Any]):
    """yoyo prints every result set of a migration; those of `select helper(...)` say nothing."""

    description = None


class RoletaBackend(PostgresqlPsycopgBackend):  # type: ignore[misc]
    """yoyo's backend without its habits: no search_path, test table, DNS look-up or second connection."""

    def __init__(self, url: str, notice: Callable[[str], None]) -> None:
        self._notice = notice
        super().__init__(url, default_migration_table)

    def connect(self, dburi: str) -> psycopg.Connection[Any]:
        connection = open_connection(dburi, "roleta migrate")
        connection.cursor_factory = QuietCursor
        connection.add_notice_handler(self._pass_on)
        return connection

    def _pass_on(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        # What a migration raises on purpose, and not the server's own "does not exist, skipping".
        if diagnostic.source_function == "exec_stmt_raise" and diagnostic.message_primary:
            self._notice(diagnostic.message_primary)

    def quote_identifier(self, name: str) -> str:
        quoted: str = super().quote_identifier(name)
        is_table = name in {self.migration_table, self.log_table, self.lock_table, self.version_table}
        return f'"{SCHEMA}".{quoted}' if is_table else quoted

    def list_tables(self, **_options: object) -> list[str]:
        found = self.execute("select tablename from pg_tables where schemaname = :schema", {"schema": SCHEMA})
        return [row[0] for row in found.fetchall()]

    def create_lock_table(self) -> None:
        if self.lock_table not in self.list_tables():
            super().create_lock_table()

    def _check_transactional_ddl(self) -> bool:
        return True

    def get_log_data(self, migration: Migration | None = None, operation: str = "apply") -> dict[str, object]:
        try:
            who = getpass.getuser()
        except (KeyError, OSError):
            who = "unknown"
        return {
            "id": str(uuid.uuid4()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": who,
            "hostname": socket.gethostname(),
            "created_at_utc": now().replace(tzinfo=None),
            "operation": operation,
        }

    def apply_one(self, migration: FileMigration, force: bool = False, mark: bool = True) -> None:
        """Runs the file and marks it applied, both or neither: a kill leaves nothing half known."""
        with self.transaction():
            self._begin_alone()
            migration.process_steps(self, "apply")
            self.log_migration(migration, "apply")
            self.mark_one(migration, log=False)
            self.execute(
                "insert into roleta_migrations.checksums (migration, sha256) values (:migration, :sha256)",
                {"migration": migration.id, "sha256": migration.sha256},
            )

    def rollback_one(self, migration: FileMigration, force: bool = False) -> None:
        """Runs the rollback file and takes the mark away, in the caller's transaction if there is one."""
        with self.transaction():
            self._begin_alone()
            migration.process_steps(self, "rollback")
            self.log_migration(migration, "rollback")
            self.unmark_one(migration, log=False)
            self.execute(
                "delete from roleta_migrations.checksums where migration = :migration",
                {"migration": migration.id},
            )

    def _begin_alone(self) -> None:
        # A killed run's server process may still be at work on its last statement: wait until it has noticed.
        self.execute(_WAIT_FOR_LEFTOVER)


def open_connection(url: str, application_name: str) -> psycopg.Connection[Any]:
    """An autocommit connection that has asked nothing of the server yet: it may be a pooler's."""
    return psycopg.connect(
        url, autocommit=True, prepare_threshold=None, application_name=application_name, connect_timeout=10
    )


def prepare_connection(connection: psycopg.Connection[Any]) -> None:
    """No limit on a statement's time, and the server notices within a second when we are gone."""
    connection.execute("set statement_timeout = 0")
    connection.execute("set idle_in_transaction_session_timeout = 0")
    # Not every operating system of a server can do it; there a killed run's process ends with its statement.
    with suppress(psycopg.errors.InvalidParameterValue):
        connection.execute("set client_connection_check_interval = '1s'")


def prepare_schema(connection: psycopg.Connection[Any]) -> None:
    """Makes the schema and the checksum table that the first run needs."""
    if connection.execute(f"select to_regclass('{SCHEMA}.checksums')").fetchone() != (None,):
        return
    connection.execute(f"create schema if not exists {SCHEMA}")
    connection.execute(
        f"create table if not exists {SCHEMA}.checksums (migration text primary key, sha256 text not null,"
        " applied_at timestamptz not null default now())"
    )


def read_files(folder: Path) -> MigrationList:
    """Every migration of the folder, in the order of their names."""
    migrations = [
        FileMigration(path)
        for path in sorted(folder.glob("*.sql"))
        if not path.name.endswith(".rollback.sql")
    ]
    by_name = {each.id: each for each in migrations}
    for each in migrations:
        unknown = [name for name in each.depends_on if name not in by_name]
        if unknown:
            raise MigrationRefused(f"{each.id} depends on {', '.join(unknown)}, which is not there")
        each._depends = {by_name[name] for name in each.depends_on}
    return MigrationList(migrations)


def _read(path: Path) -> str:
    # The same text whatever line ends a checkout uses.
    return path.read_text(encoding="utf-8").replace("\r\n", "\n")
