"""An agency whose clients connect numbers of their own: its rows, its manager, the server that they pair at.

Real parts throughout: the gateway over HTTP, the simulator as a child process, the database.
"""

import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
from waitress import wasyncore
from waitress.server import create_server

from edge.app import SERVER_OPTIONS, create_app
from scripts.simulator.evolution.process import EvolutionSimulator
from scripts.simulator.process import SimulatorError
from shared.connections import Connections
from shared.credentials import KeyRing
from shared.db import AsPerson, Calls, Database
from shared.dispatcher import Providers
from shared.health import HealthDuty
from shared.pairing import Pairing
from shared.settings import Settings
from tests.edge.gateway import FUNCTIONS, NO_AUTHORITIES
from tests.identities import SECRET, claims_of, person_of
from tests.waiting import eventually

ISSUER = "http://auth.test/auth/v1"


@dataclass(frozen=True)
class Agency:
    """A manager and the clients; `None` in place of a client is the agency itself."""

    db: Database
    manager: uuid.UUID
    clients: list[uuid.UUID]

    @property
    def as_manager(self) -> AsPerson:
        """The database with the manager's rights."""
        return self.db.as_person(person_of(self.manager))

    @property
    def authorization(self) -> dict[str, str]:
        """What the manager's browser sends."""
        token = jwt.encode(claims_of(self.manager, ISSUER), SECRET, "HS256")
        return {"authorization": f"Bearer {token}"}

    def name(self, client: uuid.UUID | None) -> str:
        """What Evolution API calls a number of it (seed B)."""
        if client is None:
            return f"adscape_{self.manager.hex[:16]}"
        return f"adscape_c_{client.hex[:16]}"

    def connection(self, client: uuid.UUID | None) -> dict[str, Any] | None:
        """The connection's row with the number's, as the database has it."""
        rows = self.db.rows(
            """
            select c.status, c.first_connected_at, i.id as instance_id, i.status as instance_status,
                i.phone_number, i.halted_reason
            from public.whatsapp_connections as c
            inner join public.whatsapp_instances as i on c.whatsapp_instance_id = i.id
            where c.agency_id = %(agency)s and c.client_id is not distinct from %(client)s
            """,
            {"agency": self.manager, "client": client},
        )
        return rows[0] if rows else None

    def status(self, client: uuid.UUID | None) -> str | None:
        """The connection's status; None where there is none."""
        found = self.connection(client)
        return str(found["status"]) if found else None


def found_agency(db: Database, clients: int = 2) -> Agency:
    """A new agency with its clients."""
    manager, ids = uuid.uuid4(), [uuid.uuid4() for _ in range(clients)]
    db.rows(
        "insert into public.user_roles (user_id, role) values (%(manager)s, 'manager') returning 1",
        {"manager": manager},
    )
    for index, client in enumerate(ids):
        db.rows(
            "insert into public.client_manager_links (client_user_id, manager_id, client_label)"
            " values (%(client)s, %(manager)s, %(label)s) returning 1",
            {"client": client, "manager": manager, "label": f"Cliente {index + 1}"},
        )
    return Agency(db, manager, ids)


@dataclass(frozen=True)
class Gateway:
    """A running gateway, and the settings that the provider's webhooks find it by."""

    http: httpx.Client
    settings: Settings

    def act(
        self, agency: Agency, action: object, client: uuid.UUID | None = None, /, **more: Any
    ) -> httpx.Response:
        """One POST to evolution-whatsapp by the manager."""
        headers = agency.authorization | more.pop("headers", {})
        body = {"action": action, **({"client_id": str(client)} if client else {}), **more}
        return self.http.post(f"{FUNCTIONS}/evolution-whatsapp", json=body, headers=headers)


def settings_for(simulator: EvolutionSimulator, port: int) -> Settings:
    """What a gateway on this port and its workers are told."""
    return Settings(
        gateway_port=port,
        evolution_url=simulator.base_url,
        evolution_key=simulator.key,
        jwt_secret=SECRET,
        auth_url=ISSUER,
        poll_interval_s=0.05,
    )


@contextlib.contextmanager
def gateway(db: Calls, simulator: EvolutionSimulator) -> Iterator[Gateway]:
    """A gateway of its own over this database, which the simulator's webhooks reach."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = settings_for(simulator, port)
    server = create_server(create_app(db, settings), host="127.0.0.1", port=port, **SERVER_OPTIONS)
    thread = threading.Thread(target=server.run, name="gateway")
    thread.start()
    try:
        base_url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base_url, timeout=60, verify=NO_AUTHORITIES) as client:
            yield Gateway(client, settings)
    finally:
        # Woken by somebody else's pull meanwhile, it may have closed its pipe already.
        with contextlib.suppress(OSError):
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
        thread.join(10)
        server.task_dispatcher.shutdown()


@contextlib.contextmanager
def providers_of(settings: Settings) -> Iterator[Providers]:
    """What a worker makes its clients with."""
    providers = Providers(
        zapi_base_url="http://127.0.0.1:1",
        max_connections=8,
        ring=KeyRing(),
        evolution_url=settings.evolution_url,
        evolution_key=settings.evolution_key,
    )
    try:
        yield providers
    finally:
        providers.close()


def look_at_health(db: Database, settings: Settings, *, every_s: float = 60.0) -> int:
    """One look of a worker's health duty; how many numbers were asked."""
    with providers_of(settings) as providers:
        return HealthDuty(db, providers, every_s=every_s).run_once()


def scan(simulator: EvolutionSimulator, name: str, phone: str = "5511977770001") -> None:
    """The phone scans what is shown, as soon as something is."""

    def scanned() -> bool:
        try:
            simulator.control("scan", instance=name, phone=phone)
        except SimulatorError:
            return False
        return True

    eventually(scanned, what="a code to scan")


def provider_state(simulator: EvolutionSimulator, name: str) -> str | None:
    """The state of an instance in the provider's memory; None where it has none of that name."""
    found = [each["state"] for each in simulator.instances() if each["instance"] == name]
    return found[0] if found else None


def pair(
    agency: Agency,
    simulator: EvolutionSimulator,
    settings: Settings,
    client: uuid.UUID | None,
    phone: str = "5511977770001",
) -> uuid.UUID:
    """Connects, scans, and waits until the database says connected; the number's id."""
    with Connections(agency.db, settings) as connecting:
        connecting.connect(agency.as_manager, client)
    name = agency.name(client)
    scan(simulator, name, phone)
    eventually(lambda: provider_state(simulator, name) == "open", what="the provider's state open")
    with Connections(agency.db, settings) as looking:
        assert looking.status(agency.as_manager, client).connected
    found = agency.connection(client)
    assert found is not None and found["status"] == "connected"
    number: uuid.UUID = found["instance_id"]
    return number


def shown(them: Connections, agency: Agency, client: uuid.UUID | None) -> Pairing:
    """What the dialog shows once it has a code."""
    return eventually(lambda: found if (found := them.look(agency.as_manager, client)).code else None)


def connected(them: Connections, agency: Agency, client: uuid.UUID | None) -> Pairing:
    """What the dialog shows once the number is connected: at most 3 s after the scan."""

    def seen() -> Pairing | None:
        found = them.look(agency.as_manager, client)
        return found if found.pairing_state == "connected" else None

    return eventually(seen, timeout=3, what="the dialog saying connected")
