"""periodic-content (cron): the next episode to each person on a journey, or its completion."""

from edge import due
from edge.functions import Answer, Call
from shared.errors import InvalidInput
from shared.texts_pt import content


def handle(call: Call) -> Answer:
    """{force?, dry_run?, target_user_id?} -> {"success", "processed", "sent", "errors"}, and the run.

    "sent" counts what was handed to the outbox now. "errors" is always 0: an episode that no agent tells goes
    as it stands, where the original counted an error. The journey moves when the provider accepts (bug 13).
    "force" is taken as the original took it, and overrides nothing: quiet hours are a rule.
    """
    if not isinstance(call.body.get("force", False), bool):
        raise InvalidInput("force must be true or false")
    run = due.run(call, "people_content", _text)
    answer: Answer = {"success": True, "processed": run.people, "sent": run.enqueued, "errors": 0}
    if run.people == 0:
        answer["message"] = "nobody is due an episode now"
    return {**answer, **run.told()}


def _text(person: due.Person) -> due.Text:
    facts = person.facts
    key = f"{person.subject_id}:{facts['local_date']}"
    if person.purpose == "content_completed":
        text = content.journey_completed(person.name, facts)
        return due.Text(text=text, dedupe_key=f"content_completed:{key}")
    return due.Text(text=content.episode(person.name, facts), dedupe_key=f"content:{key}", compose="episode")
