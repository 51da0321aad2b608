"""conversation-followup: how long a conversation rests, how often it is followed up, what ends it."""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

import pytest

from shared.db import Database
from tests.database.nudging import (
    NOON,
    ago,
    chosen,
    conversation_of,
    delivered,
    insert,
    run,
    said_to,
    set_columns,
    texts,
    user_of,
    with_conversation,
    with_session,
    write_again,
)
from tests.database.world import BentClock, World

AUDIENCE, FUNCTION = "people_conversation_followup", "conversation-followup"
MINUTE_S = 60


@pytest.fixture
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A number without gaps, at noon."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


def say(world: World, profile: UUID, role: str, content: str, before: str) -> None:
    """One message of the history, so long before now."""
    insert(world, "messages", profile, role=role, content=content, created_at=ago(world, before))


def in_session(world: World, profile: UUID) -> None:
    """The person's session goes on, in a conversation that said goodbye: the session comes first."""
    with_session(world, profile, status="in_progress", started_at=ago(world, "20 hours"))
    said_goodbye(world, profile)


def said_goodbye(world: World, profile: UUID) -> None:
    """The person's last words close it, in a conversation that would be deep: the end comes first."""
    ten_messages(world, profile)
    say(world, profile, "user", "Muito obrigada, boa noite!", "23 hours")


def ten_messages(world: World, profile: UUID) -> None:
    """Ten messages, with a plan of sessions: depth comes first."""
    planned(world, profile)
    for minute in range(10):
        say(
            world, profile, "assistant" if minute % 2 else "user", "Conta mais.", f"30 hours {minute} minutes"
        )


def long_messages(world: World, profile: UUID) -> None:
    """The person's two messages have 100 characters on average."""
    say(world, profile, "user", "a" * 50, "30 hours")
    say(world, profile, "user", "b" * 150, "29 hours")


def planned(world: World, profile: UUID) -> None:
    """A plan with sessions."""
    plan_of(world, "direcao", 4)
    set_columns(world, "profiles", profile, plan="direcao")


def shallow(world: World, profile: UUID) -> None:
    """Nine messages, of which the person's have 99 characters on average; a plan without sessions."""
    plan_of(world, "essencial", 0)
    for minute in range(4):
        say(world, profile, "user", "c" * 99, f"30 hours {minute} minutes")
    for minute in range(5):
        say(world, profile, "assistant", "d" * 500, f"31 hours {minute} minutes")


def plan_of(world: World, plan: str, sessions: int) -> None:
    """The plan has so many sessions a month."""
    world.rows(
        "insert into public.plan_configs (plan, sessions_per_month) values (%s, %s)"
        " on conflict (plan) do update set sessions_per_month = excluded.sessions_per_month",
        plan,
        sessions,
    )


def nothing_more(_world: World, _profile: UUID) -> None:
    """No message, no plan."""


class Situation(NamedTuple):
    """How a conversation stands, how long it rests in minutes, and how often it is followed up at most."""

    make: Callable[[World, UUID], None]
    name: str
    rest_min: int
    at_most: int


SITUATIONS = [
    Situation(in_session, "session", 5, 4),
    Situation(said_goodbye, "ended", 360, 1),
    Situation(ten_messages, "deep", 240, 1),
    Situation(long_messages, "deep", 240, 1),
    Situation(planned, "plan", 60, 2),
    Situation(shallow, "plain", 30, 2),
    Situation(nothing_more, "plain", 30, 2),
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.make.__name__)
def test_each_situation_has_its_rest_and_its_number(
    world: World, noon: BentClock, situation: Situation
) -> None:
    """To the second, since the person's last message and since the last follow-up; and not once more."""
    make, name, rest_min, at_most = situation
    rested, long_ago = f"{rest_min} minutes", f"{rest_min + 600} minutes"
    exactly = with_conversation(world, wrote=rested, followup_count=at_most - 1)
    too_early = with_conversation(world, wrote=f"{rested} -1 second")
    again = with_conversation(world, wrote=long_ago, last_followup_at=ago(world, rested))
    again_too_early = with_conversation(
        world, wrote=long_ago, last_followup_at=ago(world, f"{rested} -1 second")
    )
    too_often = with_conversation(world, wrote=rested, followup_count=at_most)
    everybody = {exactly, too_early, again, again_too_early, too_often}
    for profile in everybody:
        make(world, profile)
    found = chosen(world, AUDIENCE)
    assert set(found) == {exactly, again}
    assert {row["facts"]["situation"] for row in found.values()} == {name}
    assert found[exactly]["facts"]["step"] == at_most


def test_bug_16_whole_words_no_nudge_after_a_session_and_nothing_stuck(
    world: World, db: Database, noon: BentClock
) -> None:
    """A "show" inside "shopping" ends nothing; right after a session nobody is nudged; what is closed stays
    closed, and a conversation left at 99 begins at nought when the person writes."""
    shopping = with_conversation(world, wrote="30 minutes")
    say(world, shopping, "user", "Fui ao shopping e topei com meu ex", "30 minutes")
    after_session = with_session(
        world, with_conversation(world), was="2 hours", status="completed", ended_at=ago(world, "59 minutes")
    )
    closed = with_conversation(world, closed_at=ago(world, "2 hours"))
    stuck = with_conversation(world, followup_count=99)
    assert set(chosen(world, AUDIENCE)) == {shopping}

    noon.forward(MINUTE_S)
    assert set(chosen(world, AUDIENCE)) == {shopping, after_session}

    # What the conversation's own functions write when the person writes and the answer awaits more.
    world.rows(
        "update public.conversation_followups set followup_count = 0,"
        " last_user_message_at = messaging.clock() where user_id = %s",
        user_of(world, stuck),
    )
    noon.forward(30 * MINUTE_S)
    assert stuck in chosen(world, AUDIENCE)
    assert closed not in chosen(world, AUDIENCE)


def test_the_question_is_the_one_before_the_persons_last_words(world: World, noon: BentClock) -> None:
    """What the assistant said after a lone yes does not make it an answer to itself."""
    answered = with_conversation(world, wrote="40 minutes")
    say(world, answered, "assistant", "Quer tentar de novo?", "50 minutes")
    say(world, answered, "user", "sim", "40 minutes")
    say(world, answered, "assistant", "Então vamos.", "39 minutes")
    confirmed = with_conversation(world, wrote="40 minutes")
    say(world, confirmed, "assistant", "Fica para amanhã.", "50 minutes")
    say(world, confirmed, "user", "ok", "40 minutes")
    say(world, confirmed, "assistant", "Como você está agora?", "39 minutes")
    assert set(chosen(world, AUDIENCE)) == {answered}


@pytest.mark.own_database
def test_a_session_is_followed_up_four_times_and_the_count_is_of_what_went_out(
    world: World, db: Database, noon: BentClock
) -> None:
    """Every five minutes, each time another line; a refused one does not count, nor stand in the history."""
    profile = with_conversation(world, wrote="5 minutes")
    with_session(world, profile, was="1 hour", status="in_progress")
    told: list[str] = []
    for minute in range(60):
        run(db, FUNCTION)
        outcome = "rejected" if minute == 0 else "accepted"
        sent = texts(delivered(world, outcome))
        told += sent if outcome == "accepted" else []
        noon.forward(MINUTE_S)
    # The first step was refused, and its key is spent: a nudge is not worth a second try.
    assert told == []
    write_again(world)
    for _ in range(60):
        noon.forward(MINUTE_S)
        run(db, FUNCTION)
        told += texts(delivered(world))
    assert len(told) == len(set(told)) == 4
    assert said_to(world, profile) == told
    assert conversation_of(world, profile)["followup_count"] == 4


def test_a_run_every_five_minutes_enqueues_each_step_once(
    world: World, db: Database, noon: BentClock
) -> None:
    """While the first still waits for its turn, later runs repeat it, and it expires after two hours."""
    with_conversation(world, wrote="30 minutes")
    answers = [run(db, FUNCTION)]
    [message] = world.rows("select * from messaging.outbox")
    assert (message["dispatch_state"], message["compose"]) == ("draft", "conversation_followup")
    assert (message["expires_at"] - message["created_at"]).total_seconds() == 2 * 3600
    for _ in range(30):
        noon.forward(5 * MINUTE_S)
        answers.append(run(db, FUNCTION))
    assert [answer["followupsSent"] for answer in answers] == [1] + [0] * 30
    assert delivered(world) == []


def test_the_rest_counts_from_what_the_person_wrote_last_anywhere(world: World, noon: BentClock) -> None:
    """A message that the conversation's row does not know yet is a message all the same."""
    profile = with_conversation(world, wrote="2 hours")
    assert profile in chosen(world, AUDIENCE)
    set_columns(world, "profiles", profile, last_user_message_at=ago(world, "29 minutes"))
    assert profile not in chosen(world, AUDIENCE)


def test_a_conversation_of_yesterday_is_not_followed_up(world: World, db: Database, noon: BentClock) -> None:
    """Adopted rows that stayed open for months make no flood."""
    with_conversation(world, wrote="24 hours")
    with_conversation(world, wrote="90 days")
    assert run(db, FUNCTION)["totalConversations"] == 0
