"""session-reminder over HTTP: its answer, what is enqueued, and the whole life of a session, run by run."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from shared.db import Database
from shared.texts_pt import sessions as texts
from tests.database import session_world as sessions
from tests.database.world import BentClock, Connect, World
from tests.edge.gateway import FUNCTIONS, PERSON, SERVICE_KEY, Number, message

PATH = f"{FUNCTIONS}/session-reminder"
NOON = "2026-11-18 12:00-03"
COUNTERS = (
    "reminders24h", "reminders1h", "reminders15m", "startNotifications",
    "nudges", "missed", "abandoned", "postSession",
)  # fmt: skip


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon in São Paulo, and one number."""
    world = World(connect())
    BentClock(world, NOON)
    world.number()
    return world


def forward(world: World, seconds: float) -> None:
    """Lets so much time pass."""
    world.rows("update messaging.bent_clock set now = now + make_interval(secs => %s)", seconds)


def remind(client: httpx.Client, **body: object) -> dict[str, Any]:
    """One run; its answer."""
    answer = client.post(PATH, json=body, headers={"authorization": f"Bearer {SERVICE_KEY}"})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def counts(told: dict[str, Any]) -> dict[str, int]:
    """The counters that are not nought."""
    return {name: told[name] for name in COUNTERS if told[name]}


def messages(world: World) -> list[dict[str, Any]]:
    """The outbox, in the order of its sending."""
    return world.rows("select * from messaging.outbox order by id")


def deliver(world: World, seconds: float = 240) -> None:
    """So much time in which the number sends what it may, all of it accepted."""
    for _ in range(int(seconds // 5)):
        for claimed in world.claim():
            begun = world.begin(claimed)
            if begun["refusal"] is None:
                world.record(begun["attempt_id"])
        forward(world, 5)


def announced(world: World, late: str, **columns: object) -> UUID:
    """A person who was asked to begin and has not."""
    return sessions.booked(world, f"-{late}", **({"session_start_notified": True} | columns))


ONE_OF_EACH: dict[str, Callable[[World], UUID]] = {
    "session_24h": lambda world: sessions.booked(world, "23 hours 30 minutes"),
    "session_1h": lambda world: sessions.booked(world, "50 minutes"),
    "session_15m": lambda world: sessions.booked(world, "14 minutes"),
    "session_start": lambda world: sessions.booked(world, "-1 minute"),
    "session_nudge": lambda world: announced(world, "12 minutes"),
    "session_missed": lambda world: announced(world, "31 minutes"),
    "session_abandoned": sessions.begun,
    "session_summary": sessions.ended,
    "session_rating": lambda world: sessions.ended(world, post_session_sent=True),
}


def test_the_answer_counts_the_words_of_each_kind(client: httpx.Client, world: World) -> None:
    """success and eight counters (functions 2.7): messages handed over; what follows a session is one."""
    made = {purpose: make(world) for purpose, make in ONE_OF_EACH.items()}
    told = remind(client)

    assert told["success"] is True
    assert counts(told) == dict.fromkeys(COUNTERS, 1) | {"postSession": 2}
    assert set(told) == {"success", *COUNTERS, "runId", "repeated", "expectedEnd"}
    rows = {row["purpose"]: row for row in messages(world)}
    assert {purpose: row["profile_id"] for purpose, row in rows.items()} == made
    for purpose, row in rows.items():
        found = sessions.of(world, made[purpose])
        time = round(found["scheduled_at"].timestamp())
        assert row["dedupe_key"] == f"session:{purpose}:{found['id']}:{time}"
        assert row["subject_id"] == f"{found['id']}@{time}"
        assert (row["lane"], row["enqueued_by"], row["run_id"]) == (
            "timed",
            "session-reminder",
            told["runId"],
        )
        assert row["content"]["text"].startswith("Oi, Ana!")
        assert (row["dispatch_state"], row["compose"]) == ("queued", None)
        proactive = purpose not in ("session_summary", "session_rating")
        assert row["on_unknown"] == ("drop" if proactive else "hold")

    again = remind(client)
    assert (counts(again), again["repeated"]) == ({}, 7)  # the two that were closed are due no more


def test_nobody_is_an_answer_too(client: httpx.Client, world: World) -> None:
    """Noughts, not an error."""
    told = remind(client)
    assert (told["success"], counts(told), "expectedEnd" in told) == (True, {}, False)


def test_the_words_say_what_they_are_about(client: httpx.Client, world: World) -> None:
    """Date, time, what was open, and how to answer: confirmo, vamos or bora, a number from 1 to 5."""
    for make in ONE_OF_EACH.values():
        make(world)
    said = {row["purpose"]: row["content"]["text"] for row in (remind(client), messages(world))[1]}
    for purpose, parts in {
        "session_24h": ("19/11", "11:30", "*confirmo*"),
        "session_1h": ("12:50",),
        "session_15m": ("12:14",),
        "session_start": ("*vamos*", "*bora*"),
        "session_nudge": ("11:48", "*vamos*"),
        "session_missed": ("11:29", "que dia e hora"),
        "session_abandoned": ("outro momento",),
        "session_summary": (sessions.SUMMARY,),
        "session_rating": ("1 a 5",),
    }.items():
        assert all(part in said[purpose] for part in parts), said[purpose]
    assert "10" not in said["session_rating"]


def test_what_is_remembered_is_told_and_what_is_not_leaves_no_gap() -> None:
    """Lists where there are any; a summary that nobody wrote is no memory of anything."""
    facts: dict[str, Any] = {"date": "19/11", "time": "12:00", "last_summary": None, "commitments": []}
    plain = texts.text("session_24h", None, facts)
    assert plain.startswith("Oi! Amanhã") and "•" not in plain and "None" not in plain
    unwritten = facts | {"last_summary": texts.CLOSED_SUMMARY[:150]}
    assert texts.text("session_24h", None, unwritten) == plain
    full = texts.text("session_24h", None, facts | {"last_summary": "x" * 150, "commitments": ["A", "B"]})
    assert "x" * 150 + "…" in full and "• A\n• B" in full
    ended = {"summary": "Sono.", "insights": ["Dormi mal"], "commitments": ["Caminhar"]}
    told = texts.text("session_summary", None, ended)
    assert all(part in told for part in ("Sono.", "• Dormi mal", "• Caminhar"))
    fixed = texts.text("session_summary", None, ended | {"summary": texts.CLOSED_SUMMARY})
    assert texts.CLOSED_SUMMARY not in fixed and "• Caminhar" in fixed
    for ending in ("silent", "short", "long"):
        assert texts.text("session_abandoned", "Ana", {"ending": ending}).startswith("Oi, Ana! ")


def test_a_dry_run_tells_and_changes_nothing(client: httpx.Client, world: World) -> None:
    """Nothing is enqueued and nothing is closed; the counters say what would be."""
    made = [make(world) for make in ONE_OF_EACH.values()]
    before = [sessions.of(world, profile) for profile in made]
    told = remind(client, dry_run=True)
    assert counts(told) == dict.fromkeys(COUNTERS, 1) | {"postSession": 2}
    assert told["dryRun"] is True and len(told["people"]) == len(made)
    assert messages(world) == []
    assert [sessions.of(world, profile) for profile in made] == before


def test_one_person_may_be_named(client: httpx.Client, world: World) -> None:
    """Only that person gets a word; nobody else's session is closed without one."""
    named, other = announced(world, "31 minutes"), announced(world, "32 minutes")
    user = world.value("select user_id from public.profiles where id = %s", named)
    assert counts(remind(client, target_user_id=str(user))) == {"missed": 1}
    assert [row["profile_id"] for row in messages(world)] == [named]
    assert sessions.of(world, named)["status"] == "cancelled"
    assert sessions.of(world, other)["status"] == "scheduled"
    for body, code in (({"target_user_id": str(uuid4())}, 404), ({"dry_run": "yes"}, 400)):
        answer = client.post(PATH, json=body, headers={"authorization": f"Bearer {SERVICE_KEY}"})
        assert answer.status_code == code
    assert client.post(PATH, json={}).status_code == 401


def test_eight_runs_at_once_say_each_word_once(client: httpx.Client, world: World) -> None:
    """pg_cron beside our scheduler, or two workers: one message for each word, each session closed once."""
    made = [make(world) for _ in range(4) for make in ONE_OF_EACH.values()]
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: remind(client), range(8)))
    assert len(messages(world)) == len(made)
    assert {name: sum(each[name] for each in told) for name in COUNTERS} == (
        dict.fromkeys(COUNTERS, 4) | {"postSession": 8}
    )
    assert world.value("select count(*) from public.sessions where status = 'cancelled'") == 4


def live(client: httpx.Client, world: World, events: dict[int, Callable[[], object]]) -> None:
    """A run every five minutes around a session at 10:00 of the 20th, from a day before until it is over.

    `events`: what happens so many minutes after ten o'clock.
    """
    start = "2026-11-20 10:00-03"
    for minute in [*range(-25 * 60, -22 * 60, 5), *range(-80, 180, 5)]:
        world.rows(
            "update messaging.bent_clock set now = %s::timestamptz + make_interval(mins => %s)", start, minute
        )
        if minute in events:
            events[minute]()
        remind(client)
        deliver(world, 150)


def history(world: World, profile: UUID) -> list[tuple[str, str]]:
    """The words of a person and when each was accepted, as local hour and minute."""
    rows = world.rows(
        "select o.purpose, o.dispatch_state,"
        " to_char(o.changed_at at time zone 'America/Sao_Paulo', 'DD HH24:MI') as at"
        " from messaging.outbox as o where o.profile_id = %s order by o.changed_at, o.id",
        profile,
    )
    assert {row["dispatch_state"] for row in rows} <= {"accepted"}
    return [(row["purpose"].removeprefix("session_"), row["at"]) for row in rows]


@pytest.mark.slow
def test_the_whole_life_of_three_sessions(client: httpx.Client, world: World) -> None:
    """Every five minutes for a day: each word once and in its time, for who comes, who does not, and who
    goes away in the middle."""
    world.rows("update messaging.senders set gap_min_s = 25, gap_max_s = 25")
    comes, stays_away, leaves = (sessions.person(world) for _ in range(3))
    ids = {
        profile: sessions.session(world, profile, scheduled_at="2026-11-20 10:00-03")
        for profile in (comes, stays_away, leaves)
    }

    def begin() -> None:
        for profile in (comes, leaves):
            sessions.change(world, ids[profile], status="in_progress", started_at=sessions.at(world, "0"))
        sessions.wrote(world, leaves, 3)
        world.rows("update public.messages set created_at = messaging.clock()")

    def end() -> None:
        sessions.change(
            world, ids[comes],
            status="completed", ended_at=sessions.at(world, "0"), session_summary="Falamos de descanso.",
        )  # fmt: skip

    live(client, world, {5: begin, 50: end})

    before = [("24h", "19 10:00"), ("1h", "20 09:00"), ("15m", "20 09:45"), ("start", "20 10:00")]
    assert history(world, comes) == [*before, ("summary", "20 10:55"), ("rating", "20 11:00")]
    assert [word for word, _ in history(world, stays_away)] == [
        *(word for word, _ in before), "nudge", "missed",
    ]  # fmt: skip
    assert history(world, stays_away)[-2:] == [("nudge", "20 10:10"), ("missed", "20 10:35")]
    assert [word for word, _ in history(world, leaves)] == [*(word for word, _ in before), "abandoned"]
    assert history(world, leaves)[-1] == ("abandoned", "20 11:25")
    assert [sessions.of(world, profile)["status"] for profile in ids] == ["completed", "cancelled", "no_show"]


def test_an_answered_nudge_is_asked_back(
    client: httpx.Client, world: World, db: Database, number: Number
) -> None:
    """The person writes while the nudge waits for its slot: it never goes, nor does the next run send it."""
    profile = announced(world, "11 minutes")
    world.rows("update public.profiles set phone = %s where id = %s", PERSON, profile)
    assert counts(remind(client)) == {"nudges": 1}
    assert client.post(number.webhook, json=message(number, "já vou")).json()["status"] == "accepted"
    assert [row["dispatch_state"] for row in messages(world)] == ["withdrawn"]
    forward(world, 120)
    assert counts(remind(client)) == {}
    assert [row["dispatch_state"] for row in messages(world)] == ["withdrawn"]


def test_bug_08_sessions_and_bulk_keep_one_pace_on_one_number(client: httpx.Client, world: World) -> None:
    """The original's session-reminder never paced, and each function kept a pace of its own: here messages
    of three functions on one number never leave closer than its gap, and sessions overtake the bulk."""
    for _ in range(6):
        world.enqueue(purpose="checkin", enqueued_by="scheduled-checkin")
        world.enqueue(purpose="content", enqueued_by="periodic-content")
    for _ in range(6):
        sessions.booked(world, "50 minutes")
    assert counts(remind(client)) == {"reminders1h": 6}
    # Bulk about nothing in particular: there is no check-in and no episode behind it.
    world.rows(
        "update messaging.purposes set still_due = null, on_accepted = null"
        " where purpose in ('checkin', 'content')"
    )

    deliver(world, 20 * 60)
    sent = world.rows(
        "select o.enqueued_by,"
        " extract(epoch from a.begun_at - lag(a.ended_at) over (order by a.id)) as waited,"
        " lag(a.gap_s) over (order by a.id) as promised"
        " from messaging.attempts as a join messaging.outbox as o on o.id = a.message_id order by a.id"
    )
    assert len(sent) == 18
    assert {row["enqueued_by"] for row in sent[:6]} == {"session-reminder"}
    assert {row["enqueued_by"] for row in sent[6:]} == {"scheduled-checkin", "periodic-content"}
    for row in sent[1:]:
        assert row["waited"] >= row["promised"] >= 25
