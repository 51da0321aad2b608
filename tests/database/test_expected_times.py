"""expected_times: what `roleta run --dry-run` tells is what the forecast of the real messages says."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from tests.database.world import BentClock, World


def expected(world: World, *people: tuple[UUID, str]) -> list[datetime | None]:
    """The moments, in the order of the people."""
    asked = [{"profile_id": str(profile), "purpose": purpose} for profile, purpose in people]
    rows = world.rows("select * from messaging.expected_times(%s)", json.dumps(asked))
    assert [row["place"] for row in rows] == list(range(1, len(people) + 1))
    return [row["expected_at"] for row in rows]


def forecasts(world: World, *people: tuple[UUID, str]) -> list[Any]:
    """Enqueues for the same people in the same order, and asks the forecast."""
    phones = [
        world.value("select phone from public.profiles where id = %s", profile) for profile, _ in people
    ]
    wanted = [
        world.wanted(profile_id=str(profile), purpose=purpose, phone=phone)
        for (profile, purpose), phone in zip(people, phones, strict=True)
    ]
    ids = [row["message_id"] for row in world.enqueue_many(wanted)]
    return [world.value("select messaging.forecast(%s)", message) for message in ids]


@pytest.mark.parametrize(
    "now", ["2025-06-10 12:00:00-03", "2025-06-10 21:59:00-03", "2025-06-11 03:00:00-03"]
)
def test_it_is_the_forecast_before_there_is_a_message(world: World, now: str) -> None:
    """Two numbers, one with a queue and a draft, by day and before and in the quiet hours; to the second."""
    numbers = [world.number(), world.number()]
    quiet, loud = world.purpose("quiet one", quiet_hours=True), world.purpose("loud one")
    clock = BentClock(world, now)
    people = [world.profile(f"551198765{digit:04d}", numbers[digit % 2]) for digit in range(8)]
    for index in range(5):
        world.enqueue(numbers[0], purpose=["direct", loud][index % 2])
    world.enqueue(numbers[0], purpose=loud, compose="somebody")
    asked = [(profile, [quiet, loud, "direct"][index % 3]) for index, profile in enumerate(people)]
    told = expected(world, *asked)
    assert told == forecasts(world, *asked)
    assert min(moment for moment in told if moment) >= clock.now()


def test_a_profile_without_a_number_is_written_to_by_the_default_one(world: World) -> None:
    """As enqueue would choose; without any number there is no moment."""
    profile = world.profile("5511987650001")
    assert expected(world, (profile, "direct")) == [None]
    world.number()
    assert expected(world, (profile, "direct")) != [None]


def test_nobody_can_say_while_the_number_is_down_or_all_is_paused(world: World) -> None:
    """Null, not a guess."""
    number = world.number()
    profile = world.profile("5511987650001", number)
    assert expected(world, (profile, "direct")) != [None]
    world.set_status(number, "paused")
    assert expected(world, (profile, "direct")) == [None]
    world.set_status(number, "active")
    world.value("select messaging.pause_all('test')")
    assert expected(world, (profile, "direct")) == [None]


def test_of_nobody_there_is_nothing_to_expect(world: World) -> None:
    """An empty list; what is no list is refused."""
    assert expected(world) == []
    assert world.refusal("select * from messaging.expected_times('{}')") == "WP003"
