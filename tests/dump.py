"""Everything that a database holds, as text: what a dump of it would show."""

import subprocess
from collections.abc import Iterator, Mapping

import psycopg
from psycopg import sql

from scripts.server_home import find_programs

# `t::text` shows every column: text, json and arrays as they are, bytea in hexadecimal.
_TABLES = """
    select n.nspname, c.relname from pg_catalog.pg_class as c
    inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
    where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    order by 1, 2
"""


def rows(url: str) -> Iterator[tuple[str, str]]:
    """Each row of each table, of all schemas: the table's name and the row's text."""
    with psycopg.connect(url) as connection:
        for schema, table in connection.execute(_TABLES).fetchall():
            query = sql.SQL("select t::text from {} as t").format(sql.Identifier(schema, table))
            for (row,) in connection.execute(query):
                yield f"{schema}.{table}", row


def columns(url: str) -> Iterator[tuple[str, str]]:
    """Each value of each row: `schema.table.column` and its text."""
    with psycopg.connect(url) as connection:
        for schema, table in connection.execute(_TABLES).fetchall():
            query = sql.SQL(
                "select e.key, e.value from {} as t, lateral pg_catalog.jsonb_each_text(to_jsonb(t)) as e"
                " where e.value is not null"
            ).format(sql.Identifier(schema, table))
            for column, value in connection.execute(query):
                yield f"{schema}.{table}.{column}", value


def pg_dump(url: str) -> str:
    """The same by PostgreSQL's own program: schema, comments and data."""
    program = find_programs(None, None) / "pg_dump"
    done = subprocess.run([program, url], capture_output=True, text=True, check=True)
    return done.stdout


def found_in(text: str, secrets: Mapping[str, str]) -> list[str]:
    """The names of the secrets that this text holds: as they are, or their bytes in hexadecimal."""
    return [name for name, secret in secrets.items() if secret in text or secret.encode().hex() in text]


def tables_with(url: str, secrets: Mapping[str, str]) -> list[tuple[str, str]]:
    """Which table holds which secret, each pair once."""
    return sorted({(table, name) for table, row in rows(url) for name in found_in(row, secrets)})
