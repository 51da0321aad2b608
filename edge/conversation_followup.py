"""conversation-followup (cron): one line to who stopped answering, by the agent where there is one."""

from edge import due
from edge.functions import Answer, Call
from shared.texts_pt import nudges


def handle(call: Call) -> Answer:
    """{dry_run?, target_user_id?} -> {"status": "success", "totalConversations", "followupsSent"}, and the
    run; between 22:00 and 08:00 in São Paulo {"status": "skipped", "reason": "quiet_hours", "currentHour"},
    where a dry run finds nobody.

    "followupsSent" counts what was handed to the outbox now, drafts that the agent may still SKIP included.
    The names of the two totals are ours; the original's are not known (functions 2.9, bug 16).
    """
    dry_run = due.is_dry_run(call)
    hour = call.db.call_one("messaging.quiet_hour")["quiet_hour"]
    if hour is not None:
        skipped: Answer = {"status": "skipped", "reason": "quiet_hours", "currentHour": hour}
        return {**skipped, "dryRun": True, "people": []} if dry_run else skipped
    run = due.run(call, "people_conversation_followup", _text)
    return {
        "status": "success",
        "totalConversations": run.people,
        "followupsSent": run.enqueued,
        **run.told(),
    }


def _text(person: due.Person) -> due.Text:
    facts = person.facts
    return due.Text(
        text=nudges.conversation_followup(person.name, situation=facts["situation"], step=facts["step"]),
        dedupe_key=f"convfollow:{person.profile_id}:{facts['mark']}:{facts['step']}",
        compose="conversation_followup",
    )
