"""The `data` of every event, as Appendix B of the evolution contract has them."""

import json
import secrets
import time
from typing import Any

from scripts.simulator.evolution.rows import Channel, Row, Stored, stamp
from scripts.simulator.options import BadSettingError

_TITLES = {401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 406: "Not Acceptable"}
# Timestamps of the disappearing-messages setting lie two days back in all that was seen.
_SETTING_AGE_S = 172_800


def connecting(channel: Channel) -> dict[str, Any]:
    """connection.update"""
    return {"instance": channel.row.name, "state": "connecting", "statusReason": 200}


def opened(channel: Channel) -> dict[str, Any]:
    """connection.update with who it is"""
    return {
        "instance": channel.row.name,
        "wuid": channel.own_jid,
        "profileName": channel.row.profile_name,
        "profilePictureUrl": None,
        "state": "open",
        "statusReason": 200,
    }


def ended(channel: Channel, state: str, reason: int) -> dict[str, Any]:
    """connection.update with `close` or `refused`"""
    return {"instance": channel.row.name, "state": state, "statusReason": reason}


def shown(channel: Channel) -> dict[str, Any]:
    """qrcode.updated: without the count"""
    code = channel.code or {}
    return {
        "qrcode": {
            "instance": channel.row.name,
            **{key: code.get(key) for key in ("pairingCode", "code", "base64")},
        }
    }


def limit_reached() -> dict[str, Any]:
    """qrcode.updated at the limit"""
    return {"message": "QR code limit reached, please login again", "statusCode": 500}


def closed_status(row: Row) -> dict[str, Any]:
    """status.instance"""
    return {
        "instance": row.name,
        "status": "closed",
        "disconnectionAt": row.reason_at,
        "disconnectionReasonCode": row.reason_code,
        "disconnectionObject": row.reason_object,
    }


def reason_object(code: int, why: str, data: Any) -> str:
    """`disconnectionObject`: JSON in a text; `why` tells an own logout from a removal by the phone."""
    payload = {"statusCode": code, "error": _TITLES.get(code, "Connection Failure"), "message": why}
    output = {"statusCode": code, "payload": payload, "headers": {}}
    error = {"data": data, "isBoom": True, "isServer": False, "output": output}
    return json.dumps({"error": error, "date": stamp()}, separators=(",", ":"))


def identity(row: Row) -> dict[str, Any]:
    """instance.create and instance.delete"""
    return {"instanceName": row.name, "instanceId": row.id}


def message_id(own: bool) -> str:
    """A new `key.id`."""
    return "3EB0" + secrets.token_hex(9).upper() if own else "3A" + secrets.token_hex(9).upper()


def context(**more: Any) -> dict[str, Any]:
    """`contextInfo` of what is sent to a person."""
    low = int(time.time()) - _SETTING_AGE_S
    return {
        "mentionedJid": [],
        "groupMentions": [],
        "ephemeralSettingTimestamp": {"low": low, "high": 0, "unsigned": False},
        "disappearingMode": {"initiator": 0},
        **more,
    }


def sent(row: Row, key: dict[str, Any], kind: str, message: Any, info: Any) -> dict[str, Any]:
    """The 201 of a send, and `send.message`. Groups have no `contextInfo`."""
    return {
        "key": key,
        "pushName": "Você",
        "status": "PENDING",
        "message": message,
        **({"contextInfo": info} if info else {}),
        "messageType": kind,
        "messageTimestamp": int(time.time()),
        "instanceId": row.id,
        "source": "web",
    }


def receipt(row: Row, key_id: str, stored: Stored, status: str) -> dict[str, Any]:
    """messages.update: `keyId` is the message's, `messageId` the database's."""
    return {
        "keyId": key_id,
        "remoteJid": stored.remote_jid,
        "fromMe": stored.from_me,
        "status": status,
        "instanceId": row.id,
        "messageId": stored.message_id,
    }


def received(row: Row, fields: dict[str, Any]) -> dict[str, Any]:
    """messages.upsert of an inbound message; `fields` as the control call `inbound` takes them."""
    phone = str(fields.get("from") or fields.get("phone") or "")
    group, lid = fields.get("group"), fields.get("lid")
    if not phone and not lid:
        raise BadSettingError("from is missing: digits, or lid in its place")
    jid = phone if "@" in phone or not phone else f"{phone}@s.whatsapp.net"
    key = {
        "remoteJid": group or jid or lid,
        "fromMe": bool(fields.get("from_me", False)),
        "id": str(fields.get("id") or message_id(own=False)),
        "participant": (jid or lid) if group else "",
        "addressingMode": "lid" if lid else "pn",
    }
    if lid and not group and jid:
        # 2.3.x puts the number in place of the lid where it knows it (contract 9); `keep_lid`: it did not.
        remote = lid if fields.get("keep_lid") else jid
        key = {"remoteJid": remote, "remoteJidAlt": jid, **{k: key[k] for k in list(key)[1:]}}
    message = fields.get("content") or {"conversation": str(fields.get("text", "oi"))}
    return {
        "key": key,
        "pushName": fields.get("name"),
        "status": "DELIVERY_ACK",
        "message": message,
        **({"contextInfo": None} if lid else {}),
        "messageType": next(iter(message)),
        "messageTimestamp": int(fields.get("timestamp") or time.time()),
        "instanceId": row.id,
        "source": "ios",
    }


def contact(row: Row, jid: str, name: str | None) -> dict[str, Any]:
    """contacts.upsert; a person without a name has no `pushName` at all."""
    named = {"pushName": name} if name else {}
    return {"remoteJid": jid, **named, "profilePicUrl": None, "instanceId": row.id}
