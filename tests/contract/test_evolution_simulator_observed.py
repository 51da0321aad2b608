"""The Evolution simulator's events beside those observed of a real server (contract, Appendix B)."""

import json
from pathlib import Path
from typing import Any

from tests.contract.evolution_calls import EvolutionCalls
from tests.contract.evolution_masks import masked, same
from tests.contract.receiver import Receiver

OBSERVED = [
    json.loads(line)
    for line in (Path(__file__).parent / "evolution_webhooks.jsonl").read_text(encoding="utf-8").splitlines()
]
DEMO, OTHERS = OBSERVED[:20], OBSERVED[20:]


def test_a_life_as_observed(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """Create with QR, scan, send, receipts, two messages in, logout, delete: the very events of the real
    server, in its order, each with its very fields."""
    evolution.control("receipts", mode="never")
    evolution.create("demo", receiver.url, qrcode=True)
    evolution.scan("demo")
    sent = evolution.text("demo", text="Olá!").json()["key"]["id"]
    for status in ("DELIVERY_ACK", "READ"):
        evolution.control("receipt", instance="demo", id=sent, status=status)
    arriving = {"from": "5511977770001", "name": "Cliente Um"}
    evolution.control("inbound", instance="demo", **arriving)
    evolution.control("inbound", instance="demo", text="do celular", **{"from": "5511999990001"})
    evolution.quiet()
    evolution.ask("DELETE", "/instance/logout/demo")
    evolution.ask("DELETE", "/instance/delete/demo")
    posted = [one.payload for one in receiver.wait_for(len(DEMO))]

    for observed, payload in zip(DEMO, posted, strict=True):
        expected, found = _comparable(observed), _comparable(payload)
        assert same(expected, found), f"observed {expected}\nposted {found}"


def _comparable(payload: dict[str, Any]) -> Any:
    found = masked({**payload, "destination": "<here>", "apikey": "<its token>"})
    code = (payload["data"] or {}).get("qrcode") if isinstance(payload["data"], dict) else None
    if code:
        found["data"]["qrcode"] |= {"code": "<code>", "base64": "<picture>"}
    if payload["event"] == "status.instance":
        reason = json.loads(payload["data"]["disconnectionObject"])
        found["data"]["disconnectionObject"] = masked(reason)
    return found


def _other(event: str, **data: Any) -> dict[str, Any]:
    found = [one for one in OTHERS if one["event"] == event and data.items() <= one["data"].items()]
    chosen: dict[str, Any] = found[0]["data"]
    return chosen


def test_messages_of_groups_and_lids_as_observed(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """The sender in a group is `participant`; a lid that is resolved comes as the number, twice."""
    evolution.opened("beta", receiver.url)
    receiver.posted.clear()
    group = {"from": "5511977770003", "group": "120363000000000001@g.us", "name": "G User"}
    lid = {"from": "5511977770002", "lid": "90909090909090@lid", "name": "Lid User"}
    evolution.control("inbound", instance="beta", text="no grupo", **group)
    evolution.control("inbound", instance="beta", text="link http://x", **lid)
    unresolved = evolution.control("inbound", instance="beta", keep_lid=True, **lid)
    evolution.quiet()

    upserts = [one.payload["data"] for one in receiver.posted if one.payload["event"] == "messages.upsert"]
    for posted, name in zip(upserts, ("G User", "Lid User"), strict=False):
        assert same(masked(_other("messages.upsert", pushName=name)), masked(posted))
    assert upserts[2]["key"]["id"] == unresolved["id"]
    assert upserts[2]["key"]["remoteJid"] == "90909090909090@lid"
    assert upserts[2]["key"]["remoteJidAlt"] == "5511977770002@s.whatsapp.net"


def test_a_revoked_message_gives_two_events(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """messages.edited and messages.delete, as observed."""
    evolution.opened("beta", receiver.url)
    written = evolution.control("inbound", instance="beta", **{"from": "5511977770001"})
    evolution.quiet()
    evolution.control("revoke", instance="beta", id=written["id"])
    evolution.quiet()

    edited, deleted = (one.payload for one in receiver.posted[-2:])
    assert (edited["event"], deleted["event"]) == ("messages.edited", "messages.delete")
    assert same(masked(_other("messages.edited")), masked(edited["data"]))
    assert same(masked(_other("messages.delete")), masked(deleted["data"]))


def test_the_end_of_a_pairing_as_observed(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """The QR limit says `refused`, and says why; a removal by the phone is told from an own logout."""
    evolution.connecting("delta", receiver.url)
    evolution.control("qr_limit", instance="delta")
    evolution.opened("beta", receiver.url)
    evolution.control("device_removed", instance="beta")
    evolution.quiet()

    data = [one.payload["data"] for one in receiver.posted]
    assert _other("qrcode.updated") in data
    assert _other("connection.update") in data
    told = next(one.payload["data"] for one in receiver.posted if one.payload["event"] == "status.instance")
    recorded = _other("status.instance")
    assert list(told) == list(recorded)
    error, observed = (json.loads(one["disconnectionObject"])["error"] for one in (told, recorded))
    assert error == observed
