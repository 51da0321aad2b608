"""People that the nudging functions choose or leave in peace, for the tests of those functions."""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from edge import runs
from shared.db import Database
from shared.settings import Settings
from tests.database.world import Row, World

# A Wednesday, noon in São Paulo.
NOON = "2026-11-18 12:00-03"

Ago = str | None


def ago(world: World, how_long: Ago) -> datetime | None:
    """The moment so long before the database's now ("-1 hour": ahead); None for never."""
    moment: datetime | None = world.value("select messaging.clock() - %s::interval", how_long)
    return moment


def midnight(world: World, plus: str) -> datetime:
    """A moment relative to the coming midnight in São Paulo."""
    moment: datetime = world.value(
        "select messaging.end_of_local_day(messaging.clock()) + %s::interval", plus
    )
    return moment


def person(world: World, *, wrote: Ago = "1 day", **columns: object) -> UUID:
    """An active person with a phone of their own who last wrote so long ago; columns of profiles on top."""
    profile = world.profile(world.wanted()["phone"])
    set_columns(world, "profiles", profile, created_at=ago(world, "200 days"), **columns)
    set_columns(world, "profiles", profile, last_user_message_at=ago(world, wrote))
    return profile


def set_columns(world: World, table: str, row: UUID, **columns: object) -> None:
    """Changes one row of the app by its id."""
    for column, value in columns.items():
        world.rows(f"update public.{table} set {column} = %s where id = %s", value, row)


def user_of(world: World, profile: UUID) -> UUID:
    """What the app's other tables know the person by."""
    user: UUID = world.value("select user_id from public.profiles where id = %s", profile)
    return user


def insert(world: World, table: str, profile: UUID, **columns: object) -> UUID:
    """A row of the app about this person."""
    values = {"user_id": user_of(world, profile)} | columns
    places = ", ".join(["%s"] * len(values))
    row: UUID = world.value(
        f"insert into public.{table} ({', '.join(values)}) values ({places}) returning id", *values.values()
    )
    return row


def opted_out(world: World, profile: UUID) -> UUID:
    """The same person, who said stop."""
    world.rows(
        "select messaging.opt_out(null, messaging.phone_key(p.phone), 'SAIR')"
        " from public.profiles as p where p.id = %s",
        profile,
    )
    return profile


def undisturbed(world: World, profile: UUID) -> UUID:
    """The same person, who wants peace for another hour."""
    set_columns(world, "profiles", profile, do_not_disturb_until=ago(world, "-1 hour"))
    return profile


def with_commitment(
    world: World, profile: UUID | None = None, *, due: Ago = "2 days", **columns: object
) -> UUID:
    """A person with an open commitment that was due so long ago; gives the person."""
    profile = profile or person(world)
    columns = {"title": "Caminhar", "due_date": ago(world, due)} | columns
    insert(world, "commitments", profile, **columns)
    return profile


def with_session(
    world: World, profile: UUID | None = None, *, was: Ago = "2 hours", **columns: object
) -> UUID:
    """A person with a session that was scheduled for so long ago; gives the person."""
    profile = profile or person(world)
    insert(world, "sessions", profile, **({"scheduled_at": ago(world, was)} | columns))
    return profile


def with_conversation(world: World, *, wrote: Ago = "2 hours", **columns: Any) -> UUID:
    """A person without a plan of sessions whose open conversation rests since then; gives the person."""
    status = columns.pop("status", "active")
    profile = person(world, wrote=wrote, status=status)
    insert(
        world, "conversation_followups", profile, **({"last_user_message_at": ago(world, wrote)} | columns)
    )
    return profile


def run(db: Database, function: str, only: UUID | None = None) -> Row:
    """What the cron function answers."""
    return runs.run_function(function, db, Settings(), structlog.get_logger(), only=only)


def delivered(world: World, outcome: str = "accepted") -> list[Row]:
    """Sends all that may go now, drafts with their fixed text; the messages that had this outcome."""
    for draft in world.rows("select * from messaging.take_drafts('w1', 100)"):
        world.value(
            "select messaging.finish_draft(%s, %s, 'w1')", draft["message_id"], draft["compose_token"]
        )
    sent: list[Row] = []
    while claimed := world.claim(200):
        for each in claimed:
            begun = world.begin(each)
            if begun["refusal"] is None:
                world.record(begun["attempt_id"], outcome)
                sent.append(world.message(each.message_id))
    return sent


def texts(messages: list[Row]) -> list[str]:
    """What people read."""
    return [message["content"]["text"] for message in messages]


def said_to(world: World, profile: UUID) -> list[str]:
    """What stands in the person's history as the assistant's, oldest first."""
    rows = world.rows(
        "select m.content from public.messages as m join public.profiles as p using (user_id)"
        " where p.id = %s and m.role = 'assistant' order by m.created_at",
        profile,
    )
    return [row["content"] for row in rows]


def chosen(world: World, function: str) -> dict[UUID, Row]:
    """The audience as it is now, by profile."""
    return {UUID(row["profile_id"]): row for row in world.value("select messaging.due_people(%s)", function)}


def conversation_of(world: World, profile: UUID) -> Row:
    """How the person's conversation stands."""
    return world.rows(
        "select * from public.conversation_followups where user_id = %s", user_of(world, profile)
    )[0]


def write_again(world: World) -> None:
    """Everybody writes now, and their conversations go on."""
    world.rows("update public.profiles set last_user_message_at = messaging.clock()")
    world.rows(
        "update public.conversation_followups"
        " set last_user_message_at = messaging.clock(), followup_count = 0"
    )
