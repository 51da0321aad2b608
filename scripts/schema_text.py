"""A database's schema as SQL text from its catalogs, in a stable order: for the snapshot and for comparisons.

Owners and names of defaults (not null constraints, sequences behind identities) are left out.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
PRIVILEGES = {
    "r": "select", "a": "insert", "w": "update", "d": "delete", "D": "truncate", "x": "references",
    "t": "trigger", "m": "maintain", "X": "execute", "U": "usage", "C": "create",
}  # fmt: skip
ALL_OF_A_TABLE = set("rawdDxt")

SCHEMAS = """
select nspname as name, obj_description(oid, 'pg_namespace') as comment,
    coalesce(nspacl, acldefault('n', nspowner))::text[] as acl, pg_get_userbyid(nspowner) as owner
from pg_namespace where nspname = any(%(schemas)s) and nspname <> 'public'
"""
TYPES = """
select t.oid::regtype::text as name, obj_description(t.oid, 'pg_type') as comment,
    case t.typtype
        when 'e' then 'enum (' || (
            select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder)
            from pg_enum where enumtypid = t.oid
        ) || ')'
        when 'd' then 'domain ' || format_type(t.typbasetype, t.typtypmod) || coalesce((
            select string_agg(' ' || pg_get_constraintdef(oid), '' order by conname)
            from pg_constraint where contypid = t.oid and contype = 'c'
        ), '')
        else '(' || (
            select string_agg(
                format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum
            )
            from pg_attribute where attrelid = t.typrelid and attnum > 0 and not attisdropped
        ) || ')'
    end as body
from pg_type as t
left join pg_class as c on c.oid = t.typrelid
where t.typnamespace = any(%(oids)s) and (t.typtype in ('e', 'd') or (t.typtype = 'c' and c.relkind = 'c'))
    and not exists (select from pg_depend where objid = t.oid and deptype = 'e')
"""
RELATIONS = """
select oid, oid::regclass::text as name, relkind::text as kind, relrowsecurity as row_security,
    relforcerowsecurity as forced, reloptions as options, obj_description(oid, 'pg_class') as comment,
    case when relkind in ('v', 'm') then pg_get_viewdef(oid) end as definition,
    coalesce(relacl, acldefault('r', relowner))::text[] as acl, pg_get_userbyid(relowner) as owner
from pg_class
where relnamespace = any(%(oids)s) and relkind in ('r', 'p', 'v', 'm')
    -- yoyo's own bookkeeping belongs to its version, not to ours.
    and relname not like '\\_yoyo%%' and relname <> 'yoyo_lock'
    and not exists (select from pg_depend where objid = pg_class.oid and deptype = 'e')
"""
COLUMNS = """
select a.attrelid as relation, quote_ident(a.attname) as name, format_type(a.atttypid, a.atttypmod) as type,
    a.attnotnull as required, pg_get_expr(d.adbin, d.adrelid) as value, a.attidentity::text as identity,
    a.attgenerated <> '' as generated, col_description(a.attrelid, a.attnum) as comment,
    a.attacl::text[] as acl, pg_get_userbyid(c.relowner) as owner
from pg_attribute as a
inner join pg_class as c on c.oid = a.attrelid
left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = any(%(relations)s) and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum
"""
# PostgreSQL 18 lists not null (n) as constraints too; the columns say it.
CONSTRAINTS = """
select conrelid as relation, quote_ident(conname) as name, pg_get_constraintdef(oid) as definition,
    obj_description(oid, 'pg_constraint') as comment
from pg_constraint where conrelid = any(%(relations)s) and contype <> 'n'
"""
INDEXES = """
select indrelid as relation, pg_get_indexdef(indexrelid) as definition
from pg_index
where indrelid = any(%(relations)s) and not exists (select from pg_constraint where conindid = indexrelid)
"""
TRIGGERS = """
select tgrelid as relation, pg_get_triggerdef(oid) as definition, tgenabled::text as enabled
from pg_trigger where tgrelid = any(%(relations)s) and not tgisinternal
"""
POLICIES = """
select polrelid as relation, format(
    'create policy %%I on %%s as %%s for %%s to %%s%%s%%s', polname, polrelid::regclass,
    case when polpermissive then 'permissive' else 'restrictive' end,
    case polcmd
        when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all'
    end,
    (
        select string_agg(case when r = 0 then 'public' else pg_get_userbyid(r)::text end, ', ' order by r)
        from unnest(polroles) as r
    ),
    ' using (' || pg_get_expr(polqual, polrelid) || ')',
    ' with check (' || pg_get_expr(polwithcheck, polrelid) || ')'
) as definition
from pg_policy where polrelid = any(%(relations)s)
"""
FUNCTIONS = """
select oid::regprocedure::text as name, pg_get_functiondef(oid) as definition,
    obj_description(oid, 'pg_proc') as comment,
    coalesce(proacl, acldefault('f', proowner))::text[] as acl, pg_get_userbyid(proowner) as owner
from pg_proc
where pronamespace = any(%(oids)s) and prokind in ('f', 'p')
    and not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e')
"""


def schema_text(url: str, schemas: Sequence[str]) -> str:
    """Every schema, type, table, view and function of these schemas as SQL, with constraints, indexes,
    triggers, policies, comments and grants. Reads only.
    """
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        # Empty, so that every name is printed with its schema.
        connection.execute("select set_config('search_path', '', false)")
        found = connection.execute(
            "select coalesce(array_agg(oid), '{}') as oids from pg_namespace where nspname = any(%s)",
            [list(schemas)],
        ).fetchone()
        given: Row = {"schemas": list(schemas), "oids": found["oids"] if found else []}
        relations = connection.execute(RELATIONS, given).fetchall()
        given["relations"] = [each["oid"] for each in relations]
        parts = {
            query: _by_relation(connection.execute(query, given).fetchall())
            for query in (COLUMNS, CONSTRAINTS, INDEXES, TRIGGERS, POLICIES)
        }
        blocks = _sorted(connection.execute(SCHEMAS, given).fetchall(), _schema)
        blocks += _sorted(connection.execute(TYPES, given).fetchall(), _type)
        blocks += _sorted(
            relations, lambda each: _relation(each, {q: of[each["oid"]] for q, of in parts.items()})
        )
        blocks += _sorted(connection.execute(FUNCTIONS, given).fetchall(), _function)
    return "\n\n".join(blocks) + "\n"


def _by_relation(rows: list[Row]) -> dict[int, list[Row]]:
    grouped: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["relation"]].append(row)
    return grouped


def _sorted(rows: list[Row], text: Any) -> list[str]:
    # Sorted here: the server's order depends on its collation.
    return [text(row) for row in sorted(rows, key=lambda each: str(each["name"]))]


def _schema(row: Row) -> str:
    return "\n".join([f"create schema {row['name']};", *_grants(row, "schema"), *_comment(row, "schema")])


def _type(row: Row) -> str:
    return "\n".join([f"create type {row['name']} as {row['body']};", *_comment(row, "type")])


def _function(row: Row) -> str:
    grants = _grants(row, "function") or ["-- executed by its owner only"]
    return "\n".join([f"{row['definition'].rstrip()};", *grants, *_comment(row, "function")])


def _relation(row: Row, parts: dict[str, list[Row]]) -> str:
    columns, name = parts[COLUMNS], row["name"]
    if row["kind"] in "vm":
        options = f" with ({', '.join(sorted(row['options']))})" if row["options"] else ""
        lines = [f"create view {name}{options} as", row["definition"].rstrip()]
    else:
        lines = _table(row, columns, parts[CONSTRAINTS])
    lines += sorted(f"{each['definition']};" for each in parts[INDEXES])
    lines += sorted(_trigger(each, name) for each in parts[TRIGGERS])
    lines += sorted(f"{each['definition']};" for each in parts[POLICIES])
    lines += _grants(row, "table") or (
        [] if any(each["acl"] for each in columns) else ["-- seen by its owner only"]
    )
    for each in columns:
        lines += _grants({**each, "name": name}, "table", f" ({each['name']})")
    lines += _comment(row, "view" if row["kind"] in "vm" else "table")
    for each in columns:
        lines += _comment({**each, "name": f"{name}.{each['name']}"}, "column")
    for each in sorted(parts[CONSTRAINTS], key=lambda each: str(each["name"])):
        lines += _comment({**each, "name": f"{each['name']} on {name}"}, "constraint")
    return "\n".join(lines)


def _table(row: Row, columns: list[Row], constraints: list[Row]) -> list[str]:
    inside = [f"    {_column(each)}" for each in columns]
    inside += sorted(f"    constraint {each['name']} {each['definition']}" for each in constraints)
    options = f" with ({', '.join(sorted(row['options']))})" if row["options"] else ""
    lines = [f"create table {row['name']} (", ",\n".join(inside), f"){options};"]
    if row["row_security"]:
        lines.append(f"alter table {row['name']} enable row level security;")
    if row["forced"]:
        lines.append(f"alter table {row['name']} force row level security;")
    return lines


def _column(row: Row) -> str:
    text = f"{row['name']} {row['type']}"
    if row["generated"]:
        text += f" generated always as ({row['value']}) stored"
    elif row["value"] is not None:
        text += f" default {row['value']}"
    if row["identity"]:
        text += f" generated {'always' if row['identity'] == 'a' else 'by default'} as identity"
    return text + (" not null" if row["required"] else "")


def _trigger(row: Row, table: str) -> str:
    return f"{row['definition']};" + (
        "" if row["enabled"] == "O" else f" -- on {table}, enabled: {row['enabled']}"
    )


def _grants(row: Row, kind: str, columns: str = "") -> list[str]:
    lines = []
    for item in row["acl"] or []:
        grantee, _, rest = item.rpartition("/")[0].rpartition("=")
        if grantee == row["owner"]:
            continue
        # A star after a letter is the grant option for it.
        letters, option = rest.replace("*", ""), " with grant option" if "*" in rest else ""
        # maintain (m) came with PostgreSQL 17 and is part of what `all` means there.
        every = kind == "table" and not columns and set(letters) - {"m"} == ALL_OF_A_TABLE
        words = "all" if every else ", ".join(f"{PRIVILEGES[each]}{columns}" for each in letters)
        lines.append(f"grant {words} on {kind} {row['name']} to {grantee or 'public'}{option};")
    return sorted(lines)


def _comment(row: Row, kind: str) -> list[str]:
    if not row["comment"]:
        return []
    quoted = row["comment"].replace("'", "''")
    return [f"comment on {kind} {row['name']} is '{quoted}';"]
