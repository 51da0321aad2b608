"""weekly-report (cron): the figures of the week for each active person, and a paragraph."""

from edge import due
from edge.functions import Answer, Call
from shared.texts_pt import content


def handle(call: Call) -> Answer:
    """{dry_run?, target_user_id?} -> {"status": "success", "totalUsers", "reportsSent"}, and the run.

    "reportsSent" counts what was handed to the outbox now: pace and receipts tell the rest. The original died
    with its people half served (functions 2.5, bug 09); a second run of the same week changes nothing.
    """
    run = due.run(call, "people_weekly_report", _text)
    return {"status": "success", "totalUsers": run.people, "reportsSent": run.enqueued, **run.told()}


def _text(person: due.Person) -> due.Text:
    return due.Text(
        text=content.weekly_report(person.name, person.facts),
        dedupe_key=f"weekly:{person.profile_id}:{person.facts['week_start']}",
        compose="weekly_report",
    )
