"""The audit views: each is able to fire, by a defect planted past every guard; and a healthy database is
silent."""

import pytest

from tests.database.states import in_state
from tests.database.world import World

ANY = "(select min(id) from messaging.outbox where dispatch_state = '{}')"
ATTEMPT = (
    "insert into messaging.attempts"
    " (message_id, instance_id, lane, worker, lease_token, begun_at, ended_at, outcome, gap_min_s)"
)
# finding -> statements that plant it, run without triggers and foreign keys in a database that holds one
# message in
# each state; each is undone afterwards.
PLANTED: dict[str, list[str]] = {
    "spoke_for_another": [
        "update public.whatsapp_instances set provider = 'evolution', agency_id = id, in_pool = false,"
        " is_default = false, evolution_instance_name = messaging.connection_name(id, id);"
        "update messaging.outbox set agency_id = instance_id,"
        " facts = jsonb_build_object('client_id', gen_random_uuid())",
    ],
    "connection_differs": [
        "update public.whatsapp_instances set provider = 'evolution', evolution_instance_name = id::text,"
        f" status = '{instance_status}';"
        "insert into public.whatsapp_connections"
        " (agency_id, status, whatsapp_instance_id, first_connected_at)"
        f" select id, '{status}', id, now() from public.whatsapp_instances"
        for status, instance_status in (("pending", "active"), ("connected", "disconnected"))
    ],
    "accepted_without_provider_id": [
        f"delete from messaging.attempts where message_id = {ANY.format('accepted')}",
        f"update messaging.attempts set outcome = 'unknown', provider_message_id = null"
        f" where message_id = {ANY.format('accepted')}",
    ],
    "several_paced_in_flight": [
        "drop index messaging.outbox_one_paced_in_flight;"
        "update messaging.outbox set instance_id = (select instance_id from messaging.outbox"
        " where dispatch_state = 'sending') where dispatch_state = 'leased'"
    ],
    "handed_over_twice": [
        f"{ATTEMPT} select message_id, instance_id, 'reply', 'w', gen_random_uuid(), begun_at, ended_at,"
        f" 'unknown', 0 from messaging.attempts where message_id = {ANY.format(state)}"
        for state in ("accepted", "unknown")
    ],
    "undecided_resend": [
        "insert into messaging.history (message_id, from_state, to_state, happened_at, changed_by)"
        f" values ({ANY.format('accepted')}, 'unknown', 'queued', now(), 'nobody')",
        "insert into messaging.history (message_id, from_state, to_state, happened_at, changed_by)"
        f" select {ANY.format('accepted')}, 'unknown', 'queued', now(), 'x' from generate_series(1, 2);"
        "insert into messaging.decisions (message_id, decision, decided_by, decided_at)"
        f" select {ANY.format('accepted')}, 'resend', 'reconcile', now() from generate_series(1, 2)",
    ],
    "sent_and_goes_again": [
        "insert into messaging.evidence (message_id, attempt_id, source, says, happened_at, seen_at, detail)"
        " select o.id, a.id, 'receipt', 'sent', now(), now(), o.id::text from messaging.outbox as o"
        " cross join (select max(id) as id from messaging.attempts where outcome is not null) as a"
        f" where o.dispatch_state = '{state}'"
        for state in ("unknown", "queued", "leased")
    ],
    "unknown_untold": [
        "update messaging.outbox set changed_at = now() - interval '25 h' where dispatch_state = 'unknown'",
        "update messaging.outbox set changed_at = now() - interval '25 h' where dispatch_state = 'unknown';"
        "insert into messaging.unknown_looks (message_id, looked_at, told_at)"
        " select id, now(), changed_at - interval '1 s' from messaging.outbox"
        " where dispatch_state = 'unknown'",
    ],
    "too_close": [
        f"{ATTEMPT} select message_id, instance_id, 'bulk', 'w', gen_random_uuid(),"
        " ended_at + interval '24 s', ended_at + interval '25 s', 'rejected', 25 from messaging.attempts"
        f" where message_id = {ANY.format('rejected')};"
        f"update messaging.attempts set gap_s = 25 where outcome = 'rejected' and gap_min_s = 0"
    ],
    "lease_out_of_state": [
        "alter table messaging.outbox drop constraint outbox_lease_iff_in_flight;"
        f"update messaging.outbox set lease_token = {token} where dispatch_state = '{state}'"
        for state, token in {"queued": "gen_random_uuid()", "leased": "null"}.items()
    ]
    + [
        "update messaging.attempts set outcome = 'unknown', ended_at = now() where outcome is null",
        f"update messaging.attempts set message_id = {ANY.format('leased')} where outcome is null",
    ],
    "seats_miscounted": [
        "update public.whatsapp_instances set current_users = current_users + 1",
        "delete from public.profiles",
    ],
    "illegal_history": [
        f"insert into messaging.history (message_id, from_state, to_state, happened_at, changed_by)"
        f" values ({ANY.format('accepted')}, 'accepted', 'queued', now(), 'nobody')",
        "delete from messaging.history where to_state = 'leased'",
        "update messaging.history set from_state = 'queued' where to_state = 'accepted'",
    ],
    "state_without_history": [
        "update messaging.outbox set dispatch_state = 'withdrawn' where dispatch_state = 'expired'",
        "update messaging.outbox set changed_at = now() + interval '1 s' where dispatch_state = 'accepted'",
        f"delete from messaging.history where message_id = {ANY.format('queued')}",
    ],
    "delivery_behind_receipts": [
        "update messaging.outbox set delivery_state = 'sent' where delivery_state = 'delivered'",
        "update messaging.outbox set delivery_state = null where delivery_state = 'delivered'",
        "update messaging.outbox set delivery_state = 'read' where delivery_state = 'delivered'",
    ],
    "receipt_not_applied": ["update messaging.receipts set message_id = null"],
    "tenants_mixed": [
        f"update messaging.outbox set agency_id = gen_random_uuid() where id = {ANY.format('queued')}",
        "update public.whatsapp_instances set agency_id = gen_random_uuid(), is_default = false",
    ],
    "pool_out_of_step": [
        "delete from messaging.pool_slots where slot = 1",
        "delete from messaging.pool_slots where slot = (select max(slot) from messaging.pool_slots)",
        "update messaging.pool_slots set slot = 1000 where slot = 1",
        "update public.whatsapp_instances set in_pool = false, is_default = false",
        "delete from messaging.senders",
    ],
    "forgotten_senders": ["update messaging.senders set ready_at = null"],
    "settled_but_held": [
        "update messaging.outbox set held_by = 'message 0' where dispatch_state = 'held'",
        "update messaging.outbox set dispatch_state = 'withdrawn' where dispatch_state = 'unknown'",
    ],
    "written_at_night": [
        "update messaging.outbox set purpose = 'content' where dispatch_state = 'accepted';"
        "update messaging.attempts set begun_at = '2026-03-03 23:30-03', ended_at = '2026-03-03 23:30-03'"
        " where outcome = 'accepted'",
    ],
    "written_after_opt_out": [
        "update messaging.outbox set purpose = 'session_rating' where dispatch_state = 'accepted';"
        "insert into messaging.opt_outs (phone_key, opted_out_at)"
        " select phone_key, created_at - interval '1 h' from messaging.outbox"
        " where dispatch_state = 'accepted'",
    ],
}


@pytest.fixture
def everything(world: World) -> World:
    """A healthy database with a message in each state, a receipt, and a person."""
    for state in (
        "accepted",
        "rejected",
        "unknown",
        "held",
        "leased",
        "sending",
        "expired",
        "withdrawn",
        "queued",
    ):
        in_state(world, state)
    row = world.rows(
        "select instance_id, provider_message_id from messaging.attempts where outcome = 'accepted'"
    )[0]
    world.receipt(row["instance_id"], row["provider_message_id"], "delivered")
    world.profile("5511987654321", row["instance_id"])
    return world


def test_every_view_has_its_planted_defect(world: World) -> None:
    """A new audit view joins the table above, or this fails."""
    views = world.rows("select viewname from pg_views where schemaname = 'audit' and viewname <> 'findings'")
    assert {row["viewname"] for row in views} == set(PLANTED)


def test_a_healthy_database_has_no_finding(everything: World) -> None:
    """Nothing is found where nothing is wrong, whatever states the messages are in."""
    assert everything.findings() == set()


@pytest.mark.own_database
def test_each_view_fires(everything: World) -> None:
    """For each planted defect its own view finds something, and audit_findings hands it on with evidence."""
    world = everything
    for view, plants in PLANTED.items():
        for plant in plants:
            world.rows("begin")
            world.rows("set local session_replication_role = replica")
            changed = [world.connection.execute(part.encode()).rowcount for part in plant.split(";")]
            assert max(changed) > 0, plant
            assert view in world.findings(), (view, plant)
            assert world.value(f"select count(*) from audit.{view}") > 0
            world.rows("rollback")
    assert world.findings() == set()
