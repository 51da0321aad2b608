"""The conditions of scheduled-followup, scheduled-checkin, reactivation-check and conversation-followup."""

from collections.abc import Callable
from uuid import UUID

from tests.database.audiences import Condition
from tests.database.nudging import (
    Ago,
    ago,
    midnight,
    opted_out,
    person,
    set_columns,
    undisturbed,
    with_commitment,
    with_conversation,
    with_session,
)
from tests.database.world import World

Make = Callable[[World], UUID]


def _made(make: Callable[..., UUID], **columns: object) -> Make:
    return lambda world: make(world, **columns)


def _timed(make: Callable[..., UUID], column: str, how_long: Ago, **columns: object) -> Make:
    """A column that holds a moment so long ago."""
    return lambda world: make(world, **{column: ago(world, how_long)}, **columns)


def _due_at(plus: str) -> Make:
    return lambda world: with_commitment(world, due_date=midnight(world, plus))


def _opted_out(make: Make) -> Make:
    return lambda world: opted_out(world, make(world))


def _following(make: Callable[..., UUID], first: Callable[..., UUID], **columns: object) -> Make:
    return lambda world: make(world, first(world), **columns)


def _followed(how_long: str) -> Make:
    """Due now, and another commitment of the same person was followed up so long ago."""
    return lambda world: with_commitment(
        world, with_commitment(world), title="Ler", last_follow_up_at=ago(world, how_long)
    )


def _session_ended(how_long: str) -> Make:
    return lambda world: with_session(
        world, with_conversation(world), was="3 hours", status="completed", ended_at=ago(world, how_long)
    )


def _silent(world: World, wrote: Ago = "5 days", **columns: object) -> UUID:
    return person(world, wrote=wrote, **columns)


def _asked(world: World, wrote: Ago = "40 days", **columns: object) -> UUID:
    return person(world, wrote=wrote, **columns)


def _without_a_word(world: World, since: str) -> UUID:
    profile = person(world, wrote=None)
    set_columns(world, "profiles", profile, created_at=ago(world, since))
    return profile


def _reactivated(world: World, how_long: str) -> UUID:
    return person(world, last_reactivation_sent=ago(world, how_long))


FOLLOWUP = "people_commitment_followup"
CHECKIN = "people_checkin"
MISSED = "people_reactivation_missed"
SILENT = "people_reactivation_silent"
CONVERSATION = "people_conversation_followup"
REACTIVATED = "coalesce(p.last_reactivation_sent, '-infinity')"
CHECKED_IN = "coalesce(p.last_checkin_sent_at, '-infinity')"
SILENT_A_WEEK = "coalesce(messaging.last_wrote_at(p), p.created_at) <= v_now - interval '7 days'"
# Noon is twelve hours after the last midnight.
YESTERDAY, TODAY = "12 hours 1 second", "12 hours"


def _may_choose(purpose: str, expiry: str) -> str:
    return f"messaging.may_choose('{purpose}', p.id, p.phone, {expiry})"


TONIGHT = "messaging.end_of_local_day(v_now)"
CONDITIONS = [
    Condition(
        FOLLOWUP, "status", "p.status in ('active', 'trial')",
        lambda world: with_commitment(world, person(world, status="trial")),
        lambda world: with_commitment(world, person(world, status="canceled")),
    ),
    Condition(
        FOLLOWUP, "not completed", "c.completed is not true",
        _made(with_commitment), _made(with_commitment, completed=True),
    ),
    Condition(
        FOLLOWUP, "not reminded to the end", "c.reminder_sent is not true",
        _made(with_commitment), _made(with_commitment, reminder_sent=True),
    ),
    Condition(
        FOLLOWUP, "pending", "coalesce(c.commitment_status, 'pending') = 'pending'",
        _made(with_commitment), _made(with_commitment, commitment_status="cancelled"),
    ),
    Condition(
        FOLLOWUP, "due by the coming local midnight", "c.due_date < messaging.end_of_local_day(v_now)",
        _due_at("-1 second"), _due_at("0"),
    ),
    Condition(
        FOLLOWUP, "nobody followed up twice a day", "not messaging.followed_up_today(p.user_id, v_now)",
        _followed(YESTERDAY), _followed(TODAY),
    ),
    Condition(
        FOLLOWUP, "opt-out", _may_choose("commitment_followup", TONIGHT),
        _made(with_commitment), _opted_out(with_commitment),
    ),
    Condition(
        FOLLOWUP, "silent for a week", _may_choose("commitment_followup", TONIGHT),
        lambda world: with_commitment(world, person(world, wrote="7 days")),
        lambda world: with_commitment(world, person(world, wrote="7 days 1 second")),
    ),
    Condition(
        CHECKIN, "active", "p.status = 'active'", _asked, _made(_asked, status="trial"),
    ),
    Condition(
        CHECKIN, "once in thirty days", f"{CHECKED_IN} <= v_now - interval '30 days'",
        _timed(_asked, "last_checkin_sent_at", "30 days"),
        _timed(_asked, "last_checkin_sent_at", "30 days -1 second"),
    ),
    Condition(
        CHECKIN, "silent for a week", SILENT_A_WEEK,
        _made(_asked, wrote="7 days"), _made(_asked, wrote="7 days -1 second"),
    ),
    Condition(
        CHECKIN, "never wrote", SILENT_A_WEEK,
        _made(_without_a_word, since="7 days"), _made(_without_a_word, since="7 days -1 second"),
    ),
    Condition(
        CHECKIN, "no reactivation in three days", f"{REACTIVATED} <= v_now - interval '3 days'",
        _timed(_asked, "last_reactivation_sent", "3 days"),
        _timed(_asked, "last_reactivation_sent", "3 days -1 second"),
    ),
    Condition(CHECKIN, "opt-out", _may_choose("checkin", TONIGHT), _asked, _opted_out(_asked)),
    Condition(
        CHECKIN, "do-not-disturb", _may_choose("checkin", TONIGHT),
        _timed(_asked, "do_not_disturb_until", "0"), lambda world: undisturbed(world, _asked(world)),
    ),
    Condition(
        MISSED, "status", "p.status in ('active', 'trial')",
        lambda world: with_session(world, person(world, status="trial")),
        lambda world: with_session(world, person(world, status="canceled")),
    ),
    Condition(
        MISSED, "still scheduled", "n.status = 'scheduled'",
        _made(with_session), _made(with_session, status="cancelled"),
    ),
    Condition(
        MISSED, "never started", "n.started_at is null",
        _made(with_session), _timed(with_session, "started_at", "2 hours"),
    ),
    Condition(
        MISSED, "more than an hour late", "n.scheduled_at < v_now - interval '1 hour'",
        _made(with_session, was="1 hour 1 second"), _made(with_session, was="1 hour"),
    ),
    Condition(
        MISSED, "not of an adopted past", "n.scheduled_at > v_now - interval '7 days'",
        _made(with_session, was="7 days -1 second"), _made(with_session, was="7 days"),
    ),
    Condition(
        MISSED, "not written to within a day", f"{REACTIVATED} <= v_now - interval '24 hours'",
        lambda world: with_session(world, _reactivated(world, "24 hours")),
        lambda world: with_session(world, _reactivated(world, "24 hours -1 second")),
    ),
    Condition(
        MISSED, "do-not-disturb (bug 17)", _may_choose("reactivation_missed", TONIGHT),
        _made(with_session), lambda world: undisturbed(world, with_session(world)),
    ),
    Condition(SILENT, "active", "p.status = 'active'", _silent, _made(_silent, status="trial")),
    Condition(
        SILENT, "silent for three days", "messaging.last_wrote_at(p) < v_now - interval '3 days'",
        _made(_silent, wrote="3 days 1 second"), _made(_silent, wrote="3 days"),
    ),
    Condition(
        SILENT, "once in each stage of a silence",
        f"{REACTIVATED} < messaging.last_wrote_at(p) + make_interval(days => g.days)",
        _timed(_silent, "last_reactivation_sent", "2 days 1 second"),
        _timed(_silent, "last_reactivation_sent", "2 days"),
    ),
    Condition(
        SILENT, "not written to within a day", f"{REACTIVATED} <= v_now - interval '24 hours'",
        _timed(_silent, "last_reactivation_sent", "24 hours", wrote="3 days 1 minute"),
        _timed(_silent, "last_reactivation_sent", "24 hours -1 second", wrote="3 days 1 minute"),
    ),
    Condition(
        SILENT, "no check-in in three days", f"{CHECKED_IN} <= v_now - interval '3 days'",
        _timed(_silent, "last_checkin_sent_at", "3 days"),
        _timed(_silent, "last_checkin_sent_at", "3 days -1 second"),
    ),
    Condition(
        SILENT, "no session ahead", "not messaging.has_session_ahead(p.user_id, v_now)",
        _following(with_session, _silent, was="0"), _following(with_session, _silent, was="-1 second"),
    ),
    Condition(SILENT, "opt-out", _may_choose("reactivation", TONIGHT), _silent, _opted_out(_silent)),
    Condition(
        "people_reactivation", "one part a person",
        "s.profile_id not in (select m.profile_id from missed as m)",
        _silent, _following(with_session, _silent), purpose="reactivation",
    ),
    Condition(
        CONVERSATION, "active", "p.status = 'active'",
        with_conversation, _made(with_conversation, status="trial"),
    ),
    Condition(
        CONVERSATION, "not closed", "f.closed_at is null",
        with_conversation, _timed(with_conversation, "closed_at", "2 hours"),
    ),
    Condition(
        CONVERSATION, "open", "f.last_user_message_at is not null",
        with_conversation, _made(with_conversation, last_user_message_at=None),
    ),
    Condition(
        CONVERSATION, "of today", "w.wrote_at > v_now - interval '24 hours'",
        _made(with_conversation, wrote="24 hours -1 second"), _made(with_conversation, wrote="24 hours"),
    ),
    Condition(
        CONVERSATION, "rested since the person's last message",
        "greatest(w.wrote_at, f.last_followup_at) <= v_now - s.rest",
        _made(with_conversation, wrote="30 minutes"), _made(with_conversation, wrote="30 minutes -1 second"),
    ),
    Condition(
        CONVERSATION, "rested since the last follow-up",
        "greatest(w.wrote_at, f.last_followup_at) <= v_now - s.rest",
        _timed(with_conversation, "last_followup_at", "30 minutes"),
        _timed(with_conversation, "last_followup_at", "30 minutes -1 second"),
    ),
    Condition(
        CONVERSATION, "not followed up often enough", "coalesce(f.followup_count, 0) < s.at_most",
        _made(with_conversation, followup_count=1), _made(with_conversation, followup_count=2),
    ),
    Condition(
        CONVERSATION, "no session just ended (bug 16)", "not messaging.session_just_ended(p.user_id, v_now)",
        _session_ended("60 minutes"), _session_ended("60 minutes -1 second"),
    ),
    Condition(
        CONVERSATION, "opt-out", _may_choose("conversation_followup", "v_now + interval '2 hours'"),
        with_conversation, _opted_out(with_conversation),
    ),
]  # fmt: skip
