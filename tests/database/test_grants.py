"""What the roles of PostgREST do and are refused, as stories; the whole list is tests/security/rights.txt.

Under permissive default grants (a Supabase project's) and restrictive ones: migrations rely on neither.
"""

from collections.abc import Iterator

import psycopg
import pytest

from scripts.embedded import bootstrap_supabase
from scripts.migrate import apply_all
from tests.database.world import World
from tests.servers import fresh_database

REFUSED = "42501"


@pytest.fixture(scope="module", params=["permissive", "restrictive"])
def granted(request: pytest.FixtureRequest, server_url: str) -> Iterator[World]:
    """A superuser's session on a database that was migrated under these default grants; tests leave it as
    it is."""
    with fresh_database(server_url) as url:
        bootstrap_supabase(url, request.param)
        apply_all(url, say=lambda _: None)
        with psycopg.connect(url) as connection:
            yield World(connection)


@pytest.fixture
def role(granted: World) -> Iterator[World]:
    """The same session for one test: `set role` and everything else is undone afterwards."""
    yield granted
    granted.connection.rollback()


@pytest.mark.parametrize("name", ["anon", "authenticated"])
def test_strangers_are_refused_when_they_try(role: World, name: str) -> None:
    """Not by a privilege function's word, but by the call itself."""
    role.rows(f"set role {name}")
    for statement in (
        "select public.allocate_whatsapp_instance(gen_random_uuid())",
        "select messaging.claim('w')",
        "select messaging.phone_key('5511987654321')",
        "select * from messaging.outbox",
        "select * from public.whatsapp_instances",
        "select * from audit.findings",
        "select * from roleta_migrations.created_objects",
    ):
        role.rows("savepoint before")
        assert role.refusal(statement) == REFUSED, statement
        role.rows("rollback to before")


def test_service_role_reads_and_changes_numbers_but_neither_counter_nor_id(role: World) -> None:
    """The seed's rule: select and update, except what belongs to a trigger; no insert, no delete."""
    number = role.number()
    role.rows("set role service_role")
    role.rows("select * from public.whatsapp_instances")
    role.rows("update public.whatsapp_instances set status = 'paused', max_users = 3 where id = %s", number)
    for statement in (
        "update public.whatsapp_instances set current_users = 0",
        "update public.whatsapp_instances set id = gen_random_uuid()",
        "insert into public.whatsapp_instances (name) values ('x')",
        "delete from public.whatsapp_instances",
        "truncate public.whatsapp_instances cascade",
        "update messaging.senders set gap_min_s = 0",
        "insert into messaging.control default values",
        "select messaging.move(1, 'accepted', 'me', 'because')",
        "select messaging.draw_instance('random')",
        "select setval('messaging.outbox_id_seq', 1)",
    ):
        role.rows("savepoint before")
        assert role.refusal(statement) == REFUSED, statement
        role.rows("rollback to before")


def test_service_role_runs_the_whole_way_of_a_message(role: World) -> None:
    """Sign-up, claim, begin, record, receipt, inbound turn, answer, cancel, overview: functions alone
    suffice."""
    role.rows("set role service_role")
    number = role.number()
    signed = role.sign_up("5511987654321")
    claimed = role.claim()[0]
    role.record(role.begin(claimed)["attempt_id"], p_provider_message_id="P1")
    assert role.receipt(number, "P1", "delivered") == signed["message_id"] == claimed.message_id
    role.rows(
        "select * from messaging.accept_event(%s, 'm1', 'message', '{}', '5511987654321', 'Oi', 'text',"
        " p_debounce_s => 0)",
        number,
    )
    role.rows(
        "select f.* from messaging.claim_turn('w') as t,"
        " messaging.finish_turn(t.person_key, t.lease_token, t.last_event_id, %s, '{}', 'w') as f",
        '[{"text": "Oi, Ana"}]',
    )
    assert [row.lane for row in role.claim()] == ["reply"]
    later = role.enqueue(number)
    assert role.value("select messaging.explain(%s) ->> 'dispatch_state'", later) == "queued"
    role.cancel(message_id=later)
    assert role.rows("select people, timed from messaging.pool_overview()") == [{"people": 1, "timed": 0}]
    assert role.rows("select * from messaging.audit_findings()") == []
