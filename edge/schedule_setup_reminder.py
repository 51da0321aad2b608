"""schedule-setup-reminder (cron): asks for the days and times that a person never gave."""

from edge import due
from edge.functions import Answer, Call
from shared.texts_pt import schedule


def handle(call: Call) -> Answer:
    """{dry_run?, target_user_id?} -> {"success", "processed", "sent"}, and the run.

    "sent" counts what was handed to the outbox now. At most one in three days for a person (functions 2.15).
    """
    run = due.run(call, "people_schedule_setup", _text)
    return {"success": True, "processed": run.people, "sent": run.enqueued, **run.told()}


def _text(person: due.Person) -> due.Text:
    return due.Text(
        text=schedule.setup(person.name, person.facts),
        dedupe_key=f"schedule_setup:{person.profile_id}:{person.facts['local_date']}",
    )
