"""webhook-evolution: what Evolution API tells about the number of an agency or of a client.

Events wake us, the provider's state decides (evolution contract 10.7): only an end is believed at once.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from edge import inbound
from edge.functions import Answer, Call
from shared import inbox, outbox, quick_answers, webhook_auth
from shared.providers.evolution_events import (
    AnyFact,
    ConnectionChange,
    QrLimit,
    QrShown,
    Removed,
    parse_event,
)
from shared.providers.evolution_messages import Message
from shared.redaction import redact_event
from shared.texts_pt import stops
from shared.webhook_auth import WebhookConnection

HEADER = "x-roleta-webhook"
_LONGEST_ID = 200
# What ends a pairing for good; 401 is also what our own logout is told as (contract 7).
_REFUSALS = (402, 403, 406)


def handle(call: Call) -> Answer:
    """{"status": "success"} for what was of use, {"status": "ignored"} for the rest; 401 for who cannot prove
    the number's secret (header x-roleta-webhook), always the same.

    The address may end with the event's name (evolution contract 6, byEvents); the secret is never in it.
    Messages, receipts and ends are stored, each once; what comes many times a second is not.
    """
    number = webhook_auth.authenticate_connection(
        call.db, header_token=call.headers.get(HEADER), claimed_name=call.body.get("instance")
    )
    fact = parse_event(call.body)
    return {"status": "success" if _apply(call, number, fact) else "ignored"}


def _apply(call: Call, number: WebhookConnection, fact: AnyFact) -> bool:
    match fact:
        case Message():
            return _message(call, number, fact)
        case ConnectionChange():
            return _change(call, number, fact)
        case Removed():
            return _end(call, number, fact, detail=fact.cause)
        case QrShown():
            shown = call.db.call_one(
                "messaging.show_qr",
                p_instance_id=number.instance_id,
                p_code=fact.code,
                p_pairing_code=fact.pairing_code,
                p_made_at=_made_at(call.body),
            )
            return bool(shown["show_qr"])
        case QrLimit():
            return _expire(call, number)
    return False


def _change(call: Call, number: WebhookConnection, fact: ConnectionChange) -> bool:
    """Connecting comes many times a second where the provider has no network (contract 1.14)."""
    if fact.final:
        return _end(call, number, fact, detail=f"closed for good ({fact.reason})")
    if fact.refused:
        return _expire(call, number)
    if fact.state == "open":
        if fact.phone is not None and fact.phone != number.phone_number:
            call.db.call(
                "messaging.set_phone_number",
                p_instance_id=number.instance_id,
                p_phone_number=fact.phone,
                p_by="webhook-evolution",
            )
        call.db.call("messaging.ask_health_soon", p_instance_id=number.instance_id)
        return True
    noted = call.db.call_one("messaging.note_connecting", p_instance_id=number.instance_id)
    if noted["note_connecting"]:
        hint = "it connects again and again: look at the Evolution server's network"
        call.log.error("connection.storm", instance_name=number.name, hint=hint)
    return True


def _end(call: Call, number: WebhookConnection, fact: ConnectionChange | Removed, *, detail: str) -> bool:
    """Visible at once. Told late, of a number that was paired again meanwhile, it is put right by the look
    that it asks for."""
    accepted = inbox.accept_for_agency(
        call.db,
        instance_id=number.instance_id,
        event_key=fact.event_key,
        kind="disconnected",
        payload=redact_event(call.body, (call.headers.get(HEADER),)),
    )
    if not accepted.is_new:
        return False
    call.db.call(
        "messaging.record_health",
        p_instance_id=number.instance_id,
        p_connected=False,
        p_by=f"provider event: {detail}",
    )
    if fact.reason in _REFUSALS:
        call.db.call(
            "messaging.set_pairing",
            p_instance_id=number.instance_id,
            p_state="refused",
            p_detail=f"WhatsApp refused this phone ({fact.reason})",
        )
    call.db.call("messaging.ask_health_soon", p_instance_id=number.instance_id)
    call.log.warning("connection.ended", instance_name=number.name, detail=detail)
    return True


def _expire(call: Call, number: WebhookConnection) -> bool:
    expired = call.db.call_one(
        "messaging.set_pairing",
        p_instance_id=number.instance_id,
        p_state="expired",
        p_detail="nobody scanned any of the provider's codes",
    )
    return bool(expired["set_pairing"])


def _message(call: Call, number: WebhookConnection, event: Message) -> bool:
    """What one of us sends or types is stored as ours; a person's stop or start is obeyed for the whole
    agency, and confirmed once on the number that was written to."""
    address = event.phone or event.chat_lid
    # Only what a person says to us alone is an order: not a group's talk, nor our own words.
    is_asked = event.kind == "message" and inbound.ignored_reason(replace(event, phone=address)) is None
    accepted = inbox.accept_for_agency(
        call.db,
        instance_id=number.instance_id,
        event_key=event.event_key,
        kind=event.kind,
        payload=redact_event(call.body, (call.headers.get(HEADER),)),
        phone=address,
        lid=inbound.lid_of(event),
        text=event.text,
        message_kind=event.message_kind,
        happened_at=event.happened_at,
        from_me=event.from_me,
        command=quick_answers.command(event.text) if is_asked else None,
        receipt=event.receipt,
        receipt_ids=[each for each in event.provider_message_ids if len(each) <= _LONGEST_ID],
        error=event.error,
        sent_by=event.sent_by,
    )
    text = {"out": stops.STOPPED, "in": stops.STARTED}.get(accepted.opted or "")
    # Behind a LID alone the order holds, but there is no phone that a confirmation could go to.
    if text is not None and event.phone is not None:
        outbox.enqueue(
            call.db,
            purpose="agency_optout",
            phone=event.phone,
            text=text,
            dedupe_key=f"agency_optout:{accepted.event_id}",
            enqueued_by="webhook-evolution",
            instance_id=number.instance_id,
        )
    return accepted.is_new


def _made_at(body: Mapping[str, Any]) -> datetime | None:
    """When the provider made a code, by its own clock, which only tells later from earlier (contract 6)."""
    try:
        return datetime.fromisoformat(str(body.get("date_time")))
    except ValueError:
        return None
