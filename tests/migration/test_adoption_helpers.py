"""The helpers of 0000.memory and 0001.adoption: create what is missing, undo that, keep what people wrote."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from scripts.schema_text import schema_text
from tests.migration.projects import Project

Connection = psycopg.Connection[tuple[Any, ...]]
ME = "9990.mine"


def ensure(helpers: Connection, kind: str, *arguments: str) -> bool:
    """Calls an ensure_ helper (or relax_, remember_) as migration ME."""
    marks = ", ".join(["%s"] * (len(arguments) + 1))
    row = helpers.execute(f"select roleta_migrations.{kind}({marks})", [ME, *arguments]).fetchone()
    assert row is not None
    return bool(row[0])


def undo(helpers: Connection) -> None:
    """Rolls ME back."""
    helpers.execute("select roleta_migrations.drop_created(%s)", [ME])


@pytest.fixture
def public_schema(adopted_project: Project) -> Callable[[], str]:
    """The text of schema public now."""
    return lambda: schema_text(adopted_project.superuser_url, ["public"])


def test_everything_together_is_undone_in_reverse(
    helpers: Connection, public_schema: Callable[[], str]
) -> None:
    """A table, a foreign key to it, columns, an index, row security and a dropped not null leave no trace."""
    before = public_schema()
    assert ensure(helpers, "ensure_table", "public.places", "id integer primary key")
    assert ensure(helpers, "ensure_column", "public.messages", "place_id", "integer")
    foreign_key = "foreign key (place_id) references public.places (id)"
    assert ensure(helpers, "ensure_constraint", "public.messages", "messages_place", foreign_key)
    index = "create index messages_place_id on public.messages (place_id)"
    assert ensure(helpers, "ensure_index", "public.messages_place_id", index)
    assert ensure(helpers, "ensure_row_security", "public.messages")
    assert ensure(helpers, "relax_not_null", "public.messages", "content")
    assert public_schema() != before
    undo(helpers)
    assert public_schema() == before


def test_what_is_there_already_is_left_alone(helpers: Connection, public_schema: Callable[[], str]) -> None:
    """Nothing is created where it exists, nothing recorded, so the rollback drops nothing."""
    before = public_schema()
    assert not ensure(helpers, "ensure_table", "public.messages", "id integer")
    assert not ensure(helpers, "ensure_column", "public.profiles", "name", "integer")
    assert not ensure(helpers, "ensure_index", "public.profiles_by_status", "select 1")
    assert not ensure(helpers, "ensure_constraint", "public.profiles", "profiles_phone_key", "check (false)")
    assert not ensure(helpers, "ensure_row_security", "public.profiles")
    assert not ensure(helpers, "relax_not_null", "public.profiles", "name")
    undo(helpers)
    assert public_schema() == before


def test_column_that_only_shows_its_default__dropped_without_asking(helpers: Connection) -> None:
    """A constant default, and the time that now() had when the column was added, are no data."""
    ensure(helpers, "ensure_column", "public.profiles", "seats", "integer not null default 5")
    ensure(helpers, "ensure_column", "public.profiles", "seen_at", "timestamptz not null default now()")
    undo(helpers)


@pytest.mark.parametrize("definition", ["text", "text default 'usual'", "text not null default 'usual'"])
def test_column_with_a_value__refused_with_its_count(helpers: Connection, definition: str) -> None:
    """One value that somebody wrote keeps the column, until data may be discarded."""
    ensure(helpers, "ensure_column", "public.profiles", "nickname", definition)
    helpers.execute("update public.profiles set nickname = 'Bru' where name = 'Bruno'")
    with pytest.raises(psycopg.Error, match=r"column public\.profiles\.nickname \(1 values\)") as refused:
        undo(helpers)
    assert refused.value.sqlstate == "WP005"
    helpers.execute("set roleta.discard_data = 'on'")
    undo(helpers)


def test_refusal_names_everything_at_stake(helpers: Connection) -> None:
    """One answer lists all tables and columns, so that one decision is enough."""
    ensure(helpers, "ensure_table", "public.places", "id integer")
    ensure(helpers, "ensure_column", "public.profiles", "nickname", "text default 'x'")
    helpers.execute("insert into public.places values (1), (2)")
    helpers.execute("update public.profiles set nickname = null")
    with pytest.raises(
        psycopg.Error, match=r"public\.places \(2 rows\), column public\.profiles\.nickname \(5"
    ):
        undo(helpers)


def test_check_that_adopted_rows_offend__binds_new_rows_only(helpers: Connection) -> None:
    """The offending row stays, is counted in a notice, and the constraint is not valid."""
    notices: list[str] = []
    helpers.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    check = "check (status in ('active', 'paused'))"
    ensure(helpers, "ensure_constraint", "public.whatsapp_instances", "known", check)
    assert any("1 rows of public.whatsapp_instances offend constraint known" in line for line in notices)
    assert _is_valid(helpers, "known") is False
    ensure(helpers, "ensure_constraint", "public.whatsapp_instances", "counted", "check (current_users >= 0)")
    assert _is_valid(helpers, "counted") is True


def test_foreign_key_that_adopted_rows_offend__binds_new_rows_only(helpers: Connection) -> None:
    """A reference to nothing is counted and kept; null references nothing and offends nothing."""
    helpers.execute("create table public.places (id uuid primary key)")
    notices: list[str] = []
    helpers.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    key = "foreign key (whatsapp_instance_id) references public.places (id)"
    ensure(helpers, "ensure_constraint", "public.profiles", "placed", key)
    assert any("3 rows of public.profiles offend constraint placed" in line for line in notices)
    assert _is_valid(helpers, "placed") is False


def test_unique_over_duplicates__refused_without_their_values(helpers: Connection) -> None:
    """A unique constraint cannot wait: it is refused in words that hold nothing of the rows."""
    with pytest.raises(psycopg.Error, match="holds duplicates") as refused:
        ensure(helpers, "ensure_constraint", "public.profiles", "one_plan", "unique (plan)")
    assert refused.value.sqlstate == "WP004"
    assert "essencial" not in str(refused.value)


def test_name_without_schema__refused(helpers: Connection) -> None:
    """A table is always named with its schema."""
    for call in (("ensure_table", "places", "id integer"), ("ensure_row_security", "messages")):
        with pytest.raises(psycopg.Error, match=r"schema\.table"):
            ensure(helpers, *call)


def test_grants_come_back_exactly(helpers: Connection, public_schema: Callable[[], str]) -> None:
    """Table grants, column grants and grant options are as before, whatever the migration did to them."""
    helpers.execute("grant select on public.whatsapp_instances to authenticated with grant option")
    helpers.execute("grant update (max_users) on public.whatsapp_instances to service_role")
    before = public_schema()
    ensure(helpers, "remember_grants", "public.whatsapp_instances")
    helpers.execute(
        "revoke all on public.whatsapp_instances from public, anon, authenticated, service_role cascade"
    )
    helpers.execute("grant select (name), insert on public.whatsapp_instances to anon")
    assert public_schema() != before
    undo(helpers)
    assert public_schema() == before


def test_replaced_function_comes_back__text_grants_and_comment(
    helpers: Connection, public_schema: Callable[[], str]
) -> None:
    """Also where the new one answers another type, and where the old body names tables without schema."""
    helpers.execute("revoke execute on function public.allocate_whatsapp_instance() from public, anon")
    before = public_schema()
    assert ensure(helpers, "remember_function", "public.allocate_whatsapp_instance()")
    helpers.execute("drop function public.allocate_whatsapp_instance()")
    helpers.execute(
        "create function public.allocate_whatsapp_instance() returns text language sql as 'select null'"
    )
    undo(helpers)
    assert public_schema() == before


def test_function_that_was_not_there__dropped(helpers: Connection, public_schema: Callable[[], str]) -> None:
    """Remembering that there was none makes the rollback drop what came."""
    before = public_schema()
    assert not ensure(helpers, "remember_function", "public.new_one(integer, text)")
    helpers.execute(
        "create function public.new_one(integer, text) returns integer language sql as 'select 1'"
    )
    undo(helpers)
    assert public_schema() == before


def test_second_replacement__rolls_back_to_the_first(helpers: Connection) -> None:
    """Each migration remembers what it found, so a rollback by one brings back the text in between."""
    replace = "create or replace function public.allocate_whatsapp_instance() returns uuid language sql as {}"
    ensure(helpers, "remember_function", "public.allocate_whatsapp_instance()")
    helpers.execute(replace.format("'select gen_random_uuid()'"))
    helpers.execute(
        "select roleta_migrations.remember_function('9991.next', 'public.allocate_whatsapp_instance()')"
    )
    helpers.execute(replace.format("'select null::uuid'"))
    helpers.execute("select roleta_migrations.drop_created('9991.next')")
    source = "select prosrc from pg_proc where oid = 'public.allocate_whatsapp_instance()'::regprocedure"
    assert helpers.execute(source).fetchone() == ("select gen_random_uuid()",)


def test_what_a_person_dropped_meanwhile_is_no_error(helpers: Connection) -> None:
    """A rollback after somebody tidied up by hand goes through."""
    ensure(helpers, "ensure_table", "public.places", "id integer")
    ensure(helpers, "ensure_column", "public.messages", "place_id", "integer")
    helpers.execute("drop table public.places; alter table public.messages drop column place_id")
    undo(helpers)


def test_not_null_that_rows_now_lack__refused(helpers: Connection) -> None:
    """A dropped not null cannot come back over rows without the value, unless they may stay as they are."""
    ensure(helpers, "relax_not_null", "public.whatsapp_instances", "zapi_token")
    helpers.execute("update public.whatsapp_instances set zapi_token = null where name = 'Aura #3'")
    with pytest.raises(psycopg.Error, match=r"whatsapp_instances\.zapi_token \(1 rows without it\)"):
        undo(helpers)
    helpers.execute("set roleta.discard_data = 'on'")
    undo(helpers)


def _is_valid(helpers: Connection, constraint: str) -> object:
    row = helpers.execute(
        "select convalidated from pg_constraint where conname = %s", [constraint]
    ).fetchone()
    return row[0] if row else None
