"""monthly-schedule-renewal (cron): asks people who have nothing booked this month."""

from edge import due
from edge.functions import Answer, Call
from shared.texts_pt import schedule


def handle(call: Call) -> Answer:
    """{dry_run?, target_user_id?} -> {"success", "processed", "sent"}, and the run.

    "sent" counts what was handed to the outbox now. One for a person and month (functions 2.15).
    """
    run = due.run(call, "people_schedule_renewal", _text)
    return {"success": True, "processed": run.people, "sent": run.enqueued, **run.told()}


def _text(person: due.Person) -> due.Text:
    return due.Text(
        text=schedule.renewal(person.name, person.facts),
        dedupe_key=f"schedule_renewal:{person.profile_id}:{person.facts['month']}",
    )
