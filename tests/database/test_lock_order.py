"""The order of locks (migrations/README.md) holds for LIDs, sightings, the sweep and effects: no deadlock."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from tests.database.agency_world import Agency
from tests.database.conftest import Worlds
from tests.database.sessions import Waiting
from tests.database.uncertain import PERSON, asked, attempt_of, trace, uncertain
from tests.database.world import BentClock, World

pytestmark = pytest.mark.scoreboard("R10", tier="landing")

PHONE, ANOTHER = "5511987654321", "5511912345678"
LID = "111222333444555@lid"
DELIVERY = "p_kind => 'delivery', p_receipt => 'read', p_receipt_ids => array['A']"
STOP = "p_kind => 'message', p_text => 'SAIR', p_command => 'stop'"


def told(world: World, function: str, number: UUID, what: str, phone: str = PHONE) -> bool:
    """An event of this number that bears a phone and its LID; whether it was new."""
    new: bool = world.value(
        f"select is_new from messaging.{function}(p_instance_id => %s, p_payload => '{{}}', p_phone => %s,"
        f" p_event_key => gen_random_uuid()::text, p_lid => %s, {what})",
        number, phone, LID,
    )  # fmt: skip
    return new


def invite(world: World, number: UUID, phone: str = PHONE) -> None:
    """Something waits for a person of ours that a stop withdraws."""
    purpose = world.purpose(f"invite {phone}", opt_out=True)
    world.enqueue(number, phone=phone, profile_id=str(world.profile(phone)), purpose=purpose)


def busy_number(world: World, function: str) -> UUID:
    """A number of the house or of an agency, with something waiting that a stop withdraws."""
    if function == "accept_event":
        number = world.number()
        invite(world, number)
        return number
    agency = Agency(world)
    client = agency.client()
    number = agency.connect(client)
    facts = {"client_id": str(client), "spoken_by": "client"}
    world.enqueue(number, phone=PHONE, purpose="agency_message", facts=facts)
    return number


@pytest.mark.parametrize("function", ["accept_event", "accept_agency_event"])
def test_a_receipt_and_a_stop_of_one_lid_do_not_deadlock(
    world: World, another: Worlds, function: str
) -> None:
    """A receipt that waits for its number, and a person's stop that comes to the same number behind it: both
    are taken, the waiting message is withdrawn."""
    number = busy_number(world, function)
    blocker, receipt, stop = another(), another(), another()
    blocker.rows("begin")
    blocker.rows("select from messaging.senders where instance_id = %s for no key update", number)
    first = Waiting(receipt, world, lambda: told(receipt, function, number, DELIVERY))
    second = Waiting(stop, world, lambda: told(stop, function, number, STOP))
    blocker.rows("rollback")
    assert (first.result(), second.result()) == (True, True)
    assert world.value("select count(*) from messaging.receipts") == 1
    assert world.value("select array_agg(dispatch_state::text) from messaging.outbox") == ["withdrawn"]


def test_an_erasure_and_a_stop_of_whoever_has_the_lid_now_do_not_deadlock(
    world: World, another: Worlds
) -> None:
    """A LID passes to another phone as the person who had it is erased: one is erased, the other's stop
    holds."""
    number = world.number()
    for phone in (PHONE, ANOTHER):
        invite(world, number, phone)
    told(world, "accept_event", number, "p_kind => 'delivery'")
    blocker, eraser, stop = another(), another(), another()
    blocker.rows("begin")
    blocker.rows("select from messaging.senders where instance_id = %s for no key update", number)
    erase = "select erased ->> 'withdrawn' from messaging.erase_messages(%s, 'Ana')"
    first = Waiting(eraser, world, lambda: eraser.value(erase, PHONE))
    second = Waiting(stop, world, lambda: told(stop, "accept_event", number, STOP, ANOTHER))
    blocker.rows("rollback")
    assert (first.result(), second.result()) == ("1", True)
    assert world.value("select array_agg(distinct dispatch_state::text) from messaging.outbox") == [
        "withdrawn"
    ]
    assert world.value("select array_agg(phone) from messaging.person_lids") == [ANOTHER]


@pytest.mark.parametrize("function", ["accept_event", "accept_agency_event"])
def test_a_lid_that_is_known_keeps_nobody_waiting(world: World, another: Worlds, function: str) -> None:
    """Two events of one person at once, of two numbers: what was noted today is not written again."""
    number = busy_number(world, function)
    told(world, function, number, DELIVERY)
    one, two = another(), another()
    two.rows("set lock_timeout = '5s'")  # to fail rather than wait for this very test
    one.rows("begin")
    assert told(one, function, number, "p_kind => 'delivery'")
    assert told(two, function, number, "p_kind => 'delivery'")
    one.rows("rollback")
    assert world.value("select count(*) from messaging.person_lids") == 1


def test_two_looks_into_the_queue_of_one_number_do_not_deadlock(world: World, another: Worlds) -> None:
    """An operator's `roleta reconcile` beside the hourly one, each with what the other did not see: the
    second waits for the first, and what it saw stands."""
    number = world.number()
    attempt = world.begun(world.enqueue(number, phone=PHONE))
    world.record(attempt, "unknown")

    def look(session: World, *ids: str) -> int:
        traces = [
            {
                "provider_message_id": each,
                "sent_by": "api",
                "phone": PHONE,
                "text": "Oi",
                "message_kind": "text",
            }
            for each in ids
        ]
        nothing: int = session.value(
            "select messaging.note_traces(array[%s::bigint], 'provider_queue', %s)",
            attempt, json.dumps(traces),
        )  # fmt: skip
        return nothing

    look(world, "A", "B", "C")
    blocker, hourly, by_hand = another(), another(), another()
    blocker.rows("begin")
    blocker.rows("select from messaging.sightings where provider_message_id = 'C' for update")
    first = Waiting(hourly, world, lambda: look(hourly, "A", "C"))
    second = Waiting(by_hand, world, lambda: look(by_hand, "B"))
    blocker.rows("rollback")
    assert (first.result(), second.result()) == (0, 0)
    assert world.value("select array_agg(provider_message_id) from messaging.sightings") == ["B"]


def test_the_sweep_and_a_list_over_two_numbers_do_not_deadlock(
    world: World, another: Worlds, bent_clock: BentClock
) -> None:
    """A worker died on the number of the higher id, something is over on the lower: the sweep does both, the
    list is enqueued."""
    low, high = sorted((world.number(), world.number()), key=str)
    lost = world.enqueue(high)
    world.claim()
    over = world.enqueue(low, expires_at=bent_clock.now() + timedelta(minutes=1))
    bent_clock.forward(600)
    blocker, caller, sweep = another(), another(), another()
    blocker.rows("begin")
    blocker.rows("select from messaging.senders where instance_id = %s for no key update", low)
    first = Waiting(caller, world, lambda: caller.enqueue_many([caller.wanted(low), caller.wanted(high)]))
    second = Waiting(sweep, world, lambda: sweep.value("select messaging.expire_due()"))
    blocker.rows("rollback")
    assert (len(first.result()), second.result()) == (2, 1)
    assert (world.state(lost), world.state(over)) == ("queued", "expired")


def test_what_a_lost_worker_had_taken_is_over_in_one_sweep(world: World, bent_clock: BentClock) -> None:
    """Taken, never begun, and past its time: nobody waits for the next sweep to learn it."""
    message = world.enqueue(world.number(), expires_at=bent_clock.now() + timedelta(minutes=1))
    world.claim()
    bent_clock.forward(600)
    assert world.value("select messaging.expire_due()") == 1
    assert world.state(message) == "expired"


def test_a_withdrawal_at_the_provider_and_an_erasure_do_not_deadlock(
    world: World, another: Worlds, bent_clock: BentClock
) -> None:
    """The hourly run notes what left the provider's queue as its person is erased: both are done."""
    number = world.number(gap=(0, 0))
    message = uncertain(world, number, dedupe_key=f"invite {PERSON}")
    asked(world, message, trace("P1"))
    world.rows("select messaging.gather_evidence(%s)", message)
    world.decide(message, "drop")
    blocker, hourly, eraser = another(), another(), another()
    blocker.rows("begin")
    blocker.rows("select from messaging.sightings for update")
    note, attempt = "select messaging.note_withdrawn(%s)", attempt_of(world, message)
    first = Waiting(hourly, world, lambda: hourly.rows(note, attempt))
    erase = "select erasure_id is not null from messaging.erase_messages(%s, 'Ana')"
    second = Waiting(eraser, world, lambda: eraser.value(erase, PERSON))
    blocker.rows("rollback")
    first.result()
    assert second.result()
    assert world.value("select count(*) from messaging.sightings") == 0


def test_an_effect_waits_for_nobody_who_holds_the_person(world: World, another: Worlds) -> None:
    """Stripe's event holds the person and comes to the number, a send is recorded there and comes to the
    person: the send is recorded, and its effect is written a moment later."""
    number = world.number(gap=(0, 0))
    profile = world.profile(PHONE)
    told = world.purpose("told", on_accepted="effect_checkin")
    attempt = world.begun(world.enqueue(number, phone=PHONE, profile_id=str(profile), purpose=told))
    stripe, recorder = another(), another()
    stripe.rows("begin")
    stripe.rows("select from public.profiles where id = %s for no key update", profile)
    recorder.rows("begin")
    recorded = Waiting(recorder, world, lambda: recorder.record(attempt))
    assert not recorded.is_waiting
    assert recorded.result()["dispatch_state"] == "accepted"
    waiting = Waiting(stripe, world, lambda: stripe.enqueue(number))
    recorder.rows("commit")
    assert waiting.result()
    stripe.rows("commit")
    assert [row["succeeded"] for row in world.rows("select * from messaging.retry_effects()")] == [True]
    assert world.value("select last_checkin_sent_at is not null from public.profiles")


def test_a_turn_takes_the_person_before_any_number(world: World, another: Worlds) -> None:
    """Stripe's event holds the person and comes to the number: the turn that waits for the person does not
    hold it."""
    number = world.number()
    profile = world.profile(PHONE)
    told(world, "accept_event", number, "p_kind => 'message', p_text => 'Oi', p_debounce_s => 0")
    [turn] = world.rows("select * from messaging.claim_turn('w')")
    stripe, worker = another(), another()
    stripe.rows("begin")
    stripe.rows("select from public.profiles where id = %s for no key update", profile)
    answered = Waiting(
        worker,
        world,
        lambda: worker.value(
            "select finished from messaging.finish_turn(%s, %s, %s, '[{\"text\": \"Oi\"}]', '{}', 'w')",
            turn["person_key"], turn["lease_token"], turn["last_event_id"],
        ),
    )  # fmt: skip
    stripe.rows("select from messaging.senders where instance_id = %s for no key update nowait", number)
    stripe.rows("commit")
    assert answered.result()


def test_what_takes_the_place_of_a_refused_message_goes_although_its_person_is_held(
    world: World, another: Worlds
) -> None:
    """Words in place of a spoken answer touch nothing of the person's: they wait for nobody, and for no
    retry."""
    number, profile = world.number(), world.profile(PHONE)
    spoken = {"kind": "audio", "media_url": "https://cdn.example/a.mp3"}
    said = {"profile_id": str(profile), "content": spoken, "facts": {"text": "Oi"}}
    attempt = world.begun(world.reply(number, PHONE, **said))
    stripe = another()
    stripe.rows("begin")
    stripe.rows("select from public.profiles where id = %s for no key update", profile)
    world.record(attempt, "rejected")
    assert world.value("select array_agg(content ->> 'kind' order by id) from messaging.outbox") == [
        "audio",
        "text",
    ]
    stripe.rows("commit")


def test_a_busy_person_keeps_no_other_effect_waiting(world: World, another: Worlds) -> None:
    """A worker passes over the one, writes the other, and the next run does the rest."""
    number = world.number(gap=(0, 0))
    told_to = world.purpose("told", on_accepted="effect_checkin")
    people = [world.profile(phone) for phone in (PHONE, ANOTHER)]
    numbers = [number, world.number(gap=(0, 0))]
    attempts = [
        world.begun(world.enqueue(each, purpose=told_to, profile_id=str(person)))
        for each, person in zip(numbers, people, strict=True)
    ]
    stripe = another()
    stripe.rows("begin")
    stripe.rows("select from public.profiles for no key update")
    for attempt in attempts:
        world.record(attempt)
    stripe.rows("commit")
    stripe.rows("begin")
    stripe.rows("select from public.profiles where id = %s for no key update", people[0])
    retry = "select succeeded from messaging.retry_effects()"
    assert [row["succeeded"] for row in world.rows(retry)] == [False, True]
    stripe.rows("commit")
    assert [row["succeeded"] for row in world.rows(retry)] == [True]
