"""scheduled-followup: which commitment, at which level, how often; and what may change before it goes."""

from datetime import date
from uuid import UUID

import pytest

from shared.db import Database
from tests.database.nudging import (
    NOON,
    chosen,
    delivered,
    insert,
    midnight,
    person,
    run,
    said_to,
    set_columns,
    texts,
    with_commitment,
)
from tests.database.world import BentClock, Row, World

AUDIENCE, FUNCTION = "people_commitment_followup", "scheduled-followup"
DAY_S = 86_400


@pytest.fixture
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A number without gaps, at noon."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


def commitment_of(world: World, profile: UUID) -> Row:
    """The person's only commitment."""
    [row] = world.rows(
        "select c.* from public.commitments as c join public.profiles as p using (user_id) where p.id = %s",
        profile,
    )
    return row


def write(world: World, profile: UUID) -> None:
    """The person writes now, so that silence does not end the follow-ups."""
    world.rows("update public.profiles set last_user_message_at = messaging.clock() where id = %s", profile)


def test_bug_11_every_level_is_reached_since_only_what_went_out_counts(
    world: World, db: Database, noon: BentClock
) -> None:
    """A day on which the provider refused counts nothing; the three levels come one a day, then no more."""
    profile = with_commitment(world)
    told: list[str] = []
    for outcome in ("accepted", "rejected", "accepted", "accepted", "accepted"):
        run(db, FUNCTION)
        sent = texts(delivered(world, outcome))
        told += sent if outcome == "accepted" else []
        noon.forward(DAY_S)
        write(world, profile)

    assert len(told) == len(set(told)) == 3
    row = commitment_of(world, profile)
    assert (row["follow_up_count"], row["reminder_sent"]) == (3, True)
    assert said_to(world, profile) == told


def test_a_refused_followup_changes_nothing_in_the_app(world: World, db: Database, noon: BentClock) -> None:
    """Count, date and history stay as they were."""
    profile = with_commitment(world)
    before = commitment_of(world, profile)
    run(db, FUNCTION)
    assert len(delivered(world, "rejected")) == 1
    assert commitment_of(world, profile) == before
    assert said_to(world, profile) == []


def test_on_its_own_day_it_is_level_nought_and_counts_no_level(
    world: World, db: Database, noon: BentClock
) -> None:
    """Today's reminder is not the first of the three; the next day's is."""
    profile = with_commitment(world, due_date=midnight(world, "-1 hour"))
    assert chosen(world, AUDIENCE)[profile]["facts"]["level"] == 0
    run(db, FUNCTION)
    delivered(world)
    row = commitment_of(world, profile)
    assert (row["follow_up_count"], row["reminder_sent"]) == (0, False)
    assert row["last_follow_up_at"] == noon.now()
    noon.forward(DAY_S)
    assert chosen(world, AUDIENCE)[profile]["facts"]["level"] == 1


LEVELS = [
    ("2026-11-18 00:00-03", 0, 0),
    ("2026-11-18 23:59:59-03", 0, 0),
    ("2026-11-17 23:59:59-03", 0, 1),
    ("2026-11-17 22:00-03", 1, 2),
    ("2026-11-17 22:00-03", 2, 3),
    # As the original may have left it: counted before sending.
    ("2026-11-17 22:00-03", 9, 3),
    ("2026-11-18 10:00-03", 2, 0),
]


@pytest.mark.parametrize(("due", "count", "level"), LEVELS)
def test_level_follows_the_local_day_and_the_count(
    world: World, noon: BentClock, due: str, count: int, level: int
) -> None:
    """A day ends at midnight in São Paulo, three hours after the server's."""
    profile = with_commitment(world, due_date=due, follow_up_count=count)
    facts = chosen(world, AUDIENCE)[profile]["facts"]
    assert facts["level"] == level
    assert date.fromisoformat(facts["due_on"]).day == int(due[8:10])
    assert facts["day"] == "2026-11-18"


def test_a_person_gets_one_message_a_day_of_the_oldest_commitment(
    world: World, db: Database, noon: BentClock
) -> None:
    """However many are due and however often it runs; the next oldest follows when the first is through."""
    profile = with_commitment(world, due="3 days", title="Ler", follow_up_count=2)
    with_commitment(world, profile, due="2 days", title="Nadar")
    told: list[str] = []
    for _ in range(2):
        for _again in range(3):
            run(db, FUNCTION)
            told += texts(delivered(world))
        noon.forward(DAY_S)
    assert len(told) == 2
    assert "Ler" in told[0] and "Nadar" in told[1]


def test_a_second_run_changes_nothing_while_the_first_still_waits(
    world: World, db: Database, noon: BentClock
) -> None:
    """Same day, same commitment, same level: one message, whoever asks again."""
    with_commitment(world)
    first, second = run(db, FUNCTION), run(db, FUNCTION)
    assert (first["totalCommitments"], first["remindersSent"]) == (1, 1)
    assert (second["totalCommitments"], second["remindersSent"], second["repeated"]) == (1, 0, 1)
    assert len(delivered(world)) == 1


def test_another_commitment_that_waits_on_the_same_day_is_withdrawn(
    world: World, db: Database, noon: BentClock
) -> None:
    """An older one that turned up between two runs does not make it two messages a day."""
    profile = with_commitment(world, title="Nadar")
    run(db, FUNCTION)
    with_commitment(world, profile, due="3 days", title="Ler")
    run(db, FUNCTION)
    assert len(delivered(world)) == 1
    assert world.value("select reason from messaging.outbox where dispatch_state = 'withdrawn'") == (
        "the person was followed up today"
    )


CHANGES = {
    "update public.commitments set completed = true": "the commitment is done",
    "update public.commitments set commitment_status = 'cancelled'": "the commitment no longer stands",
    "update public.commitments set reminder_sent = true": "the person was reminded often enough",
    "update public.commitments set due_date = messaging.end_of_local_day(messaging.clock())": (
        "the commitment was put off"
    ),
    "update public.commitments set due_date = null": "the commitment was put off",
    "update public.commitments set last_follow_up_at = messaging.clock()": "the person was followed up today",
    "update public.profiles set status = 'canceled'": "the person is no longer with us",
    "delete from public.commitments": "the commitment is gone",
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.items())
def test_what_changed_before_it_went_withdraws_it(
    world: World, db: Database, noon: BentClock, change: str, reason: str
) -> None:
    """Asked again at begin: nothing goes out about what no longer holds."""
    with_commitment(world)
    run(db, FUNCTION)
    world.rows(change)
    assert delivered(world) == []
    [message] = world.rows("select * from messaging.outbox")
    assert (message["dispatch_state"], message["reason"]) == ("withdrawn", reason)


def test_nobody_is_chosen_in_an_evening_that_ends_before_the_morning(world: World, noon: BentClock) -> None:
    """At 22:00 what expires at midnight is not worth enqueueing; a second before it still is."""
    profile = with_commitment(world)
    noon.move_to("2026-11-18 21:59:59-03")
    assert profile in chosen(world, AUDIENCE)
    noon.move_to("2026-11-18 22:00-03")
    assert chosen(world, AUDIENCE) == {}


def test_nothing_goes_out_after_the_local_day(world: World, db: Database, noon: BentClock) -> None:
    """What could not leave by midnight expires; the next day asks anew, at the same level."""
    profile = with_commitment(world)
    run(db, FUNCTION)
    assert world.value("select expires_at from messaging.outbox") == midnight(world, "0")
    noon.forward(DAY_S)
    assert delivered(world) == []
    assert chosen(world, AUDIENCE)[profile]["facts"]["level"] == 1
    run(db, FUNCTION)
    assert len(delivered(world)) == 1


def test_an_adopted_table_with_nulls_is_served_like_ours(world: World, db: Database, noon: BentClock) -> None:
    """Flags and counts that nobody ever set mean no, nought and pending."""
    unset = ("completed", "reminder_sent", "commitment_status", "follow_up_count", "title")
    for column in unset:
        world.rows(f"alter table public.commitments alter column {column} drop not null")
    profile = with_commitment(world, **dict.fromkeys(unset))
    run(db, FUNCTION)
    assert len(delivered(world)) == 1
    row = commitment_of(world, profile)
    assert (row["follow_up_count"], row["reminder_sent"]) == (1, False)


def test_a_commitment_of_nobody_we_know_is_passed_over(world: World, noon: BentClock) -> None:
    """Rows of people without a profile, or without a phone, make no message and no error."""
    world.rows(
        "insert into public.commitments (user_id, title, due_date)"
        " values (gen_random_uuid(), 'Ler', messaging.clock())"
    )
    for phone in (None, "", "123"):
        profile = person(world)
        set_columns(world, "profiles", profile, phone=phone)
        insert(world, "commitments", profile, title="Ler", due_date=noon.now())
    assert chosen(world, AUDIENCE) == {}
