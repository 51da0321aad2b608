"""webhook-zapi: what Z-API tells about one of our numbers: authenticated per number, stored once, answered.

What the facts ask for is read in edge/inbound; composing the answer is a worker's turn (shared/turns), never
this request's.
"""

from edge import inbound
from edge.functions import Answer, Call
from shared import inbox, phones, quick_answers, webhook_auth
from shared.credentials import KeyRing
from shared.providers import zapi_events
from shared.providers.base import ProviderEvent
from shared.redaction import phone_tail, redact_event
from shared.webhook_auth import WebhookInstance

# Ids of ours are short; others need not be stored as receipts (the event itself always is).
_LONGEST_ID = 200
_MOST_IDS = 1000


def handle(call: Call) -> Answer:
    """Every authentic event is stored, ignored ones with their reason. Answers are those of functions 2.2:
    {"status": "accepted", "event_id"} where a worker answers, {"status": "success"}, or {"status": "ignored",
    "reason"}.

    Reasons beyond the original's: edited_message (stored, not answered again), already_opted_out (said stop
    before), human_takeover (one of us speaks by hand on this number), other_phone (paired with a stranger's).
    What the original answered after its seconds of waiting (debounced, trial_limit_reached, rating_handled,
    confirmation_handled, audio_transcription_failed, interrupted, messagesCount) is known to the worker
    only, later: its log's turn.answered tells.
    """
    instance = webhook_auth.authenticate(
        call.db,
        path_token=call.webhook_token,
        header_token=call.headers.get("z-api-token"),
        claimed_instance=call.body.get("instanceId"),
        ring=KeyRing.from_settings(call.settings),
    )
    event = zapi_events.parse(call.body)
    other_phone = _is_other_phone(call, instance, event)
    accepted = inbox.accept(
        call.db,
        instance_id=instance.instance_id,
        event_key=event.event_key,
        # As "connected" it would resume a number that another phone was paired with (zapi contract 5.6).
        kind="other" if other_phone else event.kind,
        payload=redact_event(call.body, (call.webhook_token, call.headers.get("z-api-token"))),
        phone=phones.from_provider(event.phone) or event.phone,
        lid=inbound.lid_of(event),
        text=event.text,
        message_kind=event.message_kind,
        media_url=event.media_url,
        command=quick_answers.command(event.text),
        happened_at=event.happened_at,
        ignored_reason="other_phone" if other_phone else inbound.ignored_reason(event),
        takeover_s=inbound.takeover_s(event, call.settings.takeover_s),
        receipt=event.receipt,
        receipt_ids=_receipt_ids(event),
        error=event.error,
        error_class=event.error_class,
        sent_by=event.sent_by,
        queue_id=event.provider_queue_id,
        debounce_s=call.settings.reply_debounce_s,
    )
    if not accepted.is_new:
        return {"status": "ignored", "reason": "duplicate"}
    if accepted.ignored_reason is not None:
        return {"status": "ignored", "reason": accepted.ignored_reason}
    if event.kind == "message":
        return {"status": "accepted", "event_id": accepted.event_id}
    return {"status": "success"}


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
