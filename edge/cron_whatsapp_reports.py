"""cron-whatsapp-reports (cron, every five minutes): the reports of agencies' clients whose hour has come."""

import uuid
from uuid import UUID

from edge.due import is_dry_run
from edge.functions import Answer, Call
from edge.idempotency import idempotency_key
from shared import outbox, reports
from shared.errors import InvalidInput
from shared.redaction import phone_tail


def handle(call: Call) -> Answer:
    """{clientId?, force?, dry_run?} -> {"processed", "sent", "failed"}, and the run.

    "sent" counts what was handed to the outbox now, "failed" what could not be (no phone, nobody who
    speaks, a stop) and stands in the log. `force`: this client's, whatever its settings and whatever went
    today; the same Idempotency-Key is the same message. The original sent "monthly" every day and looked at
    the weekday in UTC (functions 4.3, bug 28).
    """
    client_id, force, dry_run = _client(call), _flag(call, "force"), is_dry_run(call)
    run_id = call.run_id or f"{call.function}:{uuid.uuid4()}"
    key = None
    if force:
        if client_id is None:
            raise InvalidInput("force needs a clientId: it sends without being due")
        key = reports.forced_key(client_id, idempotency_key(call.headers))
    active, found = reports.due(call.db, client_id, key=key)
    if dry_run:
        failed = sum(report.unsent is not None for report in found)
        people = [_shown(report) for report in found if report.unsent is None]
        return {"processed": len(found), "sent": 0, "failed": failed, "dryRun": True, "people": people}
    handed = reports.hand_over(call.db, found, enqueued_by=call.function, run_id=run_id)
    call.log.info(
        "run.enqueued", run_id=run_id, people=len(found), enqueued=handed.sent, failed=handed.failed
    )
    answer: Answer = {"processed": len(found), "sent": handed.sent, "failed": handed.failed}
    if active == 0:
        answer["message"] = "No active settings"
    answer |= {"runId": run_id, "repeated": handed.repeated}
    if handed.sent and (expected_end := outbox.run_forecast(call.db, run_id)) is not None:
        answer["expectedEnd"] = expected_end.isoformat()
    return answer


def _client(call: Call) -> UUID | None:
    if call.body.get("profile_id") is not None or call.body.get("target_user_id") is not None:
        raise InvalidInput("profile_id and target_user_id name people of the house: a client is a clientId")
    given = call.body.get("clientId")
    if given is None:
        return None
    try:
        return UUID(given)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput("clientId must be a UUID") from None


def _flag(call: Call, name: str) -> bool:
    value = call.body.get(name, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} must be true or false")
    return value


def _shown(report: reports.Report) -> dict[str, object]:
    return {
        "profileId": None,
        "clientId": str(report.facts["client_id"]),
        "instanceId": str(report.facts["instance_id"]),
        "phone": phone_tail(report.phone),
        "purpose": reports.PURPOSE,
        "text": report.text,
    }
