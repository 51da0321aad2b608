"""A person whose words, name and phone are in every place where the product puts them; and where they are."""

import json
import uuid
from typing import NamedTuple

from tests.database.states import in_state
from tests.database.world import Row, World

PHONE = "5511987650001"
OTHER_FORM = "551187650001"
LID = "998877665544332@lid"
NAME = "Bruna Quimera"
WORDS = "o segredo do jardim"
ENDED = ("accepted", "rejected", "expired", "withdrawn")
# Those last that would be claimed on the way of others.
STATES = (*ENDED, "unknown", "held", "leased", "draft", "queued")
# Tables that the schema's own migrations fill and nobody's words reach.
_TABLES = """
    select n.nspname || '.' || quote_ident(c.relname) as name from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname in ('public', 'messaging', 'roleta_migrations') order by 1
"""


class Person(NamedTuple):
    """Who is in the database."""

    profile_id: uuid.UUID
    user_id: uuid.UUID
    number: uuid.UUID


def holding(world: World, pattern: str) -> dict[str, list[Row]]:
    """Every row of every table whose text, JSON or anything else matches."""
    found = {}
    for each in world.rows(_TABLES):
        rows = world.rows(f"select to_jsonb(t) as row from {each['name']} as t where t::text ~ %s", pattern)
        if rows:
            found[each["name"]] = [row["row"] for row in rows]
    return found


def somebody(world: World, phone: str = PHONE, name: str = NAME) -> Person:
    """A profile on a number, with words in each of the app's tables."""
    number = world.number(gap=(0, 0))
    profile, user = world.rows(
        "insert into public.profiles (user_id, name, phone, email, status, whatsapp_instance_id,"
        " expectations, main_challenges) values (gen_random_uuid(), %s, %s, %s, 'active', %s, %s, array[%s])"
        " returning id, user_id",
        name, phone, f"{name.split(maxsplit=1)[0].lower()}.quimera@example.com", number, WORDS, WORDS,
    )[0].values()  # fmt: skip
    for statement in (
        "public.messages (user_id, role, content) values (%s, 'user', %s)",
        "public.checkins (user_id, mood, notes) values (%s, 2, %s)",
        "public.weekly_plans (user_id, week_start, reflections) values (%s, '2026-01-05', %s)",
        "public.commitments (user_id, title) values (%s, %s)",
        "public.sessions (user_id, scheduled_at, focus_topic) values (%s, now() - interval '9 days', %s)",
        "public.conversation_followups (user_id, conversation_context) values (%s, %s)",
        "public.aura_response_state (user_id, pending_content) values (%s, %s)",
    ):
        world.rows(f"insert into {statement}", user, f"{name}: {WORDS}")
    world.rows("insert into public.zapi_message_dedup (message_id, phone) values (%s, %s)", str(user), phone)
    return Person(profile, user, number)


def messages(world: World, person: Person, phone: str = PHONE, name: str = NAME) -> dict[str, int]:
    """A message to the person in each state, with words wherever a message may have some."""
    made = {}
    for state in STATES:
        made[state] = in_state(
            world,
            state,
            phone=OTHER_FORM if state == "rejected" and phone == PHONE else phone,
            profile_id=str(person.profile_id),
            content={"kind": "text", "text": f"{name}, {WORDS}"},
            dedupe_key=f"invite {phone} {state}",
            facts={"text": WORDS, "context": {"of": name}, "step": 2, "sent_from": "Aura"},
        )
    attempted = made["rejected"]
    world.rows("update messaging.attempts set detail = %s where message_id = %s", f"no {phone}", attempted)
    world.rows(
        "insert into messaging.failed_effects (message_id, effect, failed_at, error)"
        " values (%s, 'effect_history', messaging.clock(), %s)",
        made["accepted"],
        f"23514 row of {phone}",
    )
    return made


def event(world: World, person: Person, key: str, **arguments: object) -> int:
    """Something that the provider told of the person."""
    given: Row = {
        "p_kind": "message", "p_phone": PHONE, "p_text": WORDS, "p_message_kind": "text", "p_lid": LID,
        "p_media_url": "https://cdn.example/a.ogg", "p_debounce_s": 0,
        "p_payload": json.dumps({"phone": PHONE, "senderName": NAME, "text": {"message": WORDS}}),
    } | arguments  # fmt: skip
    named = "".join(f", {name} => %s" for name in given)
    event_id: int = world.rows(
        f"select * from messaging.accept_event(%s, %s{named})", person.number, key, *given.values()
    )[0]["event_id"]
    return event_id
