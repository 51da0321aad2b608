"""What Evolution API posts about one number (evolution contract 6 and appendix B), and who receives it."""

import itertools
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from shared import webhook_auth
from shared.db import Database
from tests.agency import Agency
from tests.edge.gateway import FUNCTIONS

PATH = f"{FUNCTIONS}/webhook-evolution"
TOKEN = "46898AE4-4971-4C4D-98D8-052FA0331716"
PERSON = "5511977770001"
_seconds = itertools.count()


@dataclass(frozen=True)
class Line:
    """One number's webhook: its secret, and the client that posts like the provider."""

    http: httpx.Client
    db: Database
    instance_id: uuid.UUID
    name: str
    secret: str

    def post(self, event: str | None, data: Any, **changes: Any) -> httpx.Response:
        """One authentic event."""
        return self.http.post(PATH, json=self.envelope(event, data, **changes), headers=self.headers)

    def status(self, event: str | None, data: Any, **changes: Any) -> str:
        """What the answer says of an event that was taken."""
        answer = self.post(event, data, **changes)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["status"])

    @property
    def headers(self) -> dict[str, str]:
        """The secret as the provider sends it along."""
        return {"x-roleta-webhook": self.secret}

    def envelope(self, event: str | None, data: Any, **changes: Any) -> dict[str, Any]:
        """The envelope, a second later each time."""
        after = next(_seconds)
        at = f"2026-11-22T{4 + after // 3600:02}:{after // 60 % 60:02}:{after % 60:02}.000Z"
        return {
            "event": event,
            "instance": self.name,
            "data": data,
            "destination": "http://127.0.0.1:9099/demo",
            "date_time": at,
            "server_url": "http://127.0.0.1:8080",
            "apikey": TOKEN,
        } | changes

    def change(self, state: str, reason: int = 200, **more: Any) -> tuple[str, dict[str, Any]]:
        """connection.update."""
        return "connection.update", {"instance": self.name, "state": state, "statusReason": reason} | more

    def closed(self, reason: int = 401) -> tuple[str, dict[str, Any]]:
        """status.instance."""
        data = {"instance": self.name, "status": "closed", "disconnectionReasonCode": reason}
        return "status.instance", data

    def code(self, code: str, pairing_code: str | None = None) -> tuple[str, dict[str, Any]]:
        """qrcode.updated."""
        shown = {"instance": self.name, "pairingCode": pairing_code, "code": code, "base64": "data:image/png"}
        return "qrcode.updated", {"qrcode": shown}

    def said(self, text: str, sender: str = PERSON, **key: Any) -> tuple[str, dict[str, Any]]:
        """messages.upsert."""
        ids = {"remoteJid": f"{sender}@s.whatsapp.net", "fromMe": False, "id": uuid.uuid4().hex.upper()}
        return "messages.upsert", {
            "key": ids | {"participant": "", "addressingMode": "pn"} | key,
            "pushName": "Cliente Um",
            "status": "DELIVERY_ACK",
            "message": {"conversation": text},
            "messageType": "conversation",
            "messageTimestamp": 1795320998,
            "source": "ios",
        }

    def update(self, message_id: str, status: str) -> tuple[str, dict[str, Any]]:
        """messages.update."""
        return "messages.update", {
            "keyId": message_id,
            "remoteJid": f"{PERSON}@s.whatsapp.net",
            "fromMe": True,
            "status": status,
            "messageId": "cmwrbrmxm0008pk7dv4pvgh5z",
        }


def listen(http: httpx.Client, agency: Agency, client: uuid.UUID | None, *, is_open: bool) -> Line:
    """A connection of the agency with a webhook secret, as connect makes it, without any provider."""
    begun = agency.as_manager.call_one("messaging.begin_connection", p_client_id=client)
    line = Line(http, agency.db, begun["instance_id"], begun["instance_name"], "")
    line = rotated(line)
    if is_open:
        agency.db.call("messaging.record_health", p_instance_id=line.instance_id, p_connected=True)
    return line


def rotated(line: Line) -> Line:
    """The same number with a new secret."""
    secret = webhook_auth.new_token()
    line.db.call(
        "messaging.set_webhook_token",
        p_instance_id=line.instance_id,
        p_token_hash=webhook_auth.hash_token(secret),
        p_by="test",
    )
    return Line(line.http, line.db, line.instance_id, line.name, secret)
