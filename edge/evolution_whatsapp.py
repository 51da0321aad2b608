"""evolution-whatsapp: a manager connects, asks after, sends through and disconnects the number of one client,
or of the agency itself. What each action means is in shared/connections.
"""

import uuid
from collections.abc import Callable

from edge.body import required_text, text_field
from edge.functions import Answer, Call
from edge.idempotency import idempotency_key
from shared import outbox, phones
from shared.connections import Connections
from shared.db import Calls
from shared.errors import Conflict, InvalidInput, NotFound


def handle(call: Call) -> Answer:
    """{action, client_id?} and what the action needs -> the original's answers (functions 4.2).

    create-instance: {"success", "instance_name"} with "already_connected": true, or "qrcode" (a data URI,
    null until there is one). get-qrcode: {"qrcode"}; 404 where nothing is connected or begun, 409 where it
    is connected or the pairing is over. check-status: {"connected", "status"}; status is the provider's
    state, "no_instance" or "error". send-message: {"success", "data": {"message_id", "status": "queued"}},
    through this very number or 404; the original sent it itself. disconnect: {"success": true}, also where
    there was nothing.

    Without client_id it is the agency's own number. A client of another agency gets the same 404 as one that
    never was (bug 23). 502 where Evolution API cannot do its part; the original answered 500 with its text.
    """
    person, person_db = call.caller()
    action = call.body.get("action")
    act = _ACTIONS.get(action) if isinstance(action, str) else None
    if act is None:
        raise InvalidInput("Invalid action")
    client_id = _client_id(call)
    call.log.info("connection.action", action=action, agency_id=str(person.user_id))
    return act(call, person_db, client_id)


def _create(call: Call, person_db: Calls, client_id: uuid.UUID | None) -> Answer:
    with Connections(call.db, call.settings) as connections:
        pairing = connections.connect(person_db, client_id)
    answer: Answer = {"success": True, "instance_name": pairing.instance_name}
    if pairing.already_connected:
        return answer | {"already_connected": True}
    return answer | {"qrcode": pairing.picture}


def _qr_code(call: Call, person_db: Calls, client_id: uuid.UUID | None) -> Answer:
    with Connections(call.db, call.settings) as connections:
        pairing = connections.look(person_db, client_id)
    if pairing.pairing_state == "connected":
        raise Conflict("this number is connected already: there is no QR code to scan")
    if not pairing.is_under_way:
        raise Conflict("this pairing is over: call create-instance to begin a new one")
    return {"qrcode": pairing.picture}


def _check(call: Call, person_db: Calls, client_id: uuid.UUID | None) -> Answer:
    with Connections(call.db, call.settings) as connections:
        found = connections.status(person_db, client_id)
    return {"connected": found.connected, "status": found.state}


def _send(call: Call, person_db: Calls, client_id: uuid.UUID | None) -> Answer:
    phone = required_text(call.body, "phone", longest=40)
    text = required_text(call.body, "message", longest=65_536)
    rows = person_db.call("messaging.own_connection", p_client_id=client_id)
    # No other number speaks in its place: the manager chose this one (functions 4.2).
    if not rows or rows[0]["status"] != "connected":
        raise NotFound("WhatsApp is not connected: connect this number first")
    message = outbox.enqueue(
        call.db,
        purpose="agency_message",
        phone=phones.normalize(phone),
        text=text,
        dedupe_key=f"agency_message:{idempotency_key(call.headers)}",
        enqueued_by="evolution-whatsapp",
        instance_id=rows[0]["instance_id"],
        facts={
            "client_id": client_id and str(client_id),
            "spoken_by": "client" if client_id else "agency",
            "sent_from": rows[0]["instance_name"],
        },
    )
    if not message.same_request:
        raise Conflict("this Idempotency-Key was used for another message: use a new one")
    return {"success": True, "data": {"message_id": message.message_id, "status": "queued"}}


def _disconnect(call: Call, person_db: Calls, client_id: uuid.UUID | None) -> Answer:
    with Connections(call.db, call.settings) as connections:
        connections.disconnect(person_db, client_id)
    return {"success": True}


_ACTIONS: dict[str, Callable[[Call, Calls, uuid.UUID | None], Answer]] = {
    "create-instance": _create,
    "get-qrcode": _qr_code,
    "check-status": _check,
    "send-message": _send,
    "disconnect": _disconnect,
}


def _client_id(call: Call) -> uuid.UUID | None:
    given = text_field(call.body, "client_id", longest=36, required=False)
    try:
        return uuid.UUID(given) if given is not None else None
    except ValueError:
        raise InvalidInput("client_id must be a UUID") from None
