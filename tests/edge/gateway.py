"""The gateway under test: the real app behind waitress on a free port, numbers of the pool, payloads."""

import ssl
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from waitress import wasyncore
from waitress.server import create_server

from edge.app import create_app, server_options
from edge.functions import EdgeFunction
from shared import webhook_auth
from shared.db import Database
from shared.settings import Settings

SERVICE_KEY = "service-role-key-" + "k" * 40
# Without limits on signing up, which have tests of their own.
UNLIMITED: dict[str, Any] = {
    "sign_ups_per_phone": 0, "sign_ups_per_address": 0, "sign_up_seats_percent": 0
}  # fmt: skip
SETTINGS = Settings(service_role_key=SERVICE_KEY, reply_debounce_s=0.0, **UNLIMITED)
FUNCTIONS = "/functions/v1"
PERSON = "5511987650001"
# The gateway speaks plain HTTP: reading the world's certificate authorities costs 25 ms a client.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# What a request may store: every table that one of them writes to.
_COUNTS = """
    select
        (select count(*) from public.profiles) as profiles,
        (select count(*) from messaging.outbox) as messages,
        (select count(*) from messaging.inbound_events) as events,
        (select count(*) from messaging.receipts) as receipts,
        (select count(*) from messaging.turns) as turns,
        (select coalesce(sum(current_users), 0) from public.whatsapp_instances) as seats_taken
"""


@dataclass(frozen=True)
class Number:
    """One number of the pool with its secrets."""

    instance_id: uuid.UUID
    zapi_id: str
    zapi_token: str
    webhook_token: str
    phone: str

    @property
    def webhook(self) -> str:
        """The path that the provider posts to."""
        return f"{FUNCTIONS}/webhook-zapi/{self.webhook_token}"


def add_number(db: Database, *, seats: int = 250, phone: str = "5511987000001") -> Number:
    """A number in the pool; the first one is the default."""
    name = uuid.uuid4().hex
    token = webhook_auth.new_token()
    row = db.call_one(
        "messaging.add_instance",
        p_name=f"Aura {name[:6]}",
        p_zapi_instance_id=f"SIM{name}",
        p_zapi_token=f"token{name}",
        p_zapi_client_token=f"client{name}",
        p_by="test",
        p_phone_number=phone,
        p_max_users=seats,
        p_webhook_token_hash=webhook_auth.hash_token(token),
    )
    return Number(row["add_instance"], f"SIM{name}", f"token{name}", token, phone)


@contextmanager
def serving(
    db: Database, settings: Settings = SETTINGS, functions: list[EdgeFunction] | None = None
) -> Iterator[httpx.Client]:
    """A client of a gateway of its own over this database; `functions` None: those of supabase.toml."""
    app = create_app(db, settings, functions)
    server = create_server(app, host="127.0.0.1", port=0, **server_options(settings))
    thread = threading.Thread(target=server.run, name="gateway")
    thread.start()
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{server.effective_port}",
            timeout=30,
            verify=NO_AUTHORITIES,
            limits=httpx.Limits(max_connections=64),
        ) as client:
            yield client
    finally:
        # Woken by somebody else's pull meanwhile, it may have closed its pipe already.
        with suppress(OSError):
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
        thread.join(10)
        server.task_dispatcher.shutdown()


def stored(db: Database) -> dict[str, int]:
    """How many rows of each kind there are."""
    return db.rows(_COUNTS)[0]


def message(number: Number, text: str | None = "oi", **changes: Any) -> dict[str, Any]:
    """A ReceivedCallback as Z-API posts it (zapi contract 5.2); `text` None: without content."""
    payload: dict[str, Any] = {
        "type": "ReceivedCallback",
        "instanceId": number.zapi_id,
        "connectedPhone": number.phone,
        "messageId": uuid.uuid4().hex.upper(),
        "phone": PERSON,
        "fromMe": False,
        "fromApi": False,
        "isGroup": False,
        "momment": 1_790_000_000_000,
        "status": "RECEIVED",
        "chatName": "Contato",
        "senderName": "Contato",
    }
    if text is not None:
        payload["text"] = {"message": text}
    return payload | changes


def status(number: Number, name: str, *message_ids: str) -> dict[str, Any]:
    """A MessageStatusCallback (zapi contract 5.5)."""
    return {
        "type": "MessageStatusCallback",
        "instanceId": number.zapi_id,
        "status": name,
        "ids": list(message_ids),
        "phone": PERSON,
        "momment": 1_790_000_000_000,
    }


def sign_up(client: httpx.Client, phone: str = PERSON, **changes: Any) -> httpx.Response:
    """One POST to start-trial."""
    body = {"name": "Ana Lima", "phone": phone, "email": "ana@example.com"} | changes
    return client.post(f"{FUNCTIONS}/start-trial", json=body)


def enqueue(client: httpx.Client, body: Mapping[str, Any], **headers: str) -> httpx.Response:
    """One POST to send-zapi-message as the app's own service."""
    return client.post(
        f"{FUNCTIONS}/send-zapi-message",
        json=body,
        headers={"authorization": f"Bearer {SERVICE_KEY}"}
        | {k.replace("_", "-"): v for k, v in headers.items()},
    )
