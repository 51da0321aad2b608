"""A long past, made at once: for tests of what must not grow with it."""

from tests.database.world import World

# Two days ago, by the first two numbers in turn; without the moves that only our own functions make.
MESSAGES = """
insert into messaging.outbox (
    dedupe_key, request_hash, instance_id, purpose, lane, phone, phone_key, content, not_before,
    expires_at, on_unknown, enqueued_by, dispatch_state, changed_by, created_at, changed_at
)
select
    'past ' || g, '', i.id, 'direct', 'timed', '5511900000000', '551100000000', '{}', t.at,
    t.at + interval '1 day', 'hold', 'test', 'accepted', 'test', t.at, t.at
from generate_series(1, %s) as g
cross join (select messaging.clock() - interval '2 days' as at) as t
cross join lateral (
    select n.id from public.whatsapp_instances as n order by n.id offset g %% 2 limit 1
) as i
"""
ATTEMPTS = """
insert into messaging.attempts (
    message_id, instance_id, lane, worker, lease_token, begun_at, ended_at, outcome, gap_s, gap_min_s,
    provider_message_id
)
select
    o.id, o.instance_id, o.lane, 'w', gen_random_uuid(), o.created_at, o.created_at, 'accepted', 0, 0,
    'P' || o.id
from messaging.outbox as o
where o.dispatch_state = 'accepted'
"""


def sent_long_ago(world: World, messages: int = 10_000) -> None:
    """So many messages of two days ago, accepted, with their attempts. They have no history, which the audit
    views find."""
    world.rows("set session_replication_role = replica")
    world.rows(MESSAGES, messages)
    world.rows(ATTEMPTS)
    world.rows("set session_replication_role = origin")


def buffers(world: World, query: str, *parameters: object) -> int:
    """How many pages the second run of a query reads, with fresh statistics."""
    world.rows("analyze messaging.outbox, messaging.attempts")
    world.rows(query, *parameters)
    plan = world.value(f"explain (analyze, buffers, format json) {query}", *parameters)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
