"""scheduled-checkin (cron): asks people who are silent for a week how they are, once a month at most."""

from edge import due
from edge.functions import Answer, Call
from shared.texts_pt import nudges


def handle(call: Call) -> Answer:
    """{dry_run?, target_user_id?} -> {"status": "success", "totalUsers", "messagesSent"}, and the run.

    "messagesSent" counts what was handed to the outbox now. The original wrote to everybody on each run, by
    UTC's hour, and took nearly every mood for a low one (functions 2.8, bug 15).
    """
    run = due.run(call, "people_checkin", _text)
    return {"status": "success", "totalUsers": run.people, "messagesSent": run.enqueued, **run.told()}


def _text(person: due.Person) -> due.Text:
    return due.Text(
        text=nudges.checkin(person.name, person.facts),
        dedupe_key=f"checkin:{person.profile_id}:{person.facts['day']}",
    )
