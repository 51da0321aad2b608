"""explain and forecast: why a message stands where it stands, and when it goes; and the pool as a table."""

import uuid
from typing import Any

import pytest

from tests.database.past import buffers, sent_long_ago
from tests.database.states import in_state
from tests.database.world import BentClock, Row, World

PERSON = "5511987654321"


def explain(world: World, message: int) -> Row:
    """What `roleta why MESSAGE` shows."""
    answer: Row = world.value("select messaging.explain(%s)", message)
    return answer


def forecast(world: World, message: int) -> Any:
    """When the message should leave; None when nobody can say."""
    return world.value("select messaging.forecast(%s)", message)


BECAUSE = {
    "accepted": "the provider accepted it",
    "rejected": "the provider gave no reason",
    "expired": "its time was over",
    "withdrawn": "a test",
    "unknown": "we cannot tell whether it was sent; it is never sent again by itself: a person decides",
    "sending": "it is at the provider now",
}


def test_each_state_says_why(world: World) -> None:
    """A settled message by its reason, an unknown one by what that means, one in flight by where it is."""
    answers = {state: explain(world, in_state(world, state))["because"] for state in BECAUSE}
    assert answers == BECAUSE
    held = explain(world, in_state(world, "held"))
    assert held["because"].startswith("waits until message ")
    assert held["because"].endswith("is settled")


def test_only_what_moves_by_itself_has_a_forecast(world: World) -> None:
    """Queued, leased and sending: a moment. Settled, held or unknown: none."""
    forecasts = {state: forecast(world, in_state(world, state)) for state in [*BECAUSE, "held", "leased"]}
    assert {state for state, moment in forecasts.items() if moment is not None} == {"sending", "leased"}


def waiting_reasons(world: World, number: uuid.UUID) -> dict[str, list[str]]:
    """What has to be done to the number for each reason that is not the message's own."""
    name = world.instance(number)["name"]
    return {
        f"the provider refuses the number {name}: token refused": [
            f"select messaging.halt_instance('{number}', 'token refused', 'test')"
        ],
        "everything is paused by Bia: a storm": ["select messaging.pause_all('Bia', 'a storm')"],
        "everything is paused by Bia": ["select messaging.pause_all('Bia')"],
        **{
            f"the number {name} is {status}": [
                f"select messaging.set_instance_status('{number}', '{status}', 'test')"
            ]
            for status in ("paused", "banned", "disconnected")
        },
    }


def test_what_keeps_a_number_from_sending_is_said_and_has_no_forecast(world: World) -> None:
    """Everything paused, the number down, the provider refusing it: the reason, and no invented moment."""
    number = world.number()
    message = world.enqueue(number)
    for because, orders in waiting_reasons(world, number).items():
        for order in orders:
            world.rows(order)
        answer = explain(world, message)
        assert (answer["because"], answer["expected_at"]) == (because, None)
        world.set_status(number, "active")
        world.value("select messaging.resume_all('test')")


def test_a_message_that_waits_for_its_time_or_its_turn_says_which(
    world: World, bent_clock: BentClock
) -> None:
    """Its own time, the recipient's night, or the pace of its number."""
    number = world.number()
    later = world.enqueue(number, not_before=bent_clock.now().replace(hour=18))
    assert explain(world, later)["because"] == "its time has not come"
    turn = world.enqueue(number)
    assert explain(world, turn)["because"].startswith("it waits for its turn at the pace of number")
    bent_clock.move_to("2025-06-10 23:00:00-03")
    night = world.enqueue(number, purpose=world.purpose("proactive", quiet_hours=True))
    world.claim()
    world.value("select messaging.expire_due()")
    for _ in range(3):
        for claimed in world.claim():
            world.record(world.begin(claimed)["attempt_id"])
        bent_clock.forward(60)
    assert explain(world, night)["because"] == "quiet hours"


def test_an_explanation_shows_the_whole_history_and_never_a_phone(world: World) -> None:
    """Moves, attempts and receipts in order, with who and when; of the phone the last four digits."""
    number = world.number()
    message = world.enqueue(number, phone=PERSON)
    world.record(world.begun(message), p_provider_message_id="P1", p_http_status=200)
    world.receipt(number, "P1", "delivered")
    answer = explain(world, message)
    assert [step["to"] for step in answer["history"]] == ["queued", "leased", "sending", "accepted"]
    assert [(a["outcome"], a["http_status"]) for a in answer["attempts"]] == [("accepted", 200)]
    assert [r["receipt"] for r in answer["receipts"]] == ["delivered"]
    assert answer["phone"] == "…4321"
    assert PERSON[:-4] not in str(answer)
    assert world.refusal("select messaging.explain(404)") == "WP002"


@pytest.mark.own_database
def test_a_forecast_is_near_what_happens(world: World, bent_clock: BentClock) -> None:
    """Thirty bulk messages behind two timed ones: each leaves within a tenth (and one gap) of its
    forecast."""
    number = world.number()
    bulk = world.purpose("news")
    world.rows("select setseed(0.3)")
    start = bent_clock.now()
    messages = [world.enqueue(number, purpose=bulk) for _ in range(30)]
    messages = [*(world.enqueue(number) for _ in range(2)), *messages]
    expected = {message: (forecast(world, message) - start).total_seconds() for message in messages}
    left: dict[int, float] = {}
    while len(left) < len(messages):
        for claimed in world.claim():
            left[claimed.message_id] = (bent_clock.now() - start).total_seconds()
            bent_clock.forward(0.5)
            world.record(world.begin(claimed)["attempt_id"])
        bent_clock.forward(world.value("select messaging.ready_in_s()") or 0.5)
    assert list(left) == messages
    for message in messages:
        assert left[message] == pytest.approx(expected[message], rel=0.1, abs=45.5), message


def test_messages_timed_for_one_moment_are_forecast_one_gap_apart(
    world: World, bent_clock: BentClock
) -> None:
    """A campaign for tomorrow at eight does not promise everybody eight sharp."""
    number = world.number()
    eight = bent_clock.now().replace(day=11, hour=8)
    late = bent_clock.now().replace(day=12)
    messages = [world.enqueue(number, not_before=eight, expires_at=late) for _ in range(10)]
    moments = [forecast(world, message) for message in messages]
    assert moments[0] == eight
    assert (moments[-1] - eight).total_seconds() >= 9 * 25


def test_a_forecast_never_promises_a_moment_of_the_night(world: World, bent_clock: BentClock) -> None:
    """What would come up after 22:00 and respects the night is promised for the morning."""
    bent_clock.move_to("2025-06-10 21:55:00-03")
    number = world.number()
    purpose = world.purpose("proactive", quiet_hours=True)
    last = [world.enqueue(number, purpose=purpose) for _ in range(30)][-1]
    in_the_night = "select messaging.quiet_until(messaging.forecast(%s), 'America/Sao_Paulo')"
    assert world.value(in_the_night, last) is None


def test_the_pool_as_a_table(world: World, bent_clock: BentClock) -> None:
    """One row per number: people and seats, its queue by lane, its next slot, what it did in the last
    hour."""
    number = world.number(seats=1)
    for n in range(2):
        world.profile(f"551190000000{n}", number)
    world.record(world.begun(world.enqueue(number)))
    world.reply(number, PERSON)
    for _ in range(3):
        world.enqueue(number)
    row = world.rows("select * from messaging.pool_overview()")[0]
    assert (row["people"], row["seats"], row["over_seats"]) == (2, 1, True)
    assert (row["replies"], row["timed"], row["bulk"], row["in_flight"]) == (1, 3, 0, 0)
    assert (row["accepted_hour"], row["last_accepted_at"]) == (1, bent_clock.now())
    assert row["next_send_at"] == world.sender(number)["next_send_at"]


def test_the_pools_queue_is_empty_when_its_last_message_goes(world: World, bent_clock: BentClock) -> None:
    """What is timed for tomorrow is counted for tomorrow, not as if it went now."""
    number = world.number()
    late = bent_clock.now().replace(day=12)
    world.enqueue(number, not_before=bent_clock.now().replace(day=11), expires_at=late)
    empty_at = world.rows("select queue_empty_at from messaging.pool_overview()")[0]["queue_empty_at"]
    assert empty_at >= bent_clock.now().replace(day=11)


@pytest.mark.audit_findings_expected
def test_the_pool_costs_no_more_for_what_was_sent_long_ago(world: World) -> None:
    """It is shown every few seconds: it reads what waits and the last hour, not the table once a number."""
    for number in (world.number(), world.number()):
        for _ in range(3):
            world.enqueue(number)
    without = buffers(world, "select * from messaging.pool_overview()")
    sent_long_ago(world)
    assert buffers(world, "select * from messaging.pool_overview()") < without + 100
