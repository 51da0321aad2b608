"""What the database has, and what each role may do to it, as the catalog itself says."""

from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

SCHEMAS = ("public", "messaging", "audit", "roleta_migrations")
# Every role of PostgREST. What a manager or a client may do beyond `authenticated` is decided row by row.
API_ROLES = ("anon", "authenticated", "service_role")
VERBS = {"c": "insert", "r": "select", "u": "update", "d": "delete"}
# What no role of an API has any use for. A trigger on a table that our functions write runs as its owner.
NEVER = ("truncate", "references", "trigger")

_RIGHTS = {
    "schema": ["usage", "create"],
    "sequence": ["usage", "select", "update"],
    "function": ["execute"],
    "type": ["usage"],
}
_SCHEMA_LIST = ", ".join(f"'{name}'" for name in SCHEMAS)
_NAMES = f"""
    select 'schema' as kind, n.nspname::text as name, n.oid from pg_namespace as n
    where n.nspname in ({_SCHEMA_LIST})
    union all
    select case c.relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end,
        n.nspname || '.' || c.relname, c.oid
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname in ({_SCHEMA_LIST}) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select 'function', n.nspname || '.' || p.proname, p.oid
    from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace where n.nspname in ({_SCHEMA_LIST})
    union all
    select 'type', n.nspname || '.' || t.typname, t.oid
    from pg_type as t join pg_namespace as n on n.oid = t.typnamespace
    left join pg_class as c on c.oid = t.typrelid
    where n.nspname in ({_SCHEMA_LIST})
        and (t.typtype in ('d', 'e', 'r', 'm') or t.typtype = 'c' and c.relkind = 'c')
    union all
    -- A right on single columns, which the table as a whole does not have.
    select distinct 'column', n.nspname || '.' || c.relname || '.' || a.attname, c.oid
    from pg_attribute as a
    join pg_class as c on c.oid = a.attrelid
    join pg_namespace as n on n.oid = c.relnamespace
    cross join aclexplode(a.attacl) as x
    where n.nspname in ({_SCHEMA_LIST}) and a.attnum > 0 and not a.attisdropped and x.grantee <> c.relowner
"""


@dataclass(frozen=True, order=True)
class Item:
    """One object: its kind, its name with schema, its oid (a column's is its table's)."""

    kind: str
    name: str
    oid: int


def items(connection: Connection) -> list[Item]:
    """Every object of our schemas that a role can have a right on; a function once for each signature."""
    return sorted(Item(*row) for row in connection.execute(_NAMES).fetchall())


def granted(connection: Connection, item: Item, role: str) -> str:
    """What a role may do to it, in the letters and words of rights.txt without whose rows: `cr`, `execute`,
    `usage`, or `-`."""
    if item.kind == "column":
        query = (
            "select lower(x.privilege_type) from pg_attribute as a, aclexplode(a.attacl) as x"
            " where a.attrelid = %s and a.attname = %s and x.grantee in (0, %s::regrole)"
        )
        rows = connection.execute(query, [item.oid, item.name.rpartition(".")[2], role]).fetchall()
    else:
        kind = item.kind if item.kind in _RIGHTS else "table"
        statement = f"select w from unnest(%s::text[]) as w where has_{kind}_privilege(%s::name, %s::oid, w)"
        rows = connection.execute(
            statement.encode(), [_RIGHTS.get(kind, list(VERBS.values())), role, item.oid]
        ).fetchall()
    had = {row[0] for row in rows}
    if item.kind in _RIGHTS:
        return "+".join(word for word in _RIGHTS[item.kind] if word in had) or "-"
    return "".join(letter for letter, verb in VERBS.items() if verb in had) or "-"


def has_row_security(connection: Connection, item: Item) -> bool:
    """Whether row security decides which rows of it a person sees."""
    row = connection.execute("select relrowsecurity from pg_class where oid = %s", [item.oid]).fetchone()
    return row == (True,)
