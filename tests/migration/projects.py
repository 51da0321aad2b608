"""Databases as `roleta migrate` finds them: empty or adopted, migrated by a superuser or a plain owner."""

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from scripts.embedded import bootstrap_supabase
from scripts.migrate import MIGRATIONS
from scripts.server_home import find_programs
from tests.servers import SERVER_BINARIES, fresh_database

ADOPTED_PROJECT = Path(__file__).with_name("adopted_project.sql")


@dataclass(frozen=True)
class Project:
    """One database: `url` is who migrates it, `superuser_url` who looks at it from outside."""

    url: str
    superuser_url: str

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """An autocommit connection as the migrating role."""
        return psycopg.connect(self.url, autocommit=True)

    def dump(self) -> str:
        """The schema as this server's own pg_dump prints it, without the record of migrations."""
        with self.connect() as connection:
            major = connection.info.server_version // 10000
        programs = SERVER_BINARIES.get(str(major)) or find_programs(None, None)
        command = [
            str(programs / "pg_dump"),
            "--schema-only",
            "--exclude-schema=roleta_migrations",
            self.superuser_url,
        ]
        text = subprocess.run(
            command, capture_output=True, text=True, check=True, env=dict(os.environ)
        ).stdout
        # A random key against injection stands in these two lines.
        lines = [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
        return "\n".join(lines)

    def data(self) -> dict[str, tuple[int, str]]:
        """Row count and checksum of every table of schema public."""
        found: dict[str, tuple[int, str]] = {}
        with psycopg.connect(self.superuser_url) as connection:
            tables = connection.execute(
                "select tablename from pg_tables where schemaname = 'public'"
            ).fetchall()
            for (table,) in tables:
                row = connection.execute(
                    sql.SQL(
                        "select count(*), md5(coalesce(string_agg(t::text, '|' order by t::text), ''))"
                        " from public.{} as t"
                    ).format(sql.Identifier(table))
                ).fetchone()
                assert row is not None
                found[table] = row
        return found


@contextlib.contextmanager
def project(server_url: str, *, plain_owner: bool = False, adopted: bool = False) -> Iterator[Project]:
    """A bootstrapped database that was never migrated; removed afterwards, its owner too."""
    owner = f"owner_{uuid.uuid4().hex[:12]}"
    with fresh_database(server_url) as superuser_url, psycopg.connect(server_url, autocommit=True) as server:
        bootstrap_supabase(superuser_url)
        url = superuser_url
        if plain_owner:
            url = _hand_over(server, superuser_url, owner)
        try:
            if adopted:
                with psycopg.connect(url) as connection:
                    connection.execute(ADOPTED_PROJECT.read_bytes())
            yield Project(url, superuser_url)
        finally:
            if plain_owner:
                with psycopg.connect(superuser_url) as connection:
                    connection.execute(
                        sql.SQL(
                            "reassign owned by {0} to current_user; drop owned by {0}; drop role {0}"
                        ).format(sql.Identifier(owner))
                    )


def _hand_over(server: psycopg.Connection[Any], superuser_url: str, owner: str) -> str:
    """Makes the database a plain role's, with the default grants that Supabase gives its owner; his URL."""
    database = superuser_url.rpartition("/")[2]
    server.execute(
        sql.SQL("create role {} login password 'plain' nosuperuser nocreaterole nocreatedb").format(
            sql.Identifier(owner)
        )
    )
    server.execute(
        sql.SQL("alter database {} owner to {}").format(sql.Identifier(database), sql.Identifier(owner))
    )
    with psycopg.connect(superuser_url) as connection:
        connection.execute(sql.SQL("grant usage on schema auth to {}").format(sql.Identifier(owner)))
        # As Supabase's own owner may: a table of the app refers to who may sign in.
        connection.execute(sql.SQL("grant references on auth.users to {}").format(sql.Identifier(owner)))
        for kind in ("tables", "functions", "sequences"):
            connection.execute(
                sql.SQL(
                    "alter default privileges for role {} in schema public"
                    " grant all on {} to anon, authenticated, service_role"
                ).format(sql.Identifier(owner), sql.SQL(kind))
            )
    credentials, at, place = superuser_url.rpartition("@")
    scheme = credentials.partition("://")[0]
    return f"{scheme}://{owner}:plain{at}{place}"


def copy_of_migrations(folder: Path, upto: str = "9999") -> Path:
    """A folder of our migrations up to a number, which a test may change."""
    target = folder / "migrations"
    target.mkdir()
    for file in MIGRATIONS.glob("*.sql"):
        if file.name[:4] <= upto:
            shutil.copy(file, target)
    return target


def silent(_line: str) -> None:
    """Says nothing."""
