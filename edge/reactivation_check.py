"""reactivation-check (cron): writes to who missed a session, and to who fell silent."""

from datetime import date

from edge import due
from edge.functions import Answer, Call
from shared.texts_pt import nudges


def handle(call: Call) -> Answer:
    """{dry_run?, target_user_id?} -> {"success": true, "missed_sessions_sent", "reactivations_sent"}, and the
    run.

    The counters are of what was handed to the outbox now: once for a missed session, twice at most for a
    silence. The original repeated itself daily without end, and forgot do-not-disturb for missed sessions
    (functions 2.10, bug 17).
    """
    run = due.run(call, "people_reactivation", _text)
    return {
        "success": True,
        "missed_sessions_sent": run.by_purpose["reactivation_missed"] if run.preview is None else 0,
        "reactivations_sent": run.by_purpose["reactivation"] if run.preview is None else 0,
        **run.told(),
    }


def _text(person: due.Person) -> due.Text:
    facts = person.facts
    if person.purpose == "reactivation_missed":
        day = date.fromisoformat(facts["missed_on"])
        text = nudges.reactivation_missed(person.name, missed_on=day, missed_at=facts["missed_at"])
        return due.Text(text=text, dedupe_key=f"reactivation_missed:{person.subject_id}:{facts['mark']}")
    return due.Text(
        text=nudges.reactivation(person.name, stage=facts["stage"]),
        dedupe_key=f"reactivation:{person.profile_id}:{facts['stage']}:{facts['mark']}",
    )
