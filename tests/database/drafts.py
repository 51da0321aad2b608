"""What the tests of drafts share: drafts to be composed, and the steps of composing."""

import uuid
from typing import Any

from tests.database.world import Row, World

CONTEXT = "a mudança de casa, com pressa"
FIXED = "Oi, Ana! Ainda por aqui. 💛"


def draft(world: World, number: uuid.UUID, **fields: object) -> int:
    """A draft with a fixed text; its id."""
    content = {"kind": "text", "text": fields.pop("text", FIXED)}
    return world.enqueue(number, **({"compose": "somebody", "content": content} | fields))


def follow_up(world: World, number: uuid.UUID, said: str = "Estou com a mudança toda por fazer") -> int:
    """A draft for a person who said something, with a context, so that the agent is asked one question."""
    profile = world.profile()
    world.rows(
        "insert into public.messages (user_id, role, content)"
        " select p.user_id, 'user', %s from public.profiles as p where p.id = %s",
        said, profile,
    )  # fmt: skip
    facts = {"context": CONTEXT}
    return draft(world, number, compose="conversation_followup", profile_id=str(profile), facts=facts)


def take(world: World, limit: int = 4, *, lease_s: float = 60.0, worker: str = "w1") -> list[Row]:
    """What a worker gets when it asks for drafts."""
    return world.rows("select * from messaging.take_drafts(%s, %s, %s)", worker, limit, lease_s)


def take_one(world: World, message: int) -> Row:
    """That draft, taken."""
    return next(row for row in take(world, 100) if row["message_id"] == message)


def finish(world: World, taken: Row, text: str | None = None, **arguments: Any) -> bool:
    """finish_draft with what was taken; whether it counted."""
    extra = "".join(f", {name} => %s" for name in arguments)
    return bool(
        world.value(
            f"select messaging.finish_draft(%s, %s, 'w1', %s{extra})",
            taken["message_id"], taken["compose_token"], text, *arguments.values(),
        )
    )  # fmt: skip


def text_of(world: World, message: int) -> str:
    """The text that the message carries now."""
    return str(world.message(message)["content"]["text"])
