"""Effects that are written late: dated when the message was sent, never over what is newer."""

from uuid import UUID

import pytest

from tests.database.conftest import Worlds
from tests.database.nudging import NOON, insert, person, set_columns
from tests.database.world import BentClock, World

FIVE_HOURS_S = 5 * 3600.0
# What each kind of message dates, as a query over the only row of it.
DATED = {
    "answer": "select created_at from public.messages",
    "meditation": "select sent_at from public.user_meditation_history",
    "checkin": "select last_checkin_sent_at from public.profiles",
    "reactivation": "select last_reactivation_sent from public.profiles",
    "commitment_followup": "select last_follow_up_at from public.commitments",
    "conversation_followup": "select last_followup_at from public.conversation_followups",
    "content": "select last_content_sent_at from public.profiles",
    "content_completed": "select last_content_sent_at from public.profiles",
    "schedule_setup": "select schedule_setup_sent_at from public.profiles",
    "schedule_renewal": "select schedule_renewal_sent_at from public.profiles",
    "session_rating": "select due_date - interval '24 hours' from public.commitments",
}
FACTS = {"text": "Oi", "level": 1, "step": 1, "meditation_id": "m1", "journey_id": "j1", "episode": 1}


@pytest.fixture
def number(world: World, bent_clock: BentClock) -> UUID:
    """A number without gaps, at noon; every kind of message is due to everybody."""
    bent_clock.move_to(NOON)
    world.rows("update messaging.purposes set still_due = null")
    return world.number(gap=(0, 0))


def concerned(world: World, purpose: str) -> tuple[UUID, str]:
    """A person of whom the effect of this purpose has something to write, and its subject."""
    profile = person(world)
    world.rows("insert into public.meditations (id, title, category) values ('m1', 'Respirar', 'sono')")
    world.rows("insert into public.content_journeys (id, topic, title) values ('j1', 't', 'Jornada')")
    set_columns(world, "profiles", profile, current_journey_id="j1")
    insert(world, "conversation_followups", profile)
    if purpose == "session_rating":
        insert(world, "sessions", profile, scheduled_at=NOON, status="completed", commitments='["Caminhar"]')
        return profile, world.value("select messaging.session_subject(s) from public.sessions as s")
    return profile, str(insert(world, "commitments", profile, title="Caminhar", due_date=NOON))


def failing(world: World, purpose: str) -> str:
    """Takes the effect of this purpose away; its name."""
    effect: str = world.value("select on_accepted from messaging.purposes where purpose = %s", purpose)
    world.rows(f"alter function messaging.{effect}(bigint) rename to away")
    return effect


def told(world: World, number: UUID, profile: UUID, purpose: str, subject: str) -> None:
    """The person is sent a message of this kind, and the provider has it."""
    message = world.enqueue(number, purpose=purpose, profile_id=profile, subject_id=subject, facts=FACTS)
    world.record(world.begun(message))


def retried(world: World) -> list[bool]:
    """What retry_effects says of each."""
    return [row["succeeded"] for row in world.rows("select * from messaging.retry_effects()")]


@pytest.mark.parametrize("purpose", DATED)
def test_an_effect_that_is_tried_again_hours_later_is_dated_when_the_message_was_sent(
    world: World, bent_clock: BentClock, number: UUID, purpose: str
) -> None:
    """What was broken for hours moves nobody's next check-in or episode, nor a place in the history."""
    profile, subject = concerned(world, purpose)
    sent_at = bent_clock.now()
    effect = failing(world, purpose)
    told(world, number, profile, purpose, subject)
    world.rows(f"alter function messaging.away(bigint) rename to {effect}")

    bent_clock.forward(FIVE_HOURS_S)
    assert retried(world) == [True]
    assert world.value(DATED[purpose]) == sent_at


def test_an_effect_that_is_tried_again_does_not_date_back_what_is_newer(
    world: World, bent_clock: BentClock, number: UUID
) -> None:
    """A later message of the same kind has been noted meanwhile."""
    profile, subject = concerned(world, "checkin")
    effect = failing(world, "checkin")
    told(world, number, profile, "checkin", subject)
    world.rows(f"alter function messaging.away(bigint) rename to {effect}")
    bent_clock.forward(60)
    told(world, number, profile, "checkin", subject)
    newer = bent_clock.now()
    assert retried(world) == [True]
    assert world.value(DATED["checkin"]) == newer


def test_a_message_that_was_unknown_for_hours_stands_where_it_was_sent(
    world: World, bent_clock: BentClock, number: UUID
) -> None:
    """The receipt says at five that the text of noon arrived: the history has it at noon."""
    profile, subject = concerned(world, "answer")
    sent_at = bent_clock.now()
    message = world.enqueue(number, purpose="direct", profile_id=profile, subject_id=subject)
    world.record(world.begun(message), "unknown", p_provider_message_id="late")
    bent_clock.forward(FIVE_HOURS_S)
    world.receipt(number, "late", "delivered")
    assert world.state(message) == "accepted"
    assert world.value(DATED["answer"]) == sent_at


def test_a_locked_table_is_waited_for_once(world: World, another: Worlds, number: UUID) -> None:
    """Three effects wait for one table: trying again gives up at the first, and the next time takes another
    first; what was written before is not kept locked for seconds."""
    profile, subject = concerned(world, "checkin")
    effect = failing(world, "checkin")
    for _ in range(3):
        told(world, number, profile, "checkin", subject)
    world.rows(f"alter function messaging.away(bigint) rename to {effect}")
    other = another()
    with other.connection.transaction():
        other.rows("lock table public.profiles")
        assert retried(world) == [False]
    assert sorted(retried(world)) == [True, True, True]
