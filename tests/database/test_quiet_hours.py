"""Quiet hours: 22:00 to 08:00 on the recipient's own clock, for what nobody asked for."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.database.world import BentClock, World

SAO_PAULO = "America/Sao_Paulo"
UNTIL = "select messaging.quiet_until(%s::timestamptz, %s)"


def proactive(world: World, **columns: object) -> str:
    """A kind of message that respects the night; as bulk, for a day, unless said otherwise."""
    return world.purpose("proactive", quiet_hours=True, **columns)


def local(moment: str, zone: str = SAO_PAULO) -> datetime:
    """A moment on the clock of that zone."""
    return datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))


MOMENTS = [
    ("2025-06-10T21:59:59", SAO_PAULO, None),
    ("2025-06-10T22:00:00", SAO_PAULO, "2025-06-11T08:00:00"),
    ("2025-06-10T23:59:59", SAO_PAULO, "2025-06-11T08:00:00"),
    ("2025-06-11T00:00:00", SAO_PAULO, "2025-06-11T08:00:00"),
    ("2025-06-11T07:59:59", SAO_PAULO, "2025-06-11T08:00:00"),
    ("2025-06-11T08:00:00", SAO_PAULO, None),
    ("2025-06-30T23:00:00", "America/Manaus", "2025-07-01T08:00:00"),
    ("2024-12-31T22:30:00", "Europe/Lisbon", "2025-01-01T08:00:00"),
    # The night in which Lisbon's clocks go forward is an hour shorter, and still ends at 08:00.
    ("2025-03-29T22:00:00", "Europe/Lisbon", "2025-03-30T08:00:00"),
    ("2025-10-26T01:30:00", "Europe/Lisbon", "2025-10-26T08:00:00"),
]


def test_the_night_ends_at_eight_on_the_recipients_clock(world: World) -> None:
    """To the second, over midnight, month, year and a change of clocks."""
    for moment, zone, end in MOMENTS:
        assert world.value(UNTIL, local(moment, zone), zone) == (end and local(end, zone)), (moment, zone)


def test_what_falls_into_the_night_waits_for_the_morning(world: World, bent_clock: BentClock) -> None:
    """Nothing until 07:59:59; at 08:00 it goes; meanwhile the number sleeps until then."""
    bent_clock.move_to("2025-06-10 22:00:00-03")
    message = world.enqueue(world.number(), purpose=proactive(world))
    assert world.claim() == []
    assert (world.state(message), world.message(message)["reason"]) == ("queued", "quiet hours")
    assert world.value("select messaging.ready_in_s()") == 10 * 3600
    bent_clock.forward(10 * 3600 - 1)
    assert world.claim() == []
    bent_clock.forward(1)
    assert [row.message_id for row in world.claim()] == [message]


def test_what_is_not_worth_sending_in_the_morning_expires_at_night(
    world: World, bent_clock: BentClock
) -> None:
    """Its time ends before 08:00: expired, and the reason says so; one that lasts longer waits."""
    bent_clock.move_to("2025-06-10 23:00:00-03")
    number = world.number()
    short = world.enqueue(number, purpose=proactive(world), expires_at=local("2025-06-11T08:00:00"))
    lasting = world.enqueue(number, purpose="checkin", expires_at=local("2025-06-11T08:00:01"))
    assert world.claim() == []
    assert (world.state(short), world.state(lasting)) == ("expired", "queued")
    assert "quiet hours" in world.message(short)["reason"]


@pytest.mark.parametrize("purpose", ["welcome", "direct", "answer"])
def test_what_a_person_asked_for_goes_at_any_hour(world: World, bent_clock: BentClock, purpose: str) -> None:
    """A sign-up at 23:30 is welcomed at 23:30, and an answer is never late."""
    bent_clock.move_to("2025-06-10 23:30:00-03")
    message = world.enqueue(world.number(), purpose=purpose)
    assert [row.message_id for row in world.claim()] == [message]


def test_each_recipient_has_their_own_night(world: World, bent_clock: BentClock) -> None:
    """At 22:30 in São Paulo it is 21:30 in Manaus: that one goes, and is not kept back by the one before
    it."""
    bent_clock.move_to("2025-06-10 22:30:00-03")
    number = world.number()
    here = world.enqueue(number, purpose=proactive(world))
    west = world.enqueue(number, purpose="checkin", time_zone="America/Manaus")
    assert [row.message_id for row in world.claim()] == [west]
    assert world.state(here) == "queued"


def test_a_night_full_of_messages_does_not_keep_back_what_may_go(world: World, bent_clock: BentClock) -> None:
    """Fifty that wait for the morning step aside within three calls; in the morning they go one by one."""
    bent_clock.move_to("2025-06-10 22:00:00-03")
    number = world.number()
    purpose = proactive(world, lane="timed")
    waiting = {world.enqueue(number, purpose=purpose) for _ in range(50)}
    free = world.enqueue(number, purpose="direct")
    claimed = [row for _ in range(3) for row in world.claim()]
    assert [row.message_id for row in claimed] == [free]
    world.record(world.begin(claimed[0])["attempt_id"])
    bent_clock.move_to("2025-06-11 08:00:00-03")
    in_the_morning = [row.message_id for _ in range(3) for row in world.claim()]
    assert in_the_morning == [min(waiting)]


def test_the_night_is_asked_about_again_at_begin(world: World, bent_clock: BentClock) -> None:
    """Claimed at 21:59:30, begun at 22:00:10: refused, and in the morning it goes; the number is free at
    once."""
    bent_clock.move_to("2025-06-10 21:59:30-03")
    number = world.number()
    message = world.enqueue(number, purpose=proactive(world))
    claimed = world.claim()[0]
    bent_clock.forward(40)
    assert world.begin(claimed)["refusal"] == "quiet hours"
    assert world.message(message)["not_before"] == local("2025-06-11T08:00:00")
    other = world.enqueue(number)
    assert [row.message_id for row in world.claim()] == [other]
