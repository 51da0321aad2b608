"""The conditions of people_session_messages: each window to the second, each flag, each exclusion."""

from uuid import UUID

from tests.database.audiences import Condition
from tests.database.session_world import AUDIENCE, Made, at, begun, booked, ended, opted_out, session
from tests.database.world import World


def _booked(starts_in: str, **columns: object) -> Made:
    return lambda world: booked(world, starts_in, **columns)


def _announced(late: str, **columns: object) -> Made:
    return lambda world: booked(world, f"-{late}", session_start_notified=True, **columns)


def _begun(over_since: str) -> Made:
    return lambda world: begun(world, over_since)


def _ended(ago: str = "5 minutes", **columns: object) -> Made:
    return lambda world: ended(world, ago, **columns)


def _begun_early(world: World) -> UUID:
    return booked(world, "24 hours", started_at=at(world, "-1 minute"))


def _rated(world: World) -> UUID:
    profile = ended(world, post_session_sent=True)
    world.rows(
        "insert into public.session_ratings (session_id, user_id, rating)"
        " select s.id, s.user_id, 5 from public.sessions as s join public.profiles as p using (user_id)"
        " where p.id = %s",
        profile,
    )
    return profile


def _opted_out(world: World) -> UUID:
    profile = opted_out(world)
    session(world, profile)
    return profile


def _of(purpose: str, name: str, fragment: str, inside: Made, outside: Made) -> Condition:
    return Condition(
        function=AUDIENCE,
        name=f"{purpose}: {name}",
        fragment=fragment,
        inside=inside,
        outside=outside,
        replacement="true\n" if fragment.endswith("\n") else "true",
        purpose=purpose,
    )


CONDITIONS = [
    _of(
        "session_24h", "only what is scheduled", "s.status = 'scheduled'",
        _booked("24 hours"), _booked("24 hours", status="cancelled"),
    ),
    _of(
        "session_24h", "only what has not begun", "s.started_at is null",
        _booked("24 hours"), _begun_early,
    ),
    _of(
        "session_24h", "once", "u.reminder_24h_sent is not true",
        _booked("24 hours"), _booked("24 hours", reminder_24h_sent=True),
    ),
    _of(
        "session_24h", "at most 24 hours ahead", "s.scheduled_at <= v_now + interval '24 hours'",
        _booked("24 hours"), _booked("24 hours 1 second"),
    ),
    _of(
        "session_24h", "at least 23 hours ahead", "u.scheduled_at >= v_now + interval '23 hours'",
        _booked("23 hours"), _booked("22:59:59"),
    ),
    _of(
        "session_24h", "whoever may be written to",
        "messaging.may_choose(w.purpose, p.id, p.phone, w.expires_at)",
        _booked("24 hours"), _opted_out,
    ),
    _of(
        "session_1h", "once", "u.reminder_1h_sent is not true",
        _booked("1 hour"), _booked("1 hour", reminder_1h_sent=True),
    ),
    _of(
        "session_1h", "at most an hour ahead", "u.scheduled_at <= v_now + interval '60 minutes'",
        _booked("1 hour"), _booked("01:00:01"),
    ),
    _of(
        "session_1h", "not in the last quarter", "u.scheduled_at > v_now + interval '15 minutes'",
        _booked("00:15:01"), _booked("15 minutes"),
    ),
    _of(
        "session_15m", "once", "u.reminder_15m_sent is not true",
        _booked("15 minutes"), _booked("15 minutes", reminder_15m_sent=True),
    ),
    _of(
        "session_15m", "at most 15 minutes ahead", "u.scheduled_at <= v_now + interval '15 minutes'",
        _booked("15 minutes"), _booked("00:15:01"),
    ),
    _of(
        "session_15m", "before the start", "u.scheduled_at > v_now\n",
        _booked("1 second"), _booked("0 seconds"),
    ),
    _of(
        "session_start", "once", "u.session_start_notified is not true",
        _booked("0 seconds"), _booked("0 seconds", session_start_notified=True),
    ),
    _of(
        "session_start", "at most 3 minutes early", "u.scheduled_at <= v_now + interval '3 minutes'",
        _booked("3 minutes", reminder_15m_sent=True), _booked("00:03:01", reminder_15m_sent=True),
    ),
    _of(
        "session_start", "less than 10 minutes late", "u.scheduled_at > v_now - interval '10 minutes'",
        _booked("-00:09:59"), _booked("-10 minutes"),
    ),
    _of(
        "session_start", "not beside the 15 minutes", "(u.reminder_15m_sent or u.scheduled_at <= v_now)",
        _booked("1 minute", reminder_15m_sent=True), _booked("1 minute"),
    ),
    _of(
        "session_nudge", "after the start was announced", "u.session_start_notified\n",
        _announced("12 minutes"), _booked("-12 minutes"),
    ),
    _of(
        "session_nudge", "10 minutes late", "u.scheduled_at <= v_now - interval '10 minutes'",
        _announced("10 minutes"), _announced("00:09:59"),
    ),
    _of(
        "session_nudge", "less than 15 minutes late", "s.scheduled_at > v_now - interval '15 minutes'",
        _announced("00:14:59"), _announced("15 minutes"),
    ),
    _of(
        "session_missed", "what is missed", "messaging.session_overdue(s, v_now) = 'session_missed'",
        _announced("00:30:01"), _announced("30 minutes"),
    ),
    _of(
        "session_missed", "of the last day", "s.scheduled_at > v_now - interval '24 hours'",
        _announced("23:59:59"), _announced("24 hours"),
    ),
    _of(
        "session_abandoned", "what is abandoned", "messaging.session_overdue(s, v_now) = 'session_abandoned'",
        _begun("1 second"), _begun("0 seconds"),
    ),
    _of(
        "session_abandoned", "of the last day", "messaging.session_over_at(s) > v_now - interval '24 hours'",
        _begun("23:59:59"), _begun("24 hours"),
    ),
    _of(
        "session_summary", "only what is completed", "s.status = 'completed'",
        _ended(), _ended(status="no_show"),
    ),
    _of(
        "session_summary", "five minutes after the end", "s.ended_at <= v_now - interval '5 minutes'",
        _ended("5 minutes"), _ended("00:04:59"),
    ),
    _of(
        "session_summary", "of the last day", "s.ended_at > v_now - interval '24 hours'",
        _ended("23:59:59"), _ended("24 hours"),
    ),
    _of(
        "session_summary", "once", "e.post_session_sent is not true",
        _ended(), _ended(post_session_sent=True),
    ),
    _of(
        "session_summary", "where there is one", "btrim(e.session_summary) <> ''",
        _ended(), _ended(session_summary=" "),
    ),
    _of(
        "session_rating", "after the summary", "e.post_session_sent\n",
        _ended(post_session_sent=True), _ended(),
    ),
    _of(
        "session_rating", "once", "e.rating_requested is not true",
        _ended(post_session_sent=True), _ended(post_session_sent=True, rating_requested=True),
    ),
    _of(
        "session_rating", "what is not rated yet",
        "not exists (select from public.session_ratings as r where r.session_id = e.id)",
        _ended(post_session_sent=True), _rated,
    ),
]  # fmt: skip
