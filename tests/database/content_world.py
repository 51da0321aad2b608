"""Builders for the tests of reports, journeys, schedules and meditations: people, plans, sessions."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from tests.database.world import World

# A Wednesday, noon in São Paulo.
NOON = "2026-11-18 12:00-03"


def at(world: World, moved: str) -> Any:
    """The database's time moved by an interval, such as "-10 minutes"."""
    return world.value("select messaging.clock() + %s::interval", moved)


def person(world: World, **columns: object) -> UUID:
    """An active person with a phone who wrote an hour ago; `columns` of profiles are set as given."""
    profile = world.profile(str(world.wanted()["phone"]))
    change(world, profile, **({"last_user_message_at": at(world, "-1 hour")} | columns))
    return profile


def change(world: World, profile: UUID, **columns: object) -> None:
    """What the app itself writes into a profile."""
    setters = ", ".join(f"{column} = %s" for column in columns)
    world.rows(f"update public.profiles set {setters} where id = %s", *columns.values(), profile)


def profile(world: World, profile_id: UUID) -> dict[str, Any]:
    """The row of a profile."""
    return world.rows("select * from public.profiles where id = %s", profile_id)[0]


def opted_out(world: World, **columns: object) -> UUID:
    """A person who wants nothing that they did not ask for."""
    found = person(world, **columns)
    opt_out(world, found)
    return found


def opt_out(world: World, profile_id: UUID) -> None:
    """The person says SAIR."""
    world.rows(
        "select messaging.opt_out(null, messaging.phone_key(phone), 'SAIR') from public.profiles"
        " where id = %s",
        profile_id,
    )


def journey(
    world: World,
    *,
    episodes: int = 8,
    written: int | None = None,
    following: str | None = None,
    **columns: object,
) -> str:
    """A journey of so many episodes, of which the first `written` are (None: all); its id."""
    name = f"jornada:{uuid4().hex[:8]}"
    world.rows(
        "insert into public.content_journeys (id, topic, title, total_episodes, next_journey_id)"
        " values (%s, 'tema', %s, %s, %s)",
        name, f"Jornada {name[-8:]}", episodes, following,
    )  # fmt: skip
    for column, value in columns.items():
        world.rows(f"update public.content_journeys set {column} = %s where id = %s", value, name)
    for number in range(1, (episodes if written is None else written) + 1):
        episode(world, name, number)
    return name


def episode(world: World, journey_id: str, number: int) -> None:
    """One episode with essay and hook."""
    world.rows(
        "insert into public.journey_episodes (journey_id, episode_number, title, stage_title, essay,"
        " hook_to_next) values (%s, %s, %s, 'Etapa', %s, %s)",
        journey_id, number, f"Título {number}", f"Ensaio {number}.", f"Gancho {number}.",
    )  # fmt: skip


def plan(world: World, name: str = "direcao", sessions: int = 4) -> str:
    """A plan with so many sessions a month; its name."""
    world.rows(
        "insert into public.plan_configs (plan, sessions_per_month) values (%s, %s)"
        " on conflict (plan) do update set sessions_per_month = excluded.sessions_per_month",
        name, sessions,
    )  # fmt: skip
    return name


def session(world: World, profile_id: UUID, session_state: str, moment: object, **columns: object) -> UUID:
    """A session of the person at that moment."""
    made: UUID = world.value(
        "insert into public.sessions (user_id, scheduled_at, status)"
        " select user_id, %s, %s from public.profiles where id = %s returning id",
        moment, session_state, profile_id,
    )  # fmt: skip
    for column, value in columns.items():
        world.rows(f"update public.sessions set {column} = %s where id = %s", value, made)
    return made


def said(world: World, profile_id: UUID, moment: object, text: str = "oi", role: str = "user") -> None:
    """One message of the chat history."""
    world.rows(
        "insert into public.messages (user_id, role, content, created_at)"
        " select user_id, %s, %s, %s from public.profiles where id = %s",
        role, text, moment, profile_id,
    )  # fmt: skip


def history(world: World, profile_id: UUID) -> list[str]:
    """What the assistant said to the person, as the app sees it."""
    rows = world.rows(
        "select m.content from public.messages as m join public.profiles as p on p.user_id = m.user_id"
        " where p.id = %s and m.role = 'assistant' order by m.created_at, m.id",
        profile_id,
    )
    return [row["content"] for row in rows]


def audience(world: World, function: str, only: UUID | None = None) -> list[dict[str, Any]]:
    """The rows of messaging.due."""
    rows: list[dict[str, Any]] = world.value("select messaging.due_people(%s, %s)", function, only)
    return rows


def enqueued(world: World, row: Mapping[str, Any], text: str = "Oi!") -> int:
    """The message of a person of an audience, as edge/due would enqueue it; its id."""
    return world.enqueue(
        purpose=row["purpose"],
        phone=row["phone"],
        profile_id=row["profile_id"],
        subject_id=row["subject_id"],
        facts=row["facts"],
        content={"kind": "text", "text": text},
    )


def due_message(world: World, function: str, profile_id: UUID, text: str = "Oi!") -> int:
    """The message that the audience has for this person; its id."""
    [row] = audience(world, function, profile_id)
    return enqueued(world, row, text)


def refusal_at_begin(world: World, message: int) -> str:
    """Claims until this message comes, begins it, and gives why it may not go."""
    claimed = next(row for row in world.claim(200) if row.message_id == message)
    refusal = world.begin(claimed)["refusal"]
    assert refusal is not None
    return str(refusal)


def as_json(value: object) -> str:
    """For a jsonb column."""
    return json.dumps(value)
