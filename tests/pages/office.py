"""An agency's office for page tests: a manager who can sign in, clients, a gateway, Evolution's simulator,
and a worker where one is wanted. All of it is real."""

import contextlib
import datetime
import socket
import threading
import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from waitress import wasyncore
from waitress.server import create_server

from edge.app import SERVER_OPTIONS, create_app
from scripts.local_auth import LocalAuth
from scripts.simulator.evolution.process import EvolutionSimulator
from shared.db import Database
from shared.settings import Settings
from shared.worker import Worker
from tests.waiting import eventually

SERVICE_KEY = "service-role-key-" + "k" * 40
SPEED = 5.0
EVOLUTION_KEY = "evolution-global-key"
EMAIL, PASSWORD = "marina@agencia.example", "uma senha comprida"
AGENCY = "Agência Horizonte"
CLIENTS = (
    "Padaria Sol",
    "Clínica Bem Viver",
    "Ótica Mirante",
    "Escola Girassol",
    "Studio Aurora",
    "Pet Shop Amigo",
    "Restaurante Dona Lúcia",
    "Academia Vértice",
)
_METRICS = ("spend", "revenue", "clicks", "impressions", "conversions", "leads", "messages")


@dataclass(frozen=True)
class Manager:
    """Somebody with an agency: how they sign in, and their clients' ids by label."""

    user_id: uuid.UUID
    email: str
    password: str = field(repr=False)
    clients: dict[str, uuid.UUID]


@dataclass(frozen=True)
class Office:
    """What runs for one test. `address`: the gateway's."""

    address: str
    settings: Settings
    database_url: str
    db: Database
    auth: LocalAuth
    manager: Manager
    evolution: EvolutionSimulator

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """A worker beside the gateway while the block runs."""
        stop = threading.Event()
        with Database(self.database_url, max_size=8) as db:
            worker = Worker(db, self.settings, "pages")
            thread = threading.Thread(target=worker.run, args=(stop,), name="worker")
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join(20)

    def instance_name(self, label: str | None) -> str:
        """What Evolution calls a client's number, None: the agency's."""
        if label is None:
            return f"adscape_{self.manager.user_id.hex[:16]}"
        return f"adscape_c_{self.manager.clients[label].hex[:16]}"

    def scan(self, label: str | None, phone: str = "5511987654321") -> None:
        """The client's phone reads the code, as soon as there is one."""
        name = self.instance_name(label)

        def is_shown() -> bool:
            return any(each["instance"] == name and each["qr_shown"] for each in self.evolution.instances())

        eventually(is_shown, what="a code to scan")
        self.evolution.control("scan", instance=name, phone=phone)

    def path(self, label: str | None, page: str) -> str:
        """The address of a page of a client, None: of the agency."""
        begin = "/agency" if label is None else f"/clients/{self.manager.clients[label]}"
        return f"{self.address}{begin}/{page}"


@contextlib.contextmanager
def open_office(
    database_url: str, evolution: EvolutionSimulator, *, clients: Sequence[str] = CLIENTS
) -> Iterator[Office]:
    """`evolution`: a running simulator with the key EVOLUTION_KEY, and without instances."""
    with contextlib.ExitStack() as stack:
        auth = stack.enter_context(LocalAuth(service_key=SERVICE_KEY))
        db = stack.enter_context(Database(database_url, max_size=8))
        manager = hire(database_url, auth, EMAIL, clients=clients, agency=AGENCY)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        settings = Settings(
            gateway_port=port,
            auth_url=auth.url,
            supabase_anon_key="local",
            service_role_key=SERVICE_KEY,
            evolution_url=evolution.base_url,
            evolution_key=EVOLUTION_KEY,
            poll_interval_s=0.05,
        )
        stack.enter_context(listening(db, settings, listener))
        yield Office(f"http://127.0.0.1:{port}", settings, database_url, db, auth, manager, evolution)


def simulator(folder: Path) -> EvolutionSimulator:
    """Evolution as offices want it: five times as fast."""
    return EvolutionSimulator(log=folder / "evolution.jsonl", key=EVOLUTION_KEY, speed=SPEED)


@contextlib.contextmanager
def listening(db: Database, settings: Settings, listener: socket.socket) -> Iterator[None]:
    """A gateway on a socket that is bound already: the provider must know its port beforehand."""
    server = create_server(create_app(db, settings), sockets=[listener], **SERVER_OPTIONS)
    thread = threading.Thread(target=server.run, name="gateway")
    thread.start()
    try:
        yield
    finally:
        # It may act, and close what is written to, before it has been told to the end.
        with contextlib.suppress(OSError):
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
        thread.join(10)
        server.task_dispatcher.shutdown()


def hire(database_url: str, auth: LocalAuth, email: str, *, clients: Sequence[str], agency: str) -> Manager:
    """A manager with an agency and clients, each with an ad account and 30 days of figures."""
    manager_id = auth.accounts.add(email, PASSWORD).user_id
    ids = {label: uuid.uuid4() for label in clients}
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into public.user_roles (user_id, role) values (%s, 'manager')", (manager_id,)
        )
        connection.execute(
            "insert into public.agency_settings (agency_id, agency_name) values (%s, %s)",
            (manager_id, agency),
        )
        for place, (label, client_id) in enumerate(ids.items()):
            _add_client(connection, manager_id, client_id, label, place)
    return Manager(manager_id, email, PASSWORD, ids)


def _add_client(
    connection: psycopg.Connection[Any], manager_id: uuid.UUID, client_id: uuid.UUID, label: str, place: int
) -> None:
    plain = unicodedata.normalize("NFD", label.lower())
    mail = "".join(letter for letter in plain if letter.isascii() and letter.isalpha())
    connection.execute(
        "insert into public.client_manager_links (client_user_id, manager_id, client_label, client_email)"
        " values (%s, %s, %s, %s)",
        (client_id, manager_id, label, f"contato@{mail}.example"),
    )
    connection.execute(
        "insert into public.client_ad_accounts (client_id, ad_account_id, account_name) values (%s, %s, %s)",
        (client_id, f"act_{client_id.int % 10**12}", f"{label} · Instagram"),
    )
    today = datetime.datetime.now(datetime.UTC).date()
    for back in range(1, 31):
        base = 120 + 15 * place + back % 5
        figures = (base, base * 3, base, base * 90, base // 12, base // 9, base // 7)
        connection.execute(
            f"insert into public.daily_metrics (client_id, date, {', '.join(_METRICS)})"
            f" values (%s, %s, {', '.join(['%s'] * len(_METRICS))})",
            (client_id, today - datetime.timedelta(days=back), *figures),
        )
