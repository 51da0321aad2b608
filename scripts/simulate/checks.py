"""What must hold of the week, judged from what was begun and the town's diary, not by the rules' own code."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from scripts.simulate.life import Life
from scripts.simulate.town import ZONE, Connection

GAP_S = 25.0
# What may be said at any hour: answers to what the person just did, and what was booked for an hour.
BY_NIGHT_TOO = frozenset(
    (
        "answer",
        "welcome",
        "session_1h",
        "session_15m",
        "session_start",
        "session_nudge",
        "session_summary",
        "session_rating",
    )
)
# Minutes after the session's time between which each word about it makes sense.
WINDOWS = {
    "session_24h": (-24 * 60, -17 * 60),
    "session_1h": (-60, -15),
    "session_15m": (-15, 0),
    "session_start": (-3, 10),
    "session_nudge": (10, 15),
}
_ATTEMPTS = """
    select a.instance_id, i.name, o.lane, o.purpose, o.phone, o.subject_id, a.begun_at, a.ended_at,
        o.created_at, a.outcome
    from messaging.attempts as a
    inner join messaging.outbox as o on a.message_id = o.id
    inner join public.whatsapp_instances as i on a.instance_id = i.id
    order by a.begun_at, a.id
"""


@dataclass(frozen=True)
class Attempt:
    """One message that left, or may have."""

    instance_id: UUID
    instance_name: str
    lane: str
    purpose: str
    phone: str
    subject_id: str | None
    begun_at: datetime
    ended_at: datetime
    enqueued_at: datetime
    outcome: str


def attempts(connection: Connection) -> list[Attempt]:
    """Everything that was begun, in order."""
    return [Attempt(*row) for row in connection.execute(_ATTEMPTS.encode()) if row[7] is not None]


def violations(connection: Connection, life: Life, begun: Sequence[Attempt]) -> list[str]:
    """One line for each thing that must not be; none, or the week was wrong."""
    return [
        *(
            f"audit.{name}: {evidence}"
            for name, evidence in connection.execute("select * from audit.findings limit 20")
        ),
        *_too_close(begun),
        *_at_night(begun),
        *_in_peace(begun, life),
        *_peace_nobody_asked_for(connection, life),
        *_after_stop(begun, life),
        *_out_of_window(begun),
        *_unreminded(connection, begun, life),
        *_twice(begun),
        *_duplicates(connection, life),
    ]


def smallest_gap_s(begun: Iterable[Attempt]) -> float:
    """Seconds between the end of a paced attempt and the begin of the next on the same number."""
    return min((gap for _, gap in _gaps(begun)), default=float("inf"))


def _gaps(begun: Iterable[Attempt]) -> Iterator[tuple[Attempt, float]]:
    paced: dict[UUID, list[Attempt]] = defaultdict(list)
    for attempt in begun:
        if attempt.lane != "reply":
            paced[attempt.instance_id].append(attempt)
    for of_number in paced.values():
        for before, after in pairwise(of_number):
            yield after, (after.begun_at - before.ended_at).total_seconds()


def _too_close(begun: Sequence[Attempt]) -> Iterator[str]:
    for attempt, gap in _gaps(begun):
        if gap < GAP_S:
            yield f"{attempt.instance_name} waited {gap:.3f} s only at {attempt.begun_at}"


def _at_night(begun: Sequence[Attempt]) -> Iterator[str]:
    for attempt in begun:
        if attempt.purpose not in BY_NIGHT_TOO and not 8 <= attempt.begun_at.astimezone(ZONE).hour < 22:
            yield f"{attempt.purpose} went out at night, at {attempt.begun_at}"


def _in_peace(begun: Sequence[Attempt], life: Life) -> Iterator[str]:
    for phone, since, until in life.quiet:
        for attempt in begun:
            if attempt.lane == "bulk" and attempt.phone == phone and since < attempt.begun_at < until:
                yield f"{attempt.purpose} disturbed somebody at {attempt.begun_at}"


def _peace_nobody_asked_for(connection: Connection, life: Life) -> Iterator[str]:
    asked = {phone for phone, _, _ in life.quiet}
    rows = connection.execute(
        "select phone from public.profiles where do_not_disturb_until > messaging.clock()"
    )
    for (phone,) in rows:
        if phone not in asked:
            yield "somebody who never asked for it is not to be disturbed"


def _after_stop(begun: Sequence[Attempt], life: Life) -> Iterator[str]:
    for attempt in begun:
        stopped = life.stopped.get(attempt.phone)
        restarted = life.restarted.get(attempt.phone)
        if stopped is None or attempt.purpose in ("answer", "welcome") or attempt.begun_at <= stopped:
            continue
        if restarted is None or attempt.begun_at < restarted:
            yield f"{attempt.purpose} went to somebody who had said stop, at {attempt.begun_at}"


def _out_of_window(begun: Sequence[Attempt]) -> Iterator[str]:
    for attempt in begun:
        if attempt.purpose in WINDOWS:
            first, last = (timedelta(minutes=minutes) for minutes in WINDOWS[attempt.purpose])
            at = _session_time(attempt)
            if not at + first <= attempt.begun_at <= at + last:
                yield f"{attempt.purpose} of a session at {at} went at {attempt.begun_at}"


def _session_time(attempt: Attempt) -> datetime:
    found = re.search(r"@(\d+)", attempt.subject_id or "")
    if found is None:
        raise ValueError(f"{attempt.purpose} does not name its session's time")
    return datetime.fromtimestamp(int(found[1]), tz=ZONE)


def _unreminded(connection: Connection, begun: Sequence[Attempt], life: Life) -> Iterator[str]:
    """Sessions of people who may be written to, whose hour was in the week, and that nobody was told of."""
    told = {(attempt.phone, _session_time(attempt)) for attempt in begun if attempt.purpose == "session_1h"}
    rows = connection.execute(
        "select p.phone, s.scheduled_at from public.sessions as s"
        " inner join public.profiles as p on p.user_id = s.user_id"
        " where p.status in ('active', 'trial') and s.scheduled_at < messaging.clock()"
    )
    for phone, at in rows:
        if phone not in life.stopped and (phone, at.astimezone(ZONE)) not in told:
            yield f"nobody was reminded of the session at {at}"


def _twice(begun: Sequence[Attempt]) -> Iterator[str]:
    once = (
        "weekly_report",
        "content",
        "content_completed",
        "session_1h",
        "session_15m",
        "session_nudge",
        "welcome",
    )
    counts = Counter(
        (attempt.phone, attempt.purpose, attempt.subject_id)
        for attempt in begun
        if attempt.purpose in once and attempt.outcome != "rejected"
    )
    for (_, purpose, subject), count in counts.items():
        if count > 1:
            yield f"{purpose} ({subject}) went {count} times to one person"


def _duplicates(connection: Connection, life: Life) -> Iterator[str]:
    for message_id in life.duplicates:
        row = connection.execute(
            "select count(*) from messaging.inbound_events as e where e.payload ->> 'messageId' = %s",
            [message_id],
        ).fetchone()
        if row != (1,):
            yield f"a webhook that came twice was stored {row and row[0]} times"
