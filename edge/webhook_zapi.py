"""webhook-zapi: what Z-API tells about one of our numbers: authenticated per number, stored once, answered.

Composing the answer is a worker's turn (shared/turns), never this request's.
"""

from edge.functions import Answer, Call
from shared import inbox, phones, webhook_auth
from shared.providers import zapi_events
from shared.providers.base import ProviderEvent
from shared.redaction import phone_tail, redact_event
from shared.webhook_auth import WebhookInstance

# Ids of ours are short; others need not be stored as receipts (the event itself always is).
_LONGEST_ID = 200
_MOST_IDS = 1000


def handle(call: Call) -> Answer:
    """Every authentic event is stored, ignored ones with their reason. Answers are those of functions 2.2:
    {"status": "accepted", "event_id"}, {"status": "success"}, {"status": "ignored", "reason"}."""
    instance = webhook_auth.authenticate(
        call.db,
        path_token=call.webhook_token,
        header_token=call.headers.get("z-api-token"),
        claimed_instance=call.body.get("instanceId"),
    )
    event = zapi_events.parse(call.body)
    other_phone = _is_other_phone(call, instance, event)
    accepted = inbox.accept(
        call.db,
        instance_id=instance.instance_id,
        event_key=event.event_key,
        # As "connected" it would resume a number that another phone was paired with (zapi contract 5.6).
        kind="other" if other_phone else event.kind,
        payload=redact_event(call.body),
        phone=phones.from_provider(event.phone) or event.phone,
        text=event.text,
        message_kind=event.message_kind,
        happened_at=event.happened_at,
        ignored_reason="other_phone" if other_phone else _ignored_reason(event),
        receipt=event.receipt,
        receipt_ids=_receipt_ids(event),
        error=event.error,
        error_class=event.error_class,
        debounce_s=call.settings.reply_debounce_s,
    )
    if not accepted.is_new:
        return {"status": "ignored", "reason": "duplicate"}
    if accepted.ignored_reason is not None:
        return {"status": "ignored", "reason": accepted.ignored_reason}
    if event.kind == "message":
        return {"status": "accepted", "event_id": accepted.event_id}
    return {"status": "success"}


def _ignored_reason(event: ProviderEvent) -> str | None:
    """Why an event asks for no answer; the order of the checks is the original's (functions 2.2)."""
    if event.kind == "other":
        return "status_only_event"
    if event.kind != "message":
        return None
    phone = event.phone or ""
    checks = (
        (event.from_me, "own_message"),
        (event.is_group or event.is_newsletter or phone.endswith("-group"), "group_message"),
        (not phone, "missing_phone"),
        (phones.from_provider(phone) is None, "invalid_phone"),
        # It was answered, or is about to be, as it first stood.
        (event.is_edit, "edited_message"),
        (event.is_waiting or event.message_kind == "notice", "status_only_event"),
        (event.text is None and event.message_kind != "audio", "missing_data"),
    )
    return next((reason for applies, reason in checks if applies), None)


def _is_other_phone(call: Call, instance: WebhookInstance, event: ProviderEvent) -> bool:
    """Whether this number was paired again, with a phone that is not ours."""
    if event.kind != "connected" or not event.connected_phone or not instance.phone_number:
        return False
    if inbox.same_phone(call.db, event.connected_phone, instance.phone_number):
        return False
    call.log.warning(
        "instance.other_phone",
        instance_name=instance.name,
        connected=phone_tail(event.connected_phone),
        ours=phone_tail(instance.phone_number),
    )
    return True


def _receipt_ids(event: ProviderEvent) -> list[str]:
    ids = [each for each in event.provider_message_ids if len(each) <= _LONGEST_ID]
    return ids[:_MOST_IDS]
