"""What needs no agent: ratings, confirmations, a trial that is used up, a subscription that is over."""

import datetime

import pytest

from shared import inbox
from shared.db import Database
from shared.texts_pt import conversation
from tests.database.talking import SETTINGS, Talk
from tests.database.world import BentClock, World


@pytest.fixture
def talk(world: World, db: Database) -> Talk:
    """A person, a number, no agent."""
    return Talk(world, db)


@pytest.mark.parametrize(("said", "given"), [("1", 1), ("nota 3", 3), ("4", 4), ("5 ⭐", 5)])
def test_bug_14_rating_is_read_as_it_is_asked_and_thanked_for_by_band(
    talk: Talk, said: str, given: int
) -> None:
    """One to five, in the forms that people use; three bands of thanks; both messages in the history."""
    talk.rated_session()
    talk.say(said)
    assert talk.answer() and talk.ratings() == [given]
    assert talk.texts() == [conversation.rated("Ana", given)]
    talk.send()
    assert talk.history() == [("user", said), ("assistant", conversation.rated("Ana", given))]


@pytest.mark.parametrize("said", ["0", "6", "8", "10", "4,5", "tenho 2 filhos"])
def test_what_is_no_rating_is_an_ordinary_message(talk: Talk, said: str) -> None:
    """The question asks for 1 to 5; nothing else is taken for an answer to it."""
    talk.rated_session()
    talk.say(said)
    assert talk.answer() and talk.ratings() == []
    assert talk.texts() == [conversation.fixed_answer("Ana")]


@pytest.mark.parametrize(
    "columns",
    [{"rating_requested": False}, {"status": "in_progress"}, {"ended_at": "2020-01-01"}],
    ids=["not asked", "not over", "long ago"],
)
def test_number_that_nobody_asked_for_is_no_rating(talk: Talk, columns: dict[str, object]) -> None:
    """Only within 24 hours of a completed session whose rating was asked for."""
    talk.rated_session(**columns)
    talk.say("5")
    assert talk.answer() and talk.ratings() == []


@pytest.mark.parametrize(("minutes", "expected"), [(24 * 60 - 1, [4]), (24 * 60, [])])
def test_rating_counts_to_the_last_minute_of_a_day(
    world: World, db: Database, bent_clock: BentClock, minutes: int, expected: list[int]
) -> None:
    """24 hours, not less and not more."""
    talk = Talk(world, db)
    talk.rated_session(ended_at=bent_clock.now() - datetime.timedelta(minutes=minutes))
    talk.say("4")
    assert talk.answer() and talk.ratings() == expected


def test_second_number_after_a_rating_is_no_second_rating(talk: Talk) -> None:
    """One rating for each session."""
    talk.rated_session()
    for said in ("5", "1"):
        talk.say(said)
        assert talk.answer()
    assert talk.ratings() == [5] and talk.texts()[-1] == conversation.fixed_answer("Ana")


@pytest.mark.parametrize("said", ["Sim!", "confirmo", "ok", "👍"])
def test_confirmation_is_kept_and_answered_with_the_local_time(
    world: World, db: Database, bent_clock: BentClock, said: str
) -> None:
    """São Paulo, whatever the server's zone."""
    talk = Talk(world, db)
    session = talk.session("scheduled", "23 h 30 min", confirmation_requested=True)
    talk.say(said)
    assert talk.answer()
    assert talk.texts() == [conversation.confirmed("Ana", "11/06", "11:30")]
    assert talk.world.value("select user_confirmed from public.sessions where id = %s", session) is True


@pytest.mark.parametrize("said", ["não", "sim, mas mais tarde", "quero remarcar"])
def test_words_about_another_time_are_left_to_the_agent(talk: Talk, said: str) -> None:
    """Only a lone yes confirms."""
    session = talk.session("scheduled", "23 h", confirmation_requested=True)
    talk.say(said)
    assert talk.answer() and talk.texts() == [conversation.fixed_answer("Ana")]
    assert talk.world.value("select user_confirmed from public.sessions where id = %s", session) is None


@pytest.mark.parametrize(
    ("status", "starts_in", "columns"),
    [
        ("scheduled", "-1 min", {"confirmation_requested": True}),
        ("scheduled", "23 h", {}),
        ("scheduled", "23 h", {"confirmation_requested": True, "user_confirmed": False}),
        ("cancelled", "23 h", {"confirmation_requested": True}),
    ],
    ids=["begun", "not asked", "answered", "cancelled"],
)
def test_yes_that_nobody_asked_for_confirms_nothing(
    talk: Talk, status: str, starts_in: str, columns: dict[str, object]
) -> None:
    """A session that is yet to come, was asked about and not answered."""
    talk.session(status, starts_in, **columns)
    talk.say("sim")
    assert talk.answer() and talk.texts() == [conversation.fixed_answer("Ana")]


def test_yes_to_a_time_that_was_moved_meanwhile_confirms_nothing(talk: Talk) -> None:
    """Between question and answer the session got another time: that one nobody confirmed."""
    session = talk.session("scheduled", "23 h", confirmation_requested=True)
    talk.say("sim")
    turn = inbox.claim_turn(talk.db, "w")
    assert turn is not None and turn.facts["awaiting_confirmation"]["session_id"] == str(session)
    talk.world.rows("update public.sessions set scheduled_at = scheduled_at + interval '1 day'")
    inbox.finish_turn(
        talk.db, turn, [inbox.Part("Combinado!")], by="test", result={"confirmed_session_id": str(session)}
    )
    assert talk.world.value("select user_confirmed from public.sessions") is None


def test_trial_is_counted_by_answered_turns_and_ends_with_one_text_a_day(
    world: World, db: Database, bent_clock: BentClock
) -> None:
    """Five conversations; then the way to go on, once in 24 hours, and nothing is passed on."""
    talk = Talk(world, db, status="trial")
    for _ in range(5):
        talk.say("um")
        talk.say("dois")
        assert talk.answer()
    assert talk.person()["trial_conversations_count"] == 5
    over = conversation.trial_over("Ana", SETTINGS.checkout_url)
    assert SETTINGS.checkout_url and SETTINGS.checkout_url in over
    for hours, texts in ((0, 6), (23.9, 6), (0.2, 7)):
        bent_clock.forward(hours * 3600)
        talk.say("e agora?")
        assert talk.answer() and len(talk.texts()) == texts
    assert talk.texts()[5:] == [over, over] and talk.person()["trial_conversations_count"] == 5
    assert [text for role, text in talk.history() if role == "user"][-3:] == ["e agora?"] * 3


def test_trial_of_somebody_who_pays_is_not_counted(talk: Talk) -> None:
    """Only who is on trial."""
    talk.say()
    assert talk.answer() and talk.person()["trial_conversations_count"] == 0


def test_canceled_person_is_told_how_to_go_on_once_a_week(
    world: World, db: Database, bent_clock: BentClock
) -> None:
    """In between there is silence, and every word is kept."""
    talk = Talk(world, db, status="canceled")
    for days, texts in ((0, 1), (6.9, 1), (0.2, 2)):
        bent_clock.forward(days * 86400)
        talk.say("oi")
        assert talk.answer() and len(talk.texts()) == texts
    assert set(talk.texts()) == {conversation.canceled("Ana", SETTINGS.checkout_url)}
    assert [role for role, _ in talk.history()] == ["user"] * 3
