"""The invented town: numbers, people with journeys, commitments and sessions, all drawn from one seed."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from shared import webhook_auth

Connection = psycopg.Connection[tuple[Any, ...]]
ZONE = ZoneInfo("America/Sao_Paulo")
_NAMES = (
    "Ana",
    "Bruno",
    "Clara",
    "Davi",
    "Elisa",
    "Fábio",
    "Gabriela",
    "Heitor",
    "Iara",
    "João",
    "Lia",
    "Marcos",
)
_AIMS = (
    "caminhar três vezes",
    "ligar para a mãe",
    "dormir antes das onze",
    "arrumar a mesa",
    "ler um capítulo",
)
_JOURNEYS = ("calma", "rumo")


@dataclass(frozen=True)
class Number:
    """One number of the pool and what its webhooks carry."""

    instance_id: UUID
    name: str
    zapi_id: str
    zapi_token: str
    webhook_token: str
    phone: str


@dataclass(frozen=True)
class Inhabitant:
    """One person of the town. `talks`: writes now and then."""

    profile_id: UUID
    user_id: UUID
    phone: str
    talks: bool


@dataclass
class Town:
    """Who lives where: people by their phone, and the number that each was given."""

    numbers: dict[UUID, Number] = field(default_factory=dict)
    people: dict[str, Inhabitant] = field(default_factory=dict)
    number_of: dict[str, Number] = field(default_factory=dict)


def build(
    connection: Connection, source: random.Random, *, people: int, numbers: int, start: datetime
) -> Town:
    """Fills a migrated, empty database whose clock stands at `start`."""
    town = Town()
    for n in range(1, numbers + 1):
        number = _number(connection, n, seats=2 * people)
        town.numbers[number.instance_id] = number
    connection.execute("select setseed(%s)", [source.random()])
    _library(connection)
    for n in range(people):
        _settle(connection, source, town, n, start)
    connection.execute("analyze")
    return town


def _number(connection: Connection, n: int, *, seats: int) -> Number:
    token = webhook_auth.new_token()
    number = Number(UUID(int=0), f"Aura #{n}", f"SIM{n:029d}", f"TOKEN{n:019d}", token, f"55119700000{n:02d}")
    row = connection.execute(
        "select messaging.add_instance(%s, %s, %s, 'client', 'simulate', %s, %s, %s)",
        [number.name, number.zapi_id, number.zapi_token, number.phone, seats, webhook_auth.hash_token(token)],
    ).fetchone()
    assert row is not None  # noqa: S101 - a scalar function has a row
    return Number(row[0], *list(vars(number).values())[1:])


def _library(connection: Connection) -> None:
    for journey in _JOURNEYS:
        connection.execute(
            "insert into public.content_journeys (id, topic, title) values (%s, %s, %s)",
            [journey, journey, f"Jornada {journey}"],
        )
        for episode in range(1, 9):
            connection.execute(
                "insert into public.journey_episodes (journey_id, episode_number, title, essay, hook_to_next)"
                " values (%s, %s, %s, %s, %s)",
                [journey, episode, f"Passo {episode}", "Um texto curto sobre respirar.", "Amanhã tem mais."],
            )
    connection.execute(
        "update public.content_journeys as c set next_journey_id = n.id from public.content_journeys as n"
        " where n.id <> c.id"
    )


def _settle(connection: Connection, source: random.Random, town: Town, n: int, start: datetime) -> None:
    status = source.choices(["active", "trial", "canceled"], [85, 10, 5])[0]
    plan = (
        None
        if status == "trial"
        else source.choices(["essencial", "direcao", "transformacao"], [50, 35, 15])[0]
    )
    silent_d = source.choice([0.1, 0.2, 0.5, 1, 1, 2, 2, 4, 5, 8, 15, 40])
    wrote_at = start - timedelta(days=silent_d * source.uniform(0.7, 1.3))
    journey = source.choice([*_JOURNEYS, *_JOURNEYS, None])
    row = connection.execute(
        "insert into public.profiles (user_id, name, phone, plan, status, trial_started_at,"
        " last_user_message_at, last_message_date, current_journey_id, current_episode,"
        " last_content_sent_at, needs_schedule_setup, created_at)"
        " values (gen_random_uuid(), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " returning id, user_id",
        [
            source.choice(_NAMES), f"55119{80_000_000 + n}", plan, status,
            start - timedelta(days=3) if status == "trial" else None, wrote_at, wrote_at.date(),
            journey, source.randrange(8) if journey else 0, start - timedelta(days=source.uniform(1, 9)),
            plan != "essencial" and source.random() < 0.05, start - timedelta(days=60),
        ],
    ).fetchone()  # fmt: skip
    assert row is not None  # noqa: S101 - an insert of one row returns it
    person = Inhabitant(row[0], row[1], f"55119{80_000_000 + n}", silent_d < 3 and status != "canceled")
    given = connection.execute("select public.allocate_whatsapp_instance(%s)", [person.profile_id]).fetchone()
    assert given is not None  # noqa: S101
    town.people[person.phone] = person
    town.number_of[person.phone] = town.numbers[given[0]]
    _plans(connection, source, person, plan, start)


def _plans(
    connection: Connection, source: random.Random, person: Inhabitant, plan: str | None, start: datetime
) -> None:
    if source.random() < 0.4:
        connection.execute(
            "insert into public.commitments (user_id, title, due_date) values (%s, %s, %s)",
            [person.user_id, source.choice(_AIMS), start + timedelta(days=source.uniform(-3, 6))],
        )
    if source.random() < 0.3:
        connection.execute(
            "insert into public.checkins (user_id, mood, energy, created_at) values (%s, %s, %s, %s)",
            [person.user_id, source.randint(1, 5), source.randint(1, 5), start - timedelta(days=2)],
        )
    for day in source.sample(range(7), 1 if plan == "direcao" else 2 if plan == "transformacao" else 0):
        at = start + timedelta(days=day, hours=source.randint(9, 20), minutes=source.choice([0, 30]))
        connection.execute(
            "insert into public.sessions (user_id, session_type, scheduled_at, commitments)"
            " values (%s, 'livre', %s, %s)",
            [person.user_id, at, Jsonb([source.choice(_AIMS)])],
        )
