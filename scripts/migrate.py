"""`roleta migrate`: plan, apply, roll back and report the migrations, safely beside another run of the same.

The command's words are in cli.py, the SQL in migrations/, the dealings with yoyo in migrate_backend.py.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psycopg

from scripts.migrate_backend import (
    FileMigration,
    RoletaBackend,
    open_connection,
    prepare_connection,
    prepare_schema,
    read_files,
)
from shared.clock import monotonic
from shared.db import read_address
from shared.errors import BY_SQLSTATE, DatabaseUnavailable, MigrationRefused, RoletaError

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
Say = Callable[[str], None]
POOLER_PORT = "6543"
POOLED = (
    "this is a transaction pooler, which would tear a migration apart; "
    "give the direct address of the database, or its session pooler (on Supabase: port 5432)"
)


@dataclass(frozen=True)
class MigrationState:
    """One migration, as the files and the database know it. notes: its opening comment, with the locks taken.

    edited: the file differs from what was applied. unknown: applied, but the file is not here.
    """

    name: str
    notes: str
    state: Literal["applied", "pending", "edited", "unknown"]
    applied_at: datetime | None


@dataclass(frozen=True)
class Plan:
    """What apply_all would do: what is pending, in order, and why it would refuse (empty: it would not)."""

    pending: list[MigrationState]
    refusals: list[str]


def status(url: str, folder: Path = MIGRATIONS) -> list[MigrationState]:
    """Every migration in the order of its name. Reads only, also from a database that was never migrated."""
    _refuse_pooler_port(url)
    with _translated(), open_connection(url, "roleta migrate status") as connection:
        return _states(connection, read_files(folder))


def plan(url: str, folder: Path = MIGRATIONS) -> Plan:
    """What apply_all would do now. Reads only."""
    states = status(url, folder)
    return Plan([each for each in states if each.state == "pending"], _refusals(states))


def apply_all(url: str, say: Say = print, folder: Path = MIGRATIONS) -> list[str]:
    """Applies what is pending, each file in a transaction of its own; answers the names applied.

    Waits up to 60 s for another run. Raises MigrationRefused where an applied file was edited or the database
    is newer than the files, SetupMissing where Supabase's roles are missing. A run that was killed or that
    failed leaves whole files applied; running again goes on from there.
    """
    with _at_work(url, say) as (connection, backend):
        files = read_files(folder)
        states = _states(connection, files)
        for refusal in _refusals(states):
            raise MigrationRefused(refusal)
        done = []
        for migration in backend.to_apply(files):
            started = monotonic()
            with _translated(migration, migration.text):
                backend.apply_one(migration)
            say(f"applied {migration.id} in {monotonic() - started:.2f} s")
            done.append(migration.id)
        return done


def rollback(
    url: str, to: str, discard_data: bool = False, say: Say = print, folder: Path = MIGRATIONS
) -> list[str]:
    """Rolls back everything applied after `to` (a name, or its beginning such as "0004"), or "all".

    All in one transaction: where one part refuses, nothing has changed. Raises WouldDiscardData, with the
    tables and counts, unless discard_data. Answers the names rolled back, newest first.
    """
    with _at_work(url, say) as (connection, backend):
        files = read_files(folder)
        states = _states(connection, files)
        unknown = [each.name for each in states if each.state == "unknown"]
        if unknown:
            raise MigrationRefused(
                f"{', '.join(unknown)} was applied but its files are not here; update the code"
            )
        keep = "" if to == "all" else _keeper(states, to)
        chosen = [each for each in backend.to_rollback(files) if each.id > keep]
        with _translated(), backend.transaction():
            if discard_data:
                backend.execute("set local roleta.discard_data = 'on'")
            for migration in chosen:
                if migration.rollback_text is None:
                    raise MigrationRefused(f"{migration.id} has no rollback file")
                with _translated(migration, migration.rollback_text):
                    backend.rollback_one(migration)
        for migration in chosen:
            say(f"rolled back {migration.id}")
        return [migration.id for migration in chosen]


def _keeper(states: list[MigrationState], to: str) -> str:
    found = [each.name for each in states if each.applied_at is not None and each.name.startswith(to)]
    if to in found:
        return to
    if len(found) != 1:
        raise MigrationRefused(f"{'several' if found else 'no'} applied migrations begin with {to!r}")
    return found[0]


def _states(connection: psycopg.Connection[Any], files: list[FileMigration]) -> list[MigrationState]:
    applied: dict[str, tuple[datetime, str | None]] = {}
    present = connection.execute(
        "select to_regclass('roleta_migrations._yoyo_migration') is not null"
        " and to_regclass('roleta_migrations.checksums') is not null"
    ).fetchone()
    if present == (True,):
        rows = connection.execute(
            "select y.migration_id, y.applied_at_utc, c.sha256 from roleta_migrations._yoyo_migration as y"
            " left join roleta_migrations.checksums as c on c.migration = y.migration_id"
        ).fetchall()
        applied = {name: (at.replace(tzinfo=UTC), sha256) for name, at, sha256 in rows}
    states = [_state_of(each, applied.pop(each.id, None)) for each in files]
    states += [MigrationState(name, "", "unknown", at) for name, (at, _) in applied.items()]
    return sorted(states, key=lambda each: each.name)


def _state_of(file: FileMigration, applied: tuple[datetime, str | None] | None) -> MigrationState:
    if applied is None:
        return MigrationState(file.id, file.notes, "pending", None)
    at, sha256 = applied
    edited = sha256 is not None and sha256 != file.sha256
    return MigrationState(file.id, file.notes, "edited" if edited else "applied", at)


def _refusals(states: list[MigrationState]) -> list[str]:
    return [
        f"{each.name}.sql was edited after it was applied; restore it and put the change in a new migration"
        for each in states
        if each.state == "edited"
    ] + [
        f"the database is newer than this code: it has {each.name}; update the code"
        for each in states
        if each.state == "unknown"
    ]


@contextmanager
def _at_work(url: str, say: Say) -> Iterator[tuple[psycopg.Connection[Any], RoletaBackend]]:
    """The only run at work on this database: one connection holds the lock, yoyo's own does the work."""
    _refuse_pooler_port(url)
    with (
        _translated(),
        open_connection(url, "roleta migrate lock") as guard,
        RoletaBackend(url, say) as backend,
    ):
        # First of all: a setting or a lock given through a pooler would stay behind in it.
        refuse_pooler(guard, backend.connection)
        prepare_connection(guard)
        prepare_connection(backend.connection)
        _lock(guard, say)
        prepare_schema(guard)
        backend.init_database()
        # Whoever left it is gone: we hold the advisory lock that every run takes first.
        backend.break_lock()
        backend.ensure_internal_schema_updated()
        with backend.lock():
            yield guard, backend


def _lock(guard: psycopg.Connection[Any], say: Say) -> None:
    key = "hashtextextended('roleta.migrate', 0)"
    if guard.execute(f"select pg_try_advisory_lock({key})").fetchone() == (True,):
        return
    say("another roleta migrate is at work on this database; waiting for it, up to 60 s")
    guard.execute("set lock_timeout = '60s'")
    try:
        guard.execute(f"select pg_advisory_lock({key})")
    except psycopg.errors.LockNotAvailable:
        raise MigrationRefused(
            "another roleta migrate has been at work for more than 60 s; try again later"
        ) from None
    guard.execute("reset lock_timeout")


def _refuse_pooler_port(url: str) -> None:
    if POOLER_PORT in str(read_address(url).get("port", "")).split(","):
        raise MigrationRefused(f"port {POOLER_PORT}: {POOLED}")


def refuse_pooler(*connections: psycopg.Connection[Any]) -> None:
    """Two open connections must be two server processes, and each must stay the one it is."""
    seen = [
        {connection.execute("select pg_backend_pid()").fetchone() for _ in range(2)}
        for connection in connections
    ]
    if any(len(pids) > 1 for pids in seen) or seen[0] & seen[1]:
        raise MigrationRefused(POOLED)


@contextmanager
def _translated(migration: FileMigration | None = None, text: str = "") -> Iterator[None]:
    """Turns driver errors into ours, with the file and the line where the server tells it."""
    try:
        yield
    except psycopg.Error as error:
        raise _explained(error, migration, text) from None


def _explained(error: psycopg.Error, migration: FileMigration | None, text: str) -> RoletaError:
    state, message = error.sqlstate, error.diag.message_primary
    if state is None or message is None:
        return DatabaseUnavailable(
            (str(error).splitlines() or ["the connection to the database was lost"])[0]
        )
    if state in BY_SQLSTATE:
        return BY_SQLSTATE[state](message)
    where = migration.id if migration else "roleta migrate"
    if error.diag.statement_position:
        where += f", line {text.count(chr(10), 0, int(error.diag.statement_position)) + 1}"
    if isinstance(error, psycopg.errors.LockNotAvailable):
        message += "; others use the table now: run it again in a quieter moment"
    return MigrationRefused(f"{where}: {message} ({state})", sqlstate=state)
