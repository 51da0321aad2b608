"""A booked session begins when the person says so, and episodes stop: promises that our own texts make."""

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog

from shared.agent import FixedAgent, Reply, Request
from shared.db import Database
from shared.openai_agent import OpenAIAgent
from shared.texts_pt import conversation
from shared.turns import TurnDuty
from tests.agent_server import AgentServer, agent_server
from tests.database.talking import SETTINGS, Talk
from tests.database.world import BentClock, World


@pytest.fixture
def talk(world: World, db: Database) -> Talk:
    """A person, a number, no agent."""
    return Talk(world, db)


@pytest.fixture
def service() -> Iterator[AgentServer]:
    """The agent's service over real HTTP."""
    with agent_server() as running:
        yield running


@pytest.fixture
def with_agent(world: World, db: Database, service: AgentServer) -> Iterator[Talk]:
    """A person, a number and an agent."""
    settings = replace(SETTINGS, agent_url=service.url, agent_timeout_s=60)
    agent = OpenAIAgent(settings)
    yield Talk(world, db, agent, settings)
    agent.close()


def announced(talk: Talk, scheduled_in: str = "-2 min", **columns: object) -> uuid.UUID:
    """A session whose beginning the person was told of."""
    told: dict[str, object] = {"session_start_notified": True}
    made = talk.session("scheduled", scheduled_in)
    for column, value in (told | columns).items():
        talk.world.rows(f"update public.sessions set {column} = %s where id = %s", value, made)
    return made


def state(talk: Talk, session: uuid.UUID) -> str:
    """Where the session stands."""
    return str(talk.world.value("select status from public.sessions where id = %s", session))


@pytest.mark.parametrize("said", ["vamos", "Bora!", "sim"])
def test_session_begins_when_the_person_says_so(
    world: World, db: Database, bent_clock: BentClock, said: str
) -> None:
    """In progress from then, the person's current one, opened in words, and the conversation is open."""
    talk = Talk(world, db)
    session = announced(talk)
    talk.say(said)
    assert talk.answer() and talk.texts() == [conversation.session_begun("Ana")]
    row = talk.world.rows("select status, started_at from public.sessions where id = %s", session)[0]
    assert row == {"status": "in_progress", "started_at": bent_clock.now()}
    assert talk.person()["current_session_id"] == session
    followup = talk.followup()
    assert followup is not None and followup["last_user_message_at"] == bent_clock.now()


def test_agent_opens_the_session_where_there_is_one(with_agent: Talk, service: AgentServer) -> None:
    """One opening, not two: the agent is told that the session begins, and its words go."""
    session = announced(with_agent)
    with_agent.say("vamos")
    assert with_agent.answer() and with_agent.texts() == ["Que bom te ouvir."]
    assert state(with_agent, session) == "in_progress"
    assert "começa agora" in service.questions[0].json["messages"][0]["content"]
    with_agent.say("quero falar do trabalho")
    assert with_agent.answer()
    assert "no meio de uma sessão" in service.questions[1].json["messages"][0]["content"]


@pytest.mark.parametrize(("active", "expected"), [(True, "in_progress"), (False, "scheduled")])
def test_agent_that_understands_other_words_begins_the_session_too(
    with_agent: Talk, service: AgentServer, active: bool, expected: str
) -> None:
    """ "Cheguei, desculpa o atraso" is no word of ours."""
    session = announced(with_agent)
    service.say({"bubbles": [{"text": "Que bom!"}], "session_active": active})
    with_agent.say("cheguei, desculpa o atraso")
    assert with_agent.answer() and state(with_agent, session) == expected


@pytest.mark.parametrize(
    ("scheduled_in", "columns"),
    [
        ("-2 min", {"session_start_notified": False}),
        ("-31 min", {}),
        ("16 min", {}),
        ("-2 min", {"status": "cancelled"}),
        ("-2 min", {"started_at": "2020-01-01"}),
    ],
    ids=["not told", "missed", "far ahead", "cancelled", "begun before"],
)
def test_word_that_nobody_asked_for_begins_nothing(
    talk: Talk, scheduled_in: str, columns: dict[str, object]
) -> None:
    """Only a session that was announced and waits, until it counts as missed."""
    session = announced(talk, scheduled_in, **columns)
    before = state(talk, session)
    talk.say("vamos")
    assert talk.answer() and talk.texts() == [conversation.fixed_answer("Ana")]
    assert state(talk, session) == before and talk.person()["current_session_id"] is None


def test_yes_begins_the_session_of_now_before_it_confirms_the_next(talk: Talk) -> None:
    """The latest question is the one that is answered."""
    session = announced(talk)
    tomorrow = talk.session("scheduled", "23 h", confirmation_requested=True)
    talk.say("sim")
    assert talk.answer() and state(talk, session) == "in_progress"
    confirmed = talk.world.value("select user_confirmed from public.sessions where id = %s", tomorrow)
    assert confirmed is None


@pytest.mark.parametrize("columns", [{}, {"status": "trial", "trial_conversations_count": 5}], ids=str)
def test_journeys_are_paused_as_the_first_episode_says(talk: Talk, columns: dict[str, object]) -> None:
    """Out of the journey, from the beginning (functions 2.14); also for a trial whose conversations are over,
    since episodes come to it too."""
    talk.world.rows(
        "insert into public.content_journeys (id, topic, title) values ('calma', 'calma', 'Calma')"
    )
    talk.set(current_journey_id="calma", current_episode=3, **columns)
    talk.say("Pausar jornadas")
    assert talk.answer() and talk.texts() == [conversation.journeys_paused("Ana")]
    person = talk.person()
    assert (person["current_journey_id"], person["current_episode"]) == (None, 0)


def test_pause_beside_other_words_is_made_and_they_are_answered(
    with_agent: Talk, service: AgentServer
) -> None:
    """Two lines at once: the confirmation, then the agent's answer to the other line."""
    with_agent.say("pausar jornadas")
    with_agent.say("mas me conta uma coisa boa")
    assert with_agent.answer()
    assert with_agent.texts() == [conversation.journeys_paused("Ana"), "Que bom te ouvir."]
    assert service.questions[0].json["messages"][-1]["content"] == "mas me conta uma coisa boa"


class DefectiveAgent(FixedAgent):
    """An agent that breaks its promise never to raise."""

    def answer(self, request: Request) -> Reply | None:
        """Raises with the person's words in the error."""
        raise ValueError(request.text)


def test_defect_of_ours_leaves_the_fixed_answer_and_no_words_in_the_log(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    """A turn that fails each time must not come back for ever."""
    duty = TurnDuty(talk.db, SETTINGS, structlog.get_logger(), DefectiveAgent())
    talk.say("segredo")
    assert duty.run_once("w") and talk.texts() == [conversation.fixed_answer("Ana")]
    assert not duty.run_once("w")
    told = "".join(capsys.readouterr())
    assert "turn.failed" in told and "ValueError" in told and "segredo" not in told
