"""Plain HTTP against the Evolution simulator, and the ways to bring an instance into each of its states."""

from types import TracebackType
from typing import Any, Self

import httpx

from scripts.simulator.evolution.process import EvolutionSimulator
from tests.contract.receiver import Receiver
from tests.waiting import eventually

GLOBAL_KEY = "global-key-of-the-tests"
OWN_PHONE = "5511988887777"
ALL: list[str] = []  # as `events`: everything


class EvolutionCalls:
    """Requests with the global key, and what a person does by the control interface."""

    def __init__(self, server: EvolutionSimulator) -> None:
        self.server, self.control = server, server.control
        self.http = httpx.Client(base_url=server.base_url, trust_env=False, timeout=20.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = GLOBAL_KEY
    ) -> httpx.Response:
        """One request; a body of None sends none."""
        headers = {"apikey": key} if key is not None else {}
        if body is None:
            return self.http.request(method, path, headers=headers)
        return self.http.request(method, path, headers=headers, json=body)

    def create(self, name: str, webhook_url: str | None = None, **fields: Any) -> dict[str, Any]:
        """A new instance, with all its events going to `webhook_url`."""
        webhook = {"webhook": {"url": webhook_url, "events": ALL}} if webhook_url else {}
        body = {"instanceName": name, "integration": "WHATSAPP-BAILEYS", **webhook, **fields}
        answer = self.ask("POST", "/instance/create", body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def connecting(self, name: str, webhook_url: str | None = None) -> dict[str, Any]:
        """A new instance that shows a QR; gives the QR object."""
        self.create(name, webhook_url)
        code: dict[str, Any] = self.ask("GET", f"/instance/connect/{name}").json()
        assert code["code"]
        return code

    def opened(self, name: str, webhook_url: str | None = None, phone: str = OWN_PHONE) -> str:
        """A new instance that a phone has scanned; gives its name."""
        self.connecting(name, webhook_url)
        self.scan(name, phone)
        return name

    def scan(self, name: str, phone: str = OWN_PHONE) -> None:
        """The phone reads the QR; returns when the instance is open."""
        self.control("scan", instance=name, phone=phone)
        self.until(name, "open")

    def until(self, name: str, state: str | None) -> None:
        """Wait for a state; None = the instance is gone."""
        eventually(lambda: self.state(name) == (state or 404), what=f"{name} {state}")

    def state(self, name: str) -> Any:
        """What connectionState says; the HTTP status where it refuses."""
        answer = self.ask("GET", f"/instance/connectionState/{name}")
        return answer.json()["instance"].get("state") if answer.status_code == 200 else answer.status_code

    def listed(self, name: str) -> dict[str, Any]:
        """The row of one instance, as fetchInstances gives it."""
        found: dict[str, Any] = self.ask("GET", f"/instance/fetchInstances?instanceName={name}").json()[0]
        return found

    def text(self, name: str, number: str = "5511999990001", text: str = "oi", **more: Any) -> httpx.Response:
        """sendText."""
        return self.ask("POST", f"/message/sendText/{name}", {"number": number, "text": text, **more})

    def quiet(self) -> None:
        """Wait until no webhook is under way."""
        eventually(lambda: self.control("counters")["background_tasks"] == 0)

    def database_state(self, name: str) -> str:
        """What the row says."""
        return str(self.listed(name)["connectionStatus"])


def said(receiver: Receiver) -> list[str]:
    """Event names in order of arrival; connection.update with its state."""
    found = []
    for one in receiver.posted:
        state = one.payload["data"]["state"] if one.payload["event"] == "connection.update" else ""
        found.append(f"{one.payload['event']} {state}".strip())
    return found


def opened_quietly(evolution: EvolutionCalls, receiver: Receiver) -> str:
    """An open instance, the receiver empty again; gives its name."""
    name = evolution.opened("a", receiver.url)
    evolution.quiet()
    receiver.posted.clear()
    return name
