"""Builders for the tests of sessions: people, sessions so far from now, and what their audience says."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from tests.database.world import World

Made = Callable[[World], UUID]
AUDIENCE = "people_session_messages"
SUMMARY = "Falamos do trabalho e do descanso."
MISSED, CLOSED = "não veio", "acabou sem fecho"


def person(world: World, **columns: object) -> UUID:
    """An active person with a phone of their own; `columns` of profiles are set as given."""
    profile = world.profile(str(world.wanted()["phone"]))
    for column, value in columns.items():
        world.rows(f"update public.profiles set {column} = %s where id = %s", value, profile)
    return profile


def opted_out(world: World) -> UUID:
    """A person who said stop."""
    found = person(world)
    world.rows(
        "select messaging.opt_out(null, messaging.phone_key(phone), 'SAIR') from public.profiles"
        " where id = %s",
        found,
    )
    return found


def at(world: World, moved: str) -> Any:
    """The database's time moved by an interval, such as "-10 minutes"."""
    return world.value("select messaging.clock() + %s::interval", moved)


def session(world: World, profile: UUID, starts_in: str = "24 hours", **columns: object) -> UUID:
    """A session of this person that starts so long from now (or ago); `columns` are set as given."""
    values = {"scheduled_at": at(world, starts_in)} | columns
    names = "".join(f", {name}" for name in values)
    found: UUID = world.value(
        f"insert into public.sessions (user_id{names}) values"
        f" ((select user_id from public.profiles where id = %s){', %s' * len(values)}) returning id",
        profile, *values.values(),
    )  # fmt: skip
    return found


def booked(world: World, starts_in: str = "24 hours", **columns: object) -> UUID:
    """A new person with a session; the profile."""
    profile = person(world)
    session(world, profile, starts_in, **columns)
    return profile


def missed(world: World, late: str = "31 minutes", **columns: object) -> UUID:
    """A person who did not come to an announced session."""
    return booked(world, f"-{late}", **({"session_start_notified": True} | columns))


def begun(world: World, over_since: str = "1 second", **columns: object) -> UUID:
    """A new person whose session of 45 minutes began and counts as abandoned since then; the profile."""
    start = world.value("select (interval '-75 minutes' - %s::interval)::text", over_since)
    return booked(world, start, **({"status": "in_progress", "started_at": at(world, start)} | columns))


def ended(world: World, ago: str = "5 minutes", **columns: object) -> UUID:
    """A new person whose session is completed, with a summary; the profile."""
    values = {"status": "completed", "ended_at": at(world, f"-{ago}"), "session_summary": SUMMARY}
    return booked(world, "-1 hour", **(values | columns))


def of(world: World, profile: UUID) -> dict[str, Any]:
    """The row of the person's only session."""
    [found] = world.rows(
        "select s.* from public.sessions as s join public.profiles as p using (user_id) where p.id = %s",
        profile,
    )
    return found


def change(world: World, session_id: UUID, **columns: object) -> None:
    """What the app itself writes into a session."""
    setters = ", ".join(f"{column} = %s" for column in columns)
    world.rows(f"update public.sessions set {setters} where id = %s", *columns.values(), session_id)


def wrote(world: World, profile: UUID, messages: int, ago: str = "1 minute") -> None:
    """So many messages of the person, and as many answers, at that time."""
    for role in ("user", "assistant"):
        world.rows(
            "insert into public.messages (user_id, role, content, created_at)"
            " select p.user_id, %s, 'oi', %s from public.profiles as p, generate_series(1, %s)"
            " where p.id = %s",
            role, at(world, f"-{ago}"), messages, profile,
        )  # fmt: skip


def due(world: World, profile: UUID | None = None) -> list[dict[str, Any]]:
    """The audience now, in its order; of one person where one is named."""
    rows: list[dict[str, Any]] = world.value("select messaging.due_people(%s, %s)", AUDIENCE, profile)
    return rows


def words(world: World, profile: UUID) -> list[str]:
    """The purposes that a person is due for now."""
    return [row["purpose"] for row in due(world, profile)]


def enqueue(world: World, row: dict[str, Any]) -> int:
    """What the handler makes of one row of the audience: the message."""
    return world.enqueue(
        **{name: row[name] for name in ("purpose", "phone", "profile_id", "subject_id", "facts")},
        dedupe_key=f"{row['purpose']} {row['subject_id']}",
        **({"expires_at": row["expires_at"]} if row["expires_at"] else {}),
    )  # fmt: skip


def enqueued(world: World, profile: UUID) -> int:
    """The message for the one word that the person is due for."""
    [row] = due(world, profile)
    return enqueue(world, row)


def told(world: World, profile: UUID) -> int:
    """Everything due for a person goes out and is accepted; the last message."""
    message = 0
    for row in due(world, profile):
        message = enqueue(world, row)
        world.record(world.begun(message))
    return message


def close(world: World) -> tuple[int, int]:
    """close_sessions: how many missed, how many abandoned."""
    [row] = world.rows("select * from messaging.close_sessions(%s, %s)", MISSED, CLOSED)
    return row["missed"], row["abandoned"]
