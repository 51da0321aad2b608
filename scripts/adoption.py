"""What an existing project holds that our rules do not allow, before or after it is migrated. Only reads."""

from dataclasses import dataclass
from typing import LiteralString

from shared.db import Database


@dataclass(frozen=True)
class Finding:
    """One thing to look at. `blocks`: something of ours does less while it stands."""

    what: str
    rows: int
    example: str
    blocks: bool
    remedy: str


@dataclass(frozen=True)
class _Question:
    needs: tuple[str, ...]
    query: LiteralString
    what: str
    blocks: bool
    remedy: str


_QUESTIONS = (
    _Question(
        ("whatsapp_instances.status",),
        """
        select i.name || ': ' || coalesce(i.status, 'null') as example from public.whatsapp_instances as i
        where i.status is null or i.status not in ('active', 'paused', 'banned', 'disconnected')
        """,
        "numbers whose status is none of active, paused, banned, disconnected",
        True,
        "they never send; set one of the four",
    ),
    _Question(
        ("whatsapp_instances.zapi_instance_id",),
        """
        select string_agg(i.name, ', ' order by i.name) as example from public.whatsapp_instances as i
        where i.zapi_instance_id is not null group by i.zapi_instance_id having count(*) > 1
        """,
        "Z-API instances that are several numbers here",
        True,
        "one WhatsApp number would have two paces: keep one row, move its people there, delete the others",
    ),
    _Question(
        ("profiles.phone",),
        # The rule of messaging.phone_key, which may not be there yet.
        r"""
        select min(right(k.phone, 4)) as example
        from (
            select
                p.phone,
                regexp_replace(
                    regexp_replace(p.phone, '[^0-9]', '', 'g'), '^(55[1-9]{2})9([6-9][0-9]{7})$', '\1\2'
                ) as phone_key
            from public.profiles as p
        ) as k
        where k.phone_key <> '' group by k.phone_key having count(*) > 1
        """,
        "phones that several profiles share, counting the forms with and without the ninth digit as one",
        True,
        "the index on phones stays plain; merge the profiles, then roll 0005 back and apply it again",
    ),
    _Question(
        ("profiles.phone",),
        """
        select right(p.phone, 4) as example from public.profiles as p
        where regexp_replace(p.phone, '[^0-9]', '', 'g') ~ '^[1-9]{2}(9[0-9]{8}|[2-5][0-9]{7})$'
        """,
        "phones that look Brazilian and lack the country code",
        False,
        "providers report phones with it, so these people would be strangers: put 55 before them",
    ),
    _Question(
        ("profiles.whatsapp_instance_id", "whatsapp_instances.id"),
        """
        select p.id::text as example from public.profiles as p
        left join public.whatsapp_instances as i on p.whatsapp_instance_id = i.id
        where p.whatsapp_instance_id is not null and i.id is null
        """,
        "profiles on a number that does not exist",
        True,
        "the foreign key stays unvalidated; set whatsapp_instance_id to null or to a number",
    ),
    _Question(
        ("whatsapp_instances.current_users", "profiles.whatsapp_instance_id"),
        """
        select format('%s: %s counted, %s bound', i.name, i.current_users, count(p.id)) as example
        from public.whatsapp_instances as i
        left join public.profiles as p on i.id = p.whatsapp_instance_id
        group by i.id, i.name, i.current_users having i.current_users <> count(p.id)
        """,
        "numbers whose counter is not their people",
        False,
        "the migration sets them right",
    ),
    _Question(
        ("whatsapp_instances.max_users", "profiles.whatsapp_instance_id"),
        """
        select format('%s: %s of %s', i.name, count(p.id), i.max_users) as example
        from public.whatsapp_instances as i
        inner join public.profiles as p on i.id = p.whatsapp_instance_id
        group by i.id, i.name, i.max_users having count(p.id) > i.max_users
        """,
        "numbers with more people than seats",
        False,
        "nobody is moved and nobody is added",
    ),
    _Question(
        ("profiles.phone",),
        """
        select c.relname::text as example from pg_class as c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relrowsecurity
        and exists (
            select from pg_roles as r
            where r.rolname = 'anon' and has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
        )
        order by c.relname
        """,
        "tables that anybody who knows the project's address and page key may read or write",
        False,
        "row security is off and anon has rights: enable it, or revoke them",
    ),
)


def check(db: Database) -> list[Finding]:
    """Everything that is found; questions about columns that are not there are passed over."""
    there = {
        row["name"]
        for row in db.rows(
            """
            select c.table_name || '.' || c.column_name as name from information_schema.columns as c
            where c.table_schema = 'public'
            """
        )
    }
    findings = []
    for question in _QUESTIONS:
        if not set(question.needs) <= there:
            continue
        rows = db.rows(question.query)
        if rows:
            example = str(rows[0]["example"])
            findings.append(Finding(question.what, len(rows), example, question.blocks, question.remedy))
    return findings
