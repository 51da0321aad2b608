"""The summary of a session that nobody closed: written by the agent over what was said, or the fixed text."""

import json
from collections.abc import Iterator
from uuid import UUID

import pytest

from edge.runs import run_function
from shared import log
from shared.agent import Agent, from_settings
from shared.compose import DraftDuty
from shared.db import Database
from shared.settings import Settings
from shared.texts_pt import sessions as texts
from tests.agent_server import AgentServer, agent_server, failing
from tests.database import session_world as sessions
from tests.database.world import BentClock, World

WRITTEN = "Você trouxe o cansaço do trabalho. Ficou claro que falta pausa."


@pytest.fixture
def writer() -> Iterator[AgentServer]:
    """A service that writes."""
    with agent_server() as running:
        running.say(WRITTEN)
        yield running


@pytest.fixture
def agent(writer: AgentServer) -> Iterator[Agent]:
    """The agent over that service."""
    agent = from_settings(Settings(agent_url=writer.url, agent_timeout_s=5.0))
    yield agent
    agent.close()


@pytest.fixture
def closed(world: World, bent_clock: BentClock, db: Database) -> UUID:
    """A person who wrote five times in a session that nobody ended; it was closed five minutes ago."""
    bent_clock.move_to("2026-11-18 12:00-03")
    world.number(gap=(0, 0))
    profile = sessions.begun(world)
    said(world, profile, "01:20:00", "user", "antes da sessão")
    for minute, role, text in [
        (70, "user", "Estou cansada"), (69, "assistant", "De quê?"), (60, "user", "Do trabalho"),
        (50, "user", "Todo dia"), (40, "user", "Sem pausa"), (35, "user", "Tchau"),
    ]:  # fmt: skip
        said(world, profile, f"{minute} minutes", role, text)
    remind(db)
    world.record(world.begun(messages(world, "session_abandoned")[0]))
    bent_clock.forward(300)
    said(world, profile, "1 minute", "user", "depois da sessão")
    remind(db)
    return profile


def said(world: World, profile: UUID, ago: str, role: str, content: str) -> None:
    """One line of the person's chat."""
    world.rows(
        "insert into public.messages (user_id, role, content, created_at)"
        " select p.user_id, %s, %s, %s from public.profiles as p where p.id = %s",
        role, content, sessions.at(world, f"-{ago}"), profile,
    )  # fmt: skip


def remind(db: Database) -> None:
    """One run of session-reminder."""
    run_function("session-reminder", db, Settings(), log.get())


def messages(world: World, purpose: str) -> list[int]:
    """The messages of one purpose."""
    return [
        row["id"]
        for row in world.rows("select id from messaging.outbox where purpose = %s order by id", purpose)
    ]


def composed(world: World, db: Database, agent: Agent) -> tuple[int, str]:
    """The summary after its draft was taken, and its text."""
    [message] = messages(world, "session_summary")
    assert world.state(message) == "draft"
    assert DraftDuty(db, agent, log.get()).run_once("w1")
    assert world.state(message) == "queued"
    return message, world.message(message)["content"]["text"]


def test_the_agent_writes_over_what_was_said_in_the_session(
    world: World, db: Database, closed: UUID, writer: AgentServer, agent: Agent
) -> None:
    """From its begin to its end and nothing else; kept as the session's summary once it is accepted."""
    message, text = composed(world, db, agent)
    assert text == texts.summary("Ana", {"summary": WRITTEN, "insights": [], "commitments": []})
    [asked] = writer.questions
    assert "Person: Estou cansada\nAura: De quê?\nPerson: Do trabalho" in asked.words
    assert "antes da sessão" not in asked.words and "depois da sessão" not in asked.words

    assert sessions.of(world, closed)["session_summary"] == texts.CLOSED_SUMMARY
    world.record(world.begun(message))
    row = sessions.of(world, closed)
    assert (row["session_summary"], row["post_session_sent"]) == (WRITTEN, True)
    assert sessions.words(world, closed) == ["session_rating"]


def test_the_fixed_text_stands_where_the_agent_fails_or_is_off(
    world: World, db: Database, closed: UUID, writer: AgentServer, agent: Agent
) -> None:
    """It says nothing about how the session is filed, and the session keeps its fixed summary."""
    writer.trouble = failing(500)
    message, text = composed(world, db, agent)
    fixed = {"summary": texts.CLOSED_SUMMARY, "insights": [], "commitments": []}
    assert text == texts.summary("Ana", fixed)
    world.record(world.begun(message))
    row = sessions.of(world, closed)
    assert (row["session_summary"], row["post_session_sent"]) == (texts.CLOSED_SUMMARY, True)


def test_nothing_is_asked_where_nothing_was_said(
    world: World, db: Database, closed: UUID, writer: AgentServer, agent: Agent
) -> None:
    """A chat that is gone is no material: the fixed text goes."""
    world.rows("delete from public.messages")
    composed(world, db, agent)
    assert writer.questions == []


def test_a_summary_of_the_apps_own_goes_out_as_it_is(
    world: World, bent_clock: BentClock, db: Database
) -> None:
    """The agent that led the session has written it: nothing is composed, with its lists below."""
    world.number()
    lists = json.dumps(["Respirar"])
    sessions.ended(world, key_insights=lists, commitments=lists)
    remind(db)
    [message] = messages(world, "session_summary")
    row = world.message(message)
    assert (row["dispatch_state"], row["compose"]) == ("queued", None)
    facts = {"summary": sessions.SUMMARY, "insights": ["Respirar"], "commitments": ["Respirar"]}
    assert row["content"]["text"] == texts.summary("Ana", facts)


def test_what_the_person_would_hear_twice_is_not_quoted(
    world: World, bent_clock: BentClock, db: Database, closed: UUID
) -> None:
    """The next day's reminder passes over a summary that nobody wrote."""
    sessions.session(world, closed, "24 hours")
    remind(db)
    [message] = messages(world, "session_24h")
    assert texts.CLOSED_SUMMARY[:40] not in world.message(message)["content"]["text"]
