"""scheduled-checkin: how often, with which question and greeting; and what may change before it goes."""

from uuid import UUID

import pytest

from shared.db import Database
from tests.database.nudging import (
    NOON,
    ago,
    chosen,
    delivered,
    insert,
    person,
    run,
    said_to,
    set_columns,
    texts,
    undisturbed,
    with_commitment,
)
from tests.database.world import BentClock, World

AUDIENCE, FUNCTION = "people_checkin", "scheduled-checkin"
DAY_S = 86_400


@pytest.fixture
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A number without gaps, at noon."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


def silent(world: World) -> UUID:
    """Somebody who has not written for forty days."""
    return person(world, wrote="40 days")


def mood(world: World, profile: UUID, how_long: str, **answers: int) -> None:
    """A check-in that the person answered so long ago."""
    insert(world, "checkins", profile, created_at=ago(world, how_long), **answers)


def kind(world: World, profile: UUID) -> str:
    """Which question the person would get."""
    return str(chosen(world, AUDIENCE)[profile]["facts"]["kind"])


def test_bug_15_once_a_month_by_the_local_hour_and_low_is_low(
    world: World, db: Database, noon: BentClock
) -> None:
    """Sixty daily runs make two check-ins; 14:30 UTC is morning in São Paulo; a mood of 3 or 4 is not low."""
    profile = silent(world)
    noon.move_to("2026-11-18 14:30+00")
    sent: list[str] = []
    for _ in range(60):
        run(db, FUNCTION)
        sent += texts(delivered(world))
        noon.forward(DAY_S)
    assert len(sent) == 2
    assert all(text.startswith("Bom dia, Ana!") for text in sent)

    noon.forward(DAY_S)
    mood(world, profile, "1 day", mood=3, energy=4)
    assert kind(world, profile) == "generic"
    mood(world, profile, "1 hour", mood=4, energy=2)
    assert kind(world, profile) == "low"


MOODS = [
    ("29 days", {"mood": 2, "energy": 5}, "low"),
    ("29 days", {"mood": 5, "energy": 1}, "low"),
    ("29 days", {"mood": 2}, "low"),
    ("29 days", {"mood": 3, "energy": 3}, "generic"),
    ("29 days", {"energy": 3}, "generic"),
    ("29 days", {}, "generic"),
    ("30 days -1 second", {"mood": 1, "energy": 1}, "low"),
    ("30 days", {"mood": 1, "energy": 1}, "generic"),
]


@pytest.mark.parametrize(("how_long", "answers", "asked"), MOODS)
def test_low_is_two_or_less_on_a_scale_of_five_within_thirty_days(
    world: World, noon: BentClock, how_long: str, answers: dict[str, int], asked: str
) -> None:
    """Either of both answers is enough; what was not answered says nothing."""
    profile = silent(world)
    mood(world, profile, how_long, **answers)
    assert kind(world, profile) == asked


def test_only_the_last_mood_counts(world: World, noon: BentClock) -> None:
    """Who was low and then well is not asked about it."""
    profile = silent(world)
    mood(world, profile, "20 days", mood=1, energy=1)
    mood(world, profile, "10 days", mood=4, energy=4)
    assert kind(world, profile) == "generic"


def test_an_open_commitment_comes_first_and_the_earliest_of_them(
    world: World, db: Database, noon: BentClock
) -> None:
    """Before any mood; done, cancelled and undated ones stand behind."""
    profile = silent(world)
    mood(world, profile, "1 day", mood=1, energy=1)
    with_commitment(world, profile, due="9 days", title="Feito", completed=True)
    with_commitment(world, profile, due="8 days", title="Desfeito", commitment_status="cancelled")
    with_commitment(world, profile, title="Sem data", due_date=None)
    assert kind(world, profile) == "commitment"
    with_commitment(world, profile, due="-3 days", title="Ler")
    with_commitment(world, profile, due="-2 days", title="Nadar")
    run(db, FUNCTION)
    [text] = texts(delivered(world))
    assert "Nadar" in text


HOURS = [
    ("04:59", "Boa noite"), ("05:00", "Bom dia"), ("11:59", "Bom dia"), ("12:00", "Boa tarde"),
    ("17:59", "Boa tarde"), ("18:00", "Boa noite"), ("21:30", "Boa noite"),
]  # fmt: skip


@pytest.mark.parametrize(("hour", "greeting"), HOURS)
def test_the_greeting_is_that_of_the_local_hour(
    world: World, db: Database, noon: BentClock, hour: str, greeting: str
) -> None:
    """By the clock of São Paulo, on every edge of the day."""
    silent(world)
    noon.move_to(f"2026-11-18 {hour}-03")
    run(db, FUNCTION)
    [text] = texts(world.rows("select content from messaging.outbox"))
    assert text.startswith(f"{greeting}, Ana!")


def test_the_generic_question_is_stable_on_a_day_and_all_four_are_asked(
    world: World, noon: BentClock
) -> None:
    """Asking twice chooses the same text; over people and days all four appear."""
    people = [silent(world) for _ in range(40)]
    first, again = chosen(world, AUDIENCE), chosen(world, AUDIENCE)
    assert first == again
    assert {first[each]["facts"]["variant"] for each in people} == {0, 1, 2, 3}
    noon.forward(DAY_S)
    assert any(chosen(world, AUDIENCE)[p]["facts"]["variant"] != first[p]["facts"]["variant"] for p in people)


def test_what_went_out_is_noted_and_stands_in_the_history(
    world: World, db: Database, noon: BentClock
) -> None:
    """A refused check-in is none: the next day asks again."""
    profile = silent(world)
    run(db, FUNCTION)
    delivered(world, "rejected")
    assert said_to(world, profile) == []
    noon.forward(DAY_S)
    run(db, FUNCTION)
    sent = texts(delivered(world))
    assert said_to(world, profile) == sent and len(sent) == 1
    noted = world.value("select last_checkin_sent_at from public.profiles where id = %s", profile)
    assert noted == noon.now()


CHANGES = {
    "update public.profiles set last_user_message_at = messaging.clock()": "the person wrote meanwhile",
    "update public.profiles set status = 'paused'": "the person is no longer with us",
    "update public.profiles set last_checkin_sent_at = messaging.clock()": "the person was asked already",
    "update public.profiles set last_reactivation_sent = messaging.clock()": (
        "the person was written to already"
    ),
    "select messaging.opt_out(null, messaging.phone_key(phone), 'SAIR') from public.profiles": (
        "the person opted out"
    ),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.items())
def test_what_changed_before_it_went_withdraws_it(
    world: World, db: Database, noon: BentClock, change: str, reason: str
) -> None:
    """Asked again at begin: who wrote, left or said stop meanwhile is not asked."""
    silent(world)
    run(db, FUNCTION)
    world.rows(change)
    assert delivered(world) == []
    [message] = world.rows("select * from messaging.outbox")
    assert (message["dispatch_state"], message["reason"]) == ("withdrawn", reason)


def test_who_wants_peace_after_being_chosen_is_left_alone_until_then(
    world: World, db: Database, noon: BentClock
) -> None:
    """Do-not-disturb of an hour delays what is queued by an hour."""
    profile = silent(world)
    run(db, FUNCTION)
    undisturbed(world, profile)
    assert delivered(world) == []
    noon.forward(3600)
    assert len(delivered(world)) == 1


def test_a_profile_of_an_adopted_table_with_nothing_but_a_phone_is_no_trouble(
    world: World, noon: BentClock
) -> None:
    """No status is no active person; who never wrote and came nobody knows when is not asked."""
    world.rows("alter table public.profiles alter column created_at drop not null")
    world.rows("alter table public.profiles alter column status drop not null")
    nameless = person(world, wrote=None, name=None)
    strange = person(world, wrote="40 days")
    set_columns(world, "profiles", nameless, created_at=None)
    set_columns(world, "profiles", strange, status=None)
    assert chosen(world, AUDIENCE) == {}
