"""A turn from the words to the answer: the agent, audios, bubbles, what is written, what is held."""

import datetime
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared import inbox
from shared.db import Database
from shared.openai_agent import OpenAIAgent
from shared.texts_pt import conversation
from tests.agent_server import AgentServer, agent_server, failing, loopback_media
from tests.database.talking import SETTINGS, Talk
from tests.database.world import BentClock, World
from tests.waiting import eventually

AUDIO: dict[str, Any] = {"message_kind": "audio", "text": None}


@pytest.fixture
def service() -> Iterator[AgentServer]:
    """The agent's service over real HTTP."""
    with agent_server() as running:
        yield running


@pytest.fixture
def talk(world: World, db: Database) -> Talk:
    """A person, a number, no agent."""
    return Talk(world, db)


@pytest.fixture
def with_agent(world: World, db: Database, service: AgentServer) -> Iterator[Talk]:
    """A person, a number and an agent that hears and speaks."""
    settings = replace(
        SETTINGS,
        agent_url=service.url,
        transcription_model="whisper-1",
        speech_model="tts-1",
        agent_timeout_s=60,
    )
    agent = OpenAIAgent(settings, loopback_media())
    yield Talk(world, db, agent, settings)
    agent.close()


def test_rating_with_more_to_say_is_saved_and_the_rest_is_answered(
    with_agent: Talk, service: AgentServer
) -> None:
    """Two lines at once: the thanks, then the agent's answer to the other line."""
    with_agent.rated_session()
    with_agent.say("4")
    with_agent.say("mas queria falar do meu chefe")
    assert with_agent.answer() and with_agent.ratings() == [4]
    assert with_agent.texts() == [conversation.rated("Ana", 4), "Que bom te ouvir."]
    assert service.questions[0].json["messages"][-1]["content"] == "mas queria falar do meu chefe"


def test_only_who_asks_for_peace_gets_it_and_for_so_long(with_agent: Talk, service: AgentServer) -> None:
    """An ordinary answer leaves do-not-disturb as it is; a busy person's hours are written."""
    with_agent.say("oi")
    assert with_agent.answer()
    assert with_agent.person()["do_not_disturb_until"] is None
    for asked_h, given_h in ((4, 4), (168, 168)):
        service.say({"bubbles": [{"text": "Bom trabalho!"}], "do_not_disturb_h": asked_h})
        with_agent.say("estou trabalhando")
        before = with_agent.now()
        assert with_agent.answer()
        left = with_agent.person()["do_not_disturb_until"] - before
        assert abs(left.total_seconds() - given_h * 3600) < 60


def test_agent_is_asked_with_what_it_must_know(with_agent: Talk, service: AgentServer) -> None:
    """The words of the turn, the history before them, the trial, what was left unsaid."""
    with_agent.set(status="trial", trial_conversations_count=2)
    with_agent.say("primeiro")
    assert with_agent.answer()
    with_agent.send()
    with_agent.world.rows(
        "insert into public.aura_response_state (user_id, pending_content, pending_context)"
        " select user_id, 'ficou por dizer', 'o contexto' from public.profiles"
    )
    with_agent.say("segundo")
    with_agent.say("terceiro")
    assert with_agent.answer()
    asked = service.questions[-1].json["messages"]
    assert asked[-1] == {"role": "user", "content": "segundo\nterceiro"}
    assert [(each["role"], each["content"]) for each in asked[1:-1]] == [
        ("user", "primeiro"),
        ("assistant", "Que bom te ouvir."),
    ]
    assert all(word in asked[0]["content"] for word in ("Ana", "ficou por dizer", "o contexto"))
    assert with_agent.world.value("select pending_content from public.aura_response_state") is None
    assert with_agent.person()["trial_conversations_count"] == 4


def test_bubbles_leave_one_after_the_other_as_fast_as_they_are_read(
    with_agent: Talk, service: AgentServer, bent_clock: BentClock
) -> None:
    """Each waits one second and a sixtieth of each letter of those before it, at most five seconds each."""
    service.say({"bubbles": [{"text": "a" * 60}, {"text": "b" * 600}, {"text": "c"}]})
    with_agent.say()
    assert with_agent.answer()
    starts = [(row["not_before"] - bent_clock.now()).total_seconds() for row in with_agent.answers()]
    assert starts == [0, 2, 7]
    assert len(with_agent.send()) == 1
    bent_clock.forward(2)
    assert len(with_agent.send()) == 1
    bent_clock.forward(5)
    assert len(with_agent.send()) == 1


def test_spoken_bubble_goes_as_audio_and_stands_in_the_history_in_words(
    with_agent: Talk, service: AgentServer
) -> None:
    """An MP3 for the ear, the words for the agent's memory."""
    service.say({"bubbles": [{"text": "Respire comigo", "spoken": True}]})
    with_agent.say("ansiosa")
    assert with_agent.answer()
    [row] = with_agent.answers()
    assert row["content"]["kind"] == "audio"
    assert row["content"]["media_url"].startswith("data:audio/mpeg;base64,")
    with_agent.send()
    assert with_agent.history()[-1] == ("assistant", "Respire comigo")


def test_bubble_that_cannot_be_spoken_is_sent_to_be_read(with_agent: Talk, service: AgentServer) -> None:
    """Speech is a service that may fail."""
    service.speech = b"this is no MP3"
    service.say({"bubbles": [{"text": "Respire comigo", "spoken": True}]})
    with_agent.say("ansiosa")
    assert with_agent.answer()
    assert with_agent.answers()[0]["content"] == {"kind": "text", "text": "Respire comigo"}


def test_spoken_bubble_that_is_refused_goes_to_be_read(with_agent: Talk, service: AgentServer) -> None:
    """On the same number, once, and the turn is not written into the app again (functions 2.2, step 14)."""
    service.say({"bubbles": [{"text": "Respire comigo", "spoken": True}]})
    with_agent.set(status="trial")
    with_agent.say("ansiosa")
    assert with_agent.answer()
    [claimed] = with_agent.world.claim()
    with_agent.world.record(with_agent.world.begin(claimed)["attempt_id"], outcome="rejected")
    spoken, read = with_agent.answers()
    assert read["content"] == {"kind": "text", "text": "Respire comigo"}
    assert read["instance_id"] == spoken["instance_id"] and with_agent.send() == [read["id"]]
    assert with_agent.history() == [("user", "ansiosa"), ("assistant", "Respire comigo")]
    assert with_agent.person()["trial_conversations_count"] == 1


def test_agent_that_fails_leaves_the_fixed_answer(with_agent: Talk, service: AgentServer) -> None:
    """Nobody is left without a word."""
    service.trouble = failing(500)
    with_agent.say()
    assert with_agent.answer() and with_agent.texts() == [conversation.fixed_answer("Ana")]


def test_audio_is_heard_once_and_its_words_are_kept(with_agent: Talk, service: AgentServer) -> None:
    """The transcript is the message: for the agent, in the event, in the history."""
    event = with_agent.say(**AUDIO, media_url=service.file("/1.ogg"))
    assert with_agent.answer()
    assert service.questions[0].json["messages"][-1]["content"] == "Oi, tudo bem?"
    text = with_agent.world.value("select text from messaging.inbound_events where id = %s", event.event_id)
    assert text == "Oi, tudo bem?" and with_agent.history() == [("user", "Oi, tudo bem?")]


def test_audio_that_cannot_be_heard_is_apologised_for(with_agent: Talk, service: AgentServer) -> None:
    """The agent is not asked about nothing, and the trial is not charged for it."""
    with_agent.set(status="trial")
    with_agent.say(**AUDIO, media_url=f"{service.origin}/missing.ogg")
    assert with_agent.answer() and with_agent.texts() == [conversation.not_heard("Ana")]
    assert service.questions == [] and with_agent.person()["trial_conversations_count"] == 0


def test_audio_beside_words_that_cannot_be_heard_does_not_silence_the_words(
    with_agent: Talk, service: AgentServer
) -> None:
    """What could be read is answered."""
    with_agent.say("escuta:")
    with_agent.say(**AUDIO, media_url=f"{service.origin}/missing.ogg")
    assert with_agent.answer() and with_agent.texts() == ["Que bom te ouvir."]
    assert service.questions[0].json["messages"][-1]["content"] == "escuta:"


def test_spoken_rating_counts(with_agent: Talk, service: AgentServer) -> None:
    """Who says "nota cinco" need not type it."""
    service.transcript = {"text": "Nota cinco."}
    with_agent.rated_session()
    with_agent.say(**AUDIO, media_url=service.file("/1.ogg"))
    assert with_agent.answer() and with_agent.ratings() == [5]


def test_do_not_disturb_that_the_agent_understood_holds_for_its_hours(
    with_agent: Talk, service: AgentServer, bent_clock: BentClock
) -> None:
    """Until then; the next message ends it."""
    service.say({"bubbles": [{"text": "Bom trabalho!"}], "do_not_disturb_h": 4})
    with_agent.say("vou trabalhar")
    assert with_agent.answer()
    assert with_agent.person()["do_not_disturb_until"] == bent_clock.now() + datetime.timedelta(hours=4)
    bent_clock.forward(60)
    with_agent.say("voltei")
    assert with_agent.person()["do_not_disturb_until"] is None


def test_do_not_disturb_that_is_noted_late_silences_nobody_who_wrote_since(
    with_agent: Talk, service: AgentServer, bent_clock: BentClock
) -> None:
    """The app's table was broken when the agent understood it; meanwhile the person is back."""
    service.say({"bubbles": [{"text": "Bom trabalho!"}], "do_not_disturb_h": 4})
    with_agent.say("vou trabalhar")
    with_agent.world.rows("alter table public.messages rename to messages_away")
    assert with_agent.answer()
    with_agent.world.rows("alter table public.messages_away rename to messages")
    bent_clock.forward(60)
    with_agent.say("voltei")
    retried = with_agent.world.rows("select succeeded from messaging.retry_effects()")
    assert retried == [{"succeeded": True}]
    assert with_agent.person()["do_not_disturb_until"] is None


@pytest.mark.parametrize(
    ("reply", "is_open"),
    [
        ({"conversation_status": "awaiting"}, True),
        ({"session_active": True}, True),
        ({"conversation_status": "complete"}, False),
        ({"conversation_status": "neutral"}, False),
    ],
)
def test_conversation_is_open_while_an_answer_is_awaited(
    with_agent: Talk, service: AgentServer, bent_clock: BentClock, reply: dict[str, object], is_open: bool
) -> None:
    """Open: counted from now, from zero. Otherwise nobody is followed up."""
    service.say({"bubbles": [{"text": "E então?"}], "conversation_status": "awaiting"})
    with_agent.say()
    assert with_agent.answer()
    with_agent.world.rows(
        "update public.conversation_followups"
        " set followup_count = 2, conversation_context = 'o trabalho | leve'"
    )
    bent_clock.forward(60)
    service.say({"bubbles": [{"text": "Certo."}], **reply})
    with_agent.say()
    assert with_agent.answer()
    row = with_agent.followup()
    assert row is not None and row["followup_count"] == 0
    assert row["conversation_context"] == "o trabalho | leve"
    assert row["last_user_message_at"] == (bent_clock.now() if is_open else None)
    assert row["closed_at"] == (None if is_open else bent_clock.now())


def test_running_session_keeps_the_conversation_open_without_an_agent(talk: Talk) -> None:
    """The app's own table says that a session runs."""
    talk.session("in_progress", "-10 min")
    talk.say()
    assert talk.answer()
    row = talk.followup()
    assert row is not None and row["last_user_message_at"] is not None and row["closed_at"] is None


def test_bug_16_closed_conversation_is_not_stuck_at_99(with_agent: Talk, service: AgentServer) -> None:
    """Closing writes a moment, never a count; a row that the original closed with 99 opens again at zero."""
    with_agent.world.rows(
        "insert into public.conversation_followups (user_id, followup_count)"
        " select user_id, 99 from public.profiles"
    )
    service.say({"bubbles": [{"text": "E então?"}], "conversation_status": "awaiting"})
    with_agent.say()
    assert with_agent.answer()
    row = with_agent.followup()
    assert row is not None and (row["followup_count"], row["closed_at"]) == (0, None)
    assert row["last_user_message_at"] is not None
    service.say({"bubbles": [{"text": "Até!"}], "conversation_status": "complete"})
    with_agent.say("tchau")
    assert with_agent.answer()
    row = with_agent.followup()
    assert row is not None and row["followup_count"] == 0 and row["closed_at"] is not None


def test_bug_10_message_that_failed_does_not_stand_in_the_history(talk: Talk) -> None:
    """Only what the provider accepted was said."""
    first, second = talk.waiting_answer("aceita", "recusada")
    talk.world.rows("update messaging.outbox set not_before = created_at")
    talk.world.record(talk.world.begun(first))
    talk.world.record(talk.world.begun(second), "rejected")
    assert talk.history() == [("user", "oi"), ("assistant", "aceita")]


@pytest.mark.parametrize("standing", ["paused", "banned", "disconnected"])
def test_bug_03_number_that_is_down_holds_its_messages(world: World, db: Database, standing: str) -> None:
    """Nobody falls to the default number: what is enqueued waits on its own, and goes when it is back."""
    default = world.number(gap=(0, 0))
    talk = Talk(world, db)
    assert world.instance(default)["is_default"] and not world.instance(talk.number)["is_default"]
    world.set_status(talk.number, standing)
    message = world.enqueue(phone="5511987650001", profile_id=str(talk.profile))
    talk.say()
    assert talk.answer()
    assert {row["instance_id"] for row in talk.answers()} == {talk.number}
    assert world.message(message)["instance_id"] == talk.number
    assert world.claim(200) == [] and world.state(message) == "queued"
    world.set_status(talk.number, "active")
    assert {world.message(each)["instance_id"] for each in talk.send()} == {talk.number}


def test_slow_agent_keeps_nobody_else_waiting(world: World, with_agent: Talk, service: AgentServer) -> None:
    """While one person's answer is composed, another worker takes another person's turn."""
    other = world.profile("5511987650002", with_agent.number)
    service.open.clear()
    with_agent.say()
    slow = threading.Thread(target=with_agent.answer)
    slow.start()
    try:
        eventually(lambda: service.questions, what="a question to the agent")
        with_agent.say(phone="5511987650002")
        turn = inbox.claim_turn(with_agent.db, "w2")
        assert turn is not None and turn.profile_id == other
        assert inbox.claim_turn(with_agent.db, "w3") is None
    finally:
        service.open.set()
        slow.join(10)
    assert with_agent.texts() == ["Que bom te ouvir."]
