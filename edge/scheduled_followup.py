"""scheduled-followup (cron): reminds each person of the commitment that has been due for longest."""

from datetime import date

from edge import due
from edge.functions import Answer, Call
from shared.texts_pt import nudges


def handle(call: Call) -> Answer:
    """{dry_run?, target_user_id?} -> {"status": "success", "totalCommitments", "remindersSent"}, and the run.

    "remindersSent" counts what was handed to the outbox now. A level rises when its message went out, so the
    second and third are reached (functions 2.4, bug 11); one message a person and day.
    """
    run = due.run(call, "people_commitment_followup", _text)
    return {
        "status": "success",
        "totalCommitments": run.people,
        "remindersSent": run.enqueued,
        **run.told(),
    }


def _text(person: due.Person) -> due.Text:
    facts = person.facts
    text = nudges.commitment_followup(
        person.name, level=facts["level"], title=facts["title"], due_on=date.fromisoformat(facts["due_on"])
    )
    return due.Text(text=text, dedupe_key=f"followup:{person.subject_id}:{facts['level']}:{facts['day']}")
