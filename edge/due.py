"""What every cron handler does: ask SQL who is due, write each a text, enqueue it once.

A handler brings three things only: its audience (a function of migrations 0034-0042), its text, its dedupe
key.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from edge.functions import Answer, Call
from shared import outbox, phones, profiles
from shared.errors import InvalidInput, NotFound
from shared.redaction import phone_tail

# What messaging.enqueue_many takes at once, and how many lists it is given side by side.
_BATCH = 1000
_LANES = 2


@dataclass(frozen=True)
class Person:
    """One of an audience, as messaging.due has it: about what, until when it is worth sending, what the text
    needs. `instance_id`: the number that is theirs now; which one speaks is settled as it is enqueued."""

    profile_id: UUID
    phone: str = field(repr=False)
    name: str | None = field(repr=False)
    purpose: str
    subject_id: str | None
    expires_at: datetime | None
    facts: dict[str, Any] = field(repr=False)
    instance_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a handler says to a person. One dedupe key is one message, whoever asks again.

    `compose`: who writes the text before it goes; `text` stands where that fails. `facts` None: the person's.
    """

    text: str = field(repr=False)
    dedupe_key: str
    compose: str | None = None
    facts: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Run:
    """What a run came to. `enqueued`: new messages; `repeated`: those that an earlier run had enqueued."""

    people: int
    enqueued: int
    repeated: int
    by_purpose: Counter[str]
    run_id: str
    expected_end: datetime | None = None
    preview: list[dict[str, object]] | None = field(default=None, repr=False)

    def told(self) -> Answer:
        """What every cron function's answer ends with."""
        if self.preview is not None:
            return {"dryRun": True, "people": self.preview}
        answer: Answer = {"runId": self.run_id, "repeated": self.repeated}
        if self.expected_end is not None:
            answer["expectedEnd"] = self.expected_end.isoformat()
        return answer


def run(call: Call, audience: str, text: Callable[[Person], Text]) -> Run:
    """Enqueues a text for each person of `messaging.<audience>()`; sends nothing and waits for nobody.

    The body may hold "dry_run" (nothing is enqueued, the people are told), and "target_user_id" or
    "profile_id" (only that person). Counts are of messages.
    """
    dry_run = is_dry_run(call)
    people = [_person(row) for row in _due(call, audience)]
    run_id = call.run_id or f"{call.function}:{uuid.uuid4()}"

    def message(person: Person) -> outbox.NewMessage:
        return _message(call, run_id, person, text(person))

    if dry_run:
        preview = [_preview(person, message(person)) for person in people]
        counts = Counter(person.purpose for person in people)
        return Run(len(people), 0, 0, counts, run_id, preview=preview)
    created: Counter[str] = Counter()
    repeated = 0
    for asked, enqueued in _enqueue(call, people, message):
        created[asked.purpose] += enqueued.created
        repeated += not enqueued.created
    run = Run(len(people), created.total(), repeated, created, run_id, outbox.run_forecast(call.db, run_id))
    call.log.info("run.enqueued", run_id=run_id, people=run.people, enqueued=run.enqueued, repeated=repeated)
    return run


def is_dry_run(call: Call) -> bool:
    """Whether the body asks to see who would get what, without sending."""
    dry_run = call.body.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise InvalidInput("dry_run must be true or false")
    return dry_run


def _due(call: Call, audience: str) -> list[dict[str, Any]]:
    rows = call.db.call("messaging.due_people", p_function=audience, p_only=_only(call))
    # One value, which is a list; PostgREST gives the list alone, and that looks like rows.
    if len(rows) == 1 and "due_people" in rows[0]:
        return list(rows[0]["due_people"])
    return rows


def _only(call: Call) -> UUID | None:
    profile_id, user_id = _uuid(call, "profile_id"), _uuid(call, "target_user_id")
    if user_id is None:
        if profile_id is not None and profiles.contact(call.db, profile_id) is None:
            raise NotFound("profile_id is nobody we know")
        return profile_id
    found = profiles.profile_of_user(call.db, user_id)
    if found is None:
        raise NotFound("target_user_id is nobody we know")
    return found


def _uuid(call: Call, name: str) -> UUID | None:
    value = call.body.get(name)
    if value is None:
        return None
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(f"{name} must be a UUID") from None


def _person(row: dict[str, Any]) -> Person:
    expires_at, subject_id = row["expires_at"], row["subject_id"]
    return Person(
        profile_id=UUID(str(row["profile_id"])),
        phone=row["phone"],
        name=row["name"],
        purpose=row["purpose"],
        subject_id=None if subject_id is None else str(subject_id),
        expires_at=datetime.fromisoformat(expires_at) if isinstance(expires_at, str) else expires_at,
        facts=row["facts"] or {},
        instance_id=None if row["instance_id"] is None else UUID(str(row["instance_id"])),
    )


def _message(call: Call, run_id: str, person: Person, text: Text) -> outbox.NewMessage:
    return outbox.NewMessage(
        purpose=person.purpose,
        phone=person.phone,
        dedupe_key=text.dedupe_key,
        enqueued_by=call.function,
        text=text.text,
        profile_id=person.profile_id,
        expires_at=person.expires_at,
        # Quiet hours are those of the person who is written to, wherever the phone is from.
        time_zone=phones.time_zone(person.phone),
        subject_id=person.subject_id,
        run_id=run_id,
        facts=person.facts if text.facts is None else text.facts,
        compose=text.compose,
    )


def _preview(person: Person, message: outbox.NewMessage) -> dict[str, object]:
    return {
        "profileId": str(person.profile_id),
        "phone": phone_tail(person.phone),
        "purpose": person.purpose,
        "text": message.text,
        "expiresAt": person.expires_at and person.expires_at.isoformat(),
    }


def _enqueue(
    call: Call, people: Sequence[Person], message: Callable[[Person], outbox.NewMessage]
) -> Iterator[tuple[outbox.NewMessage, outbox.Enqueued]]:
    """Each message and what came of it. A list that fails is the last of its lane, and its error is raised;
    all others stand, and the run may be repeated."""

    def enqueue(lane: Sequence[Person]) -> list[tuple[outbox.NewMessage, outbox.Enqueued]]:
        done: list[tuple[outbox.NewMessage, outbox.Enqueued]] = []
        for first in range(0, len(lane), _BATCH):
            batch = [message(person) for person in lane[first : first + _BATCH]]
            done += zip(batch, outbox.enqueue_many(call.db, batch), strict=True)
        return done

    lanes = _lanes(people)
    with ThreadPoolExecutor(len(lanes), thread_name_prefix="enqueue") as side_by_side:
        for done in side_by_side.map(enqueue, lanes):
            yield from done


def _lanes(people: Sequence[Person]) -> list[list[Person]]:
    """Who is enqueued beside whom. A list holds the senders of its numbers until it is enqueued: those of a
    number stay in one lane, in their order, and lanes do not wait for each other."""
    if len(people) <= _BATCH:
        return [list(people)]
    lanes: list[list[Person]] = [[] for _ in range(_LANES)]
    numbers = {number: lane for lane, number in enumerate(dict.fromkeys(p.instance_id for p in people))}
    for person in people:
        lanes[numbers[person.instance_id] % _LANES].append(person)
    return lanes
