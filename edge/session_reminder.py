"""session-reminder: the words around each booked session, and the end of sessions that nobody ended."""

from edge import due
from edge.functions import Answer, Call
from shared.texts_pt import sessions

# Each counter of the answer (functions 2.7), and whose messages it counts.
_COUNTERS = {
    "reminders24h": ("session_24h",),
    "reminders1h": ("session_1h",),
    "reminders15m": ("session_15m",),
    "startNotifications": ("session_start",),
    "nudges": ("session_nudge",),
    "missed": ("session_missed",),
    "abandoned": ("session_abandoned",),
    "postSession": ("session_summary", "session_rating"),
}


def handle(call: Call) -> Answer:
    """{dry_run?, target_user_id?, profile_id?} -> {"success": true} and the counters: new messages.

    Then the sessions that are over without an end are closed, whoever they belong to; a dry run closes none.
    """
    run = due.run(call, "people_session_messages", _text)
    if not due.is_dry_run(call):
        closed = call.db.call_one(
            "messaging.close_sessions",
            p_missed_summary=sessions.MISSED_SUMMARY,
            p_completed_summary=sessions.CLOSED_SUMMARY,
        )
        if any(closed.values()):
            call.log.info("sessions.closed", run_id=run.run_id, **closed)
    counts: Answer = {
        name: sum(run.by_purpose[purpose] for purpose in purposes) for name, purposes in _COUNTERS.items()
    }
    return {"success": True, **counts, **run.told()}


def _text(person: due.Person) -> due.Text:
    # A summary of the app's own goes out as it is; only one that nobody wrote is composed.
    unwritten = person.facts.get("summary") == sessions.CLOSED_SUMMARY
    return due.Text(
        text=sessions.text(person.purpose, person.name, person.facts),
        # The subject has the session's time: one that is moved is reminded anew.
        dedupe_key=f"session:{person.purpose}:{(person.subject_id or '').replace('@', ':')}",
        compose="session_summary" if unwritten else None,
    )
