"""The report's paragraph and the episode's words: what the agent is asked, and what goes when it fails."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from edge import periodic_content, weekly_report
from edge.functions import Call
from shared import log
from shared.agent import FixedAgent, from_settings
from shared.compose import DraftDuty
from shared.db import Database
from shared.settings import Settings
from tests.agent_server import AgentServer, agent_server, failing
from tests.database.content_world import NOON, at, history, journey, opt_out, person, said
from tests.database.world import BentClock, World


@pytest.fixture
def agent() -> Iterator[AgentServer]:
    """A service of the OpenAI shapes."""
    with agent_server() as server:
        yield server


@pytest.fixture(autouse=True)
def noon(world: World, bent_clock: BentClock) -> None:
    """A Sunday at noon, with one number: the week from 9 November is this one."""
    bent_clock.move_to(NOON)
    bent_clock.forward(-3 * 86_400)
    world.number(gap=(0, 0))


def run(db: Database, handler: Any) -> None:
    """One run of a cron function."""
    handler.handle(Call(function="test", db=db, settings=Settings(), log=log.get(), body={}, headers={}))


def composed(world: World, db: Database, agent: AgentServer | None) -> dict[str, Any]:
    """The only draft after a worker has composed it."""
    found = FixedAgent() if agent is None else from_settings(Settings(agent_url=agent.url, agent_key="k"))
    assert DraftDuty(db, found, log.get()).run_once("w1")
    found.close()
    [row] = world.rows("select * from messaging.outbox")
    assert row["dispatch_state"] == "queued"
    return row


def accepted(world: World, row: dict[str, Any]) -> None:
    """The provider takes it."""
    world.record(world.begun(row["id"]))


def test_report_carries_a_paragraph_of_what_was_said_this_week(
    world: World, db: Database, agent: AgentServer
) -> None:
    """Three sentences at most, between figures and farewell; the week's plan keeps them once accepted."""
    found = person(world, name="Ana Lima")
    said(world, found, "2026-11-08 23:59-03", "semana passada")
    said(world, found, "2026-11-09 00:00-03", "consegui dormir")
    said(world, found, at(world, "-1 hour"), "que bom!", role="assistant")
    agent.say("Você dormiu melhor. Que alívio! Isso conta muito. E mais uma frase.")
    run(db, weekly_report)
    row = composed(world, db, agent)

    [question] = agent.questions
    assert "Person: consegui dormir\nAura: que bom!" in question.words
    assert "semana passada" not in question.words
    text = row["content"]["text"]
    assert text.startswith("Oi, Ana!") and "Isso conta muito.\n\n" in text
    assert "E mais uma frase" not in text
    assert row["facts"]["paragraph"] == "Você dormiu melhor. Que alívio! Isso conta muito."
    accepted(world, row)
    [plan] = world.rows("select week_start::text, reflections from public.weekly_plans")
    assert plan == {"week_start": "2026-11-09", "reflections": row["facts"]["paragraph"]}
    assert text in history(world, found)


def test_only_the_last_fifty_messages_are_read(world: World, db: Database, agent: AgentServer) -> None:
    """As many as the original read, and the latest ones."""
    found = person(world)
    for number in range(60):
        said(world, found, at(world, f"-{600 - number} minutes"), f"nota {number:02d};")
    run(db, weekly_report)
    composed(world, db, agent)
    words = agent.questions[0].words
    assert [f"nota {number:02d};" in words for number in (9, 10, 59)] == [False, True, True]


@pytest.mark.parametrize("why", ["off", "fails", "blank"])
def test_report_goes_as_it_stands_without_the_agents_words(
    world: World, db: Database, agent: AgentServer, why: str
) -> None:
    """Off, failing or saying nothing: the figures go, and the week is recorded without a paragraph."""
    found: UUID = person(world)
    said(world, found, at(world, "-1 hour"))
    run(db, weekly_report)
    fixed = world.value("select content ->> 'text' from messaging.outbox")
    if why == "fails":
        agent.trouble = failing(500)
    agent.say("  ")
    row = composed(world, db, None if why == "off" else agent)
    assert row["content"]["text"] == fixed and "paragraph" not in row["facts"]
    accepted(world, row)
    assert world.value("select count(*) from public.weekly_plans where reflections is null") == 1


def test_a_silent_week_asks_no_agent(world: World, db: Database, agent: AgentServer) -> None:
    """Nothing said in the week, nothing to tell: no question, the fixed text."""
    found = person(world)
    said(world, found, "2026-11-08 12:00-03")
    run(db, weekly_report)
    assert "paragraph" not in composed(world, db, agent)["facts"]
    assert agent.questions == []


def test_episode_is_told_by_the_agent_within_our_frame(
    world: World, db: Database, agent: AgentServer
) -> None:
    """Its words in place of the essay; heading, hook and the way to stop remain ours."""
    found = person(world, name="Ana", current_journey_id=journey(world))
    agent.say("Era uma vez.\n\nE assim foi.")
    run(db, periodic_content)
    row = composed(world, db, agent)
    text = row["content"]["text"]
    assert "Era uma vez.\n\nE assim foi." in text and "Ensaio 1." not in text
    for part in ("Oi, Ana!", "EP 1/8", "Título 1", "Gancho 1.", "pausar jornadas"):
        assert part in text, part
    assert "Ensaio 1." in agent.questions[0].words
    accepted(world, row)
    assert history(world, found) == [text]


@pytest.mark.parametrize("essay", [None, "", " ", "Ensaio."])
def test_episode_goes_as_it_stands_without_the_agents_words(
    world: World, db: Database, agent: AgentServer, essay: str | None
) -> None:
    """An agent that fails costs nothing; one without an essay asks it nothing and is sent all the same."""
    name = journey(world)
    world.rows("update public.journey_episodes set essay = %s where journey_id = %s", essay, name)
    person(world, current_journey_id=name)
    agent.trouble = failing(429)
    run(db, periodic_content)
    fixed = world.value("select content ->> 'text' from messaging.outbox")
    row = composed(world, db, agent)
    assert (
        row["content"]["text"] == fixed
        and "EP 1/8" in fixed
        and "None" not in fixed
        and "\n\n \n" not in fixed
    )
    assert len(agent.questions) == (1 if essay and essay.strip() else 0)


def test_who_opts_out_while_it_is_composed_gets_nothing(world: World, db: Database) -> None:
    """A draft is withdrawn like everything that waits."""
    found = person(world, current_journey_id=journey(world))
    run(db, periodic_content)
    opt_out(world, found)
    assert not DraftDuty(db, FixedAgent(), log.get()).run_once("w1")
    assert world.value("select dispatch_state from messaging.outbox") == "withdrawn"
