"""Whether the tests can fail: each defect is planted in the SQL of a database of its own, and a named
test catches it.

What the audit views catch is in test_audit, a bad draw in test_uniformity. Defects of every kind, in Python
and in what only a whole migration makes, are planted in a copy of the tree by scripts/defects.py (R16).
"""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.database import (
    test_allocation,
    test_begin,
    test_claim,
    test_enqueue,
    test_expiry,
    test_interleavings,
    test_lanes,
    test_quiet_hours,
    test_receipts,
    test_record,
    test_seats,
    test_sign_up,
    test_transitions,
)
from tests.database.conftest import Worlds
from tests.database.world import BentClock, Connect, World

pytestmark = pytest.mark.slow


class Sabotage(NamedTuple):
    """One change in the text of one function, and the test that must not pass any more."""

    function: str
    old: str
    new: str
    caught_by: Callable[..., None]
    arguments: Mapping[str, Any] = MappingProxyType({})


SABOTAGE = {
    "begin without the fence": Sabotage(
        "begin_attempt",
        "or v_message.lease_token is distinct from p_lease_token",
        "",
        test_begin.test_the_fence_refuses_whoever_does_not_hold_the_lease,
        {"token": None},
    ),
    "begin that does not look at the number": Sabotage(
        "begin_attempt",
        "not messaging.can_send(v_message.instance_id)",
        "false",
        test_begin.test_a_number_that_went_down_after_the_claim_refuses_and_the_message_waits,
        {"status": "banned"},
    ),
    "the seat not looked at again": Sabotage(
        "take_seat",
        "and messaging.has_room(i)",
        "",
        test_allocation.test_two_allocations_for_the_last_seat,
    ),
    "a claim that waits for other claims": Sabotage(
        "claim",
        "skip locked",
        "",
        test_interleavings.test_claim_against_claim_passes_over_a_locked_number,
    ),
    "replies without an order": Sabotage(
        "claim",
        "and messaging.is_next_reply(o)",
        "",
        test_lanes.test_replies_to_one_person_go_one_at_a_time_and_in_order,
    ),
    "an expired send that is sent again": Sabotage(
        "settle_expired",
        "v_message.id, 'unknown',",
        "v_message.id, 'queued',",
        test_claim.test_a_worker_that_died_after_begin_leaves_an_unknown_that_is_never_sent_again,
    ),
    "the gap counted from the begin": Sabotage(
        "follow_attempt",
        "v_now timestamptz := p_attempt.ended_at",
        "v_now timestamptz := p_attempt.begun_at",
        test_record.test_the_gap_is_counted_from_the_end_of_the_attempt,
    ),
    "answers that push without a bound": Sabotage(
        "follow_attempt",
        "secs => v_sender.reply_push_max_s::double precision",
        "days => 1",
        test_lanes.test_all_replies_together_push_a_waiting_message_at_most_their_bound,
        {"ends": "accepted"},
    ),
    "a second word that counts": Sabotage(
        "record_attempt",
        "if v_attempt.outcome is not null then",
        "if false then",
        test_record.test_the_first_word_stands_against_a_contradiction,
    ),
    "a broken effect that breaks the record": Sabotage(
        "run_effect",
        "when others then",
        "when division_by_zero then",
        test_record.test_a_broken_app_table_never_turns_accepted_into_unknown,
        {"breakage": "drop table public.messages"},
    ),
    "receipts that go back": Sabotage(
        "use_receipt",
        "> messaging.delivery_rank(o.delivery_state)",
        "<> messaging.delivery_rank(o.delivery_state)",
        test_receipts.test_delivery_only_moves_forward,
    ),
    "receipts that do not wait for their answer": Sabotage(
        "use_waiting_receipts",
        "and r.message_id is null",
        "and false",
        test_interleavings.test_a_record_waits_for_a_receipt_and_applies_it,
    ),
    "a settled unknown that releases nobody": Sabotage(
        "move",
        "if v_from = 'unknown' then",
        "if false then",
        test_receipts.test_a_settled_unknown_releases_what_it_held,
    ),
    "no night": Sabotage(
        "rule_against",
        "case when v_rules.quiet_hours then",
        "case when false then",
        test_quiet_hours.test_what_falls_into_the_night_waits_for_the_morning,
    ),
    "a sweep that expires what is in flight": Sabotage(
        "expire_due",
        "o.dispatch_state in ('draft', 'queued', 'held')",
        "o.dispatch_state in ('draft', 'queued', 'held', 'leased')",
        test_expiry.test_what_is_in_flight_does_not_expire,
    ),
    "a status that its sender does not feel": Sabotage(
        "follow_fitness",
        "perform messaging.wake(v_number.id);",
        "",
        test_interleavings.test_a_direct_update_as_service_role_is_felt_at_once,
    ),
    "senders locked out of order": Sabotage(
        "follow_fitness",
        "order by a.id",
        "order by a.id desc",
        test_interleavings.test_a_direct_update_of_many_numbers_does_not_deadlock_with_an_enqueue,
    ),
    "a move that is not counted": Sabotage(
        "move_seats",
        "sum(m.seats)::integer as seats",
        "greatest(sum(m.seats), 0)::integer as seats",
        test_seats.test_seats_follow_every_way_in_and_out,
    ),
    "an enqueue that wakes nobody": Sabotage(
        "enqueue_many",
        "perform messaging.wake(v_instance);",
        "",
        test_claim.test_one_paced_message_per_number_and_call,
    ),
    "a key of all tenants": Sabotage(
        "enqueue_many",
        "i.agency_id, e.value ->> 'dedupe_key'",
        "null, e.value ->> 'dedupe_key'",
        test_enqueue.test_a_key_belongs_to_its_tenant_and_the_house_is_one_tenant,
    ),
    "the other form of a phone as another person": Sabotage(
        "find_profile",
        "messaging.phone_key(p.phone) = messaging.phone_key(p_phone)",
        "p.phone = p_phone",
        test_sign_up.test_asked_again_in_the_other_form_it_gives_the_same_profile,
    ),
    "moves that nobody checks": Sabotage(
        "guard_transition",
        "and t.to_state = new.dispatch_state",
        "",
        test_transitions.test_a_message_is_born_queued_or_as_a_draft,
    ),
}


@pytest.mark.audit_findings_expected
@pytest.mark.parametrize("sabotage", SABOTAGE.values(), ids=SABOTAGE)
def test_a_planted_defect_is_caught(
    sabotage: Sabotage, world: World, another: Worlds, connect: Connect
) -> None:
    """With one change in the SQL the named test fails; were the text gone, the sabotage itself would fail."""
    source = world.value(
        "select pg_get_functiondef(oid) from pg_proc where pronamespace = 'messaging'::regnamespace"
        " and proname = %s",
        sabotage.function,
    )
    assert source.count(sabotage.old) > 0
    # A defect that makes sessions wait for ever must fail soon.
    database = connect().info.dbname
    world.rows(f"alter database {database} set lock_timeout = '2s'")
    world.connection.execute(source.replace(sabotage.old, sabotage.new).encode())
    wanted = inspect.signature(sabotage.caught_by).parameters
    fixtures: dict[str, object] = {"world": world, "another": another, "connect": connect}
    arguments = {name: fixtures[name] for name in wanted if name in fixtures} | dict(sabotage.arguments)
    if "bent_clock" in wanted:
        arguments["bent_clock"] = BentClock(world)
    with pytest.raises((AssertionError, psycopg.Error)):
        sabotage.caught_by(**arguments)
