"""A house whose every secret is a canary, run as real processes, and everything that it lets out.

Secrets, a phone and a text of their own stand in every place that can hold one; `Leaks` looks for them in all
that is said: logs, answers, commands' outputs, PostgreSQL's log, the stored rows.
"""

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import psycopg

from scripts.embedded import EmbeddedPostgres
from scripts.simulator.ad_platform import AdPlatformSimulator
from scripts.simulator.evolution.process import EvolutionSimulator
from scripts.simulator.instances import numbered
from scripts.simulator.process import SimulatorProcess
from scripts.soak.fleet import ROOT
from shared import credentials, instances, webhook_auth
from shared.credentials import of_oauth, parse
from shared.db import Database
from tests.agency import ISSUER, Agency, found_agency
from tests.dump import columns, found_in
from tests.identities import claims_of
from tests.scripts.roleta import FOREIGN, Roleta
from tests.waiting import eventually

FUNCTIONS = "/functions/v1"
READY_S = 60


def _canary(what: str) -> str:
    return f"cNry{what}{secrets.token_hex(12)}"


def _phone() -> str:
    return f"5511{900_000_000 + secrets.randbelow(99_999_999)}"


@dataclass
class Secrets:
    """One canary for each thing that must not get out. Only `phone`, `text` and their like may be stored."""

    zapi_token: str = field(default_factory=lambda: _canary("ZapiToken"))
    zapi_client_token: str = field(default_factory=lambda: _canary("ClientToken"))
    wrong_token: str = field(default_factory=lambda: _canary("WrongToken"))
    wrong_client_token: str = field(default_factory=lambda: _canary("WrongClient"))
    webhook_token: str = field(default_factory=lambda: _canary("Webhook"))
    guessed: str = field(default_factory=lambda: _canary("Guessed"))
    evolution_key: str = field(default_factory=lambda: _canary("EvolutionKey"))
    event_apikey: str = field(default_factory=lambda: _canary("EventApikey"))
    event_hash: str = field(default_factory=lambda: _canary("EventHash"))
    connection_secret: str = field(default_factory=lambda: _canary("Connection"))
    service_key: str = field(default_factory=lambda: _canary("ServiceKey"))
    jwt_secret: str = field(default_factory=lambda: _canary("JwtSecret") + "x" * 32)
    anon_key: str = field(default_factory=lambda: _canary("AnonKey"))
    stripe_key: str = field(default_factory=lambda: "sk_live_" + _canary("Stripe"))
    stripe_secret: str = field(default_factory=lambda: "whsec_" + _canary("StripeHook"))
    agent_key: str = field(default_factory=lambda: _canary("Agent"))
    ad_token: str = field(default_factory=lambda: _canary("EAAB"))
    database_password: str = ""
    wrong_password: str = field(default_factory=lambda: _canary("Password"))
    ring_key: str = field(default_factory=lambda: credentials.new_entry().partition(":")[2])
    session: str = field(default_factory=lambda: _canary("Session"))
    access: str = ""
    code: str = field(default_factory=lambda: "2@" + _canary("Qr"))
    pairing_code: str = field(default_factory=lambda: _canary("Pair"))
    phone: str = field(default_factory=_phone)
    sender: str = field(default_factory=_phone)
    text: str = field(default_factory=lambda: _canary("Text"))
    said: str = field(default_factory=lambda: _canary("Said"))
    name: str = field(default_factory=lambda: _canary("Name"))

    def all(self) -> dict[str, str]:
        """By their names; every one is set."""
        found = dict(vars(self))
        assert all(len(value) >= 12 for value in found.values()), [k for k, v in found.items() if len(v) < 12]
        return found


@dataclass
class Leaks:
    """What was said where, and which secrets of it are found there."""

    secrets: Secrets
    said: dict[str, str] = field(default_factory=dict)

    def hear(self, where: str, text: str) -> None:
        """Keeps it; a place may speak more than once."""
        self.said[where] = self.said.get(where, "") + text

    def found(self) -> dict[tuple[str, str], str]:
        """(place, secret) -> the text around the first hit, for every secret that was heard anywhere."""
        hits = {}
        for where, text in self.said.items():
            for name in found_in(text, self.secrets.all()):
                at = max(text.find(self.secrets.all()[name]), 0)
                hits[where, name] = text[max(0, at - 150) : at + 80]
        return hits


class House:
    """The running house. `leaks` hears everything that `ask` and `command` are answered."""

    def __init__(self, server: EmbeddedPostgres, url: str, folder: Path, stack: ExitStack) -> None:
        self.secrets = Secrets(database_password=server.password)
        self.leaks = Leaks(self.secrets)
        self.server, self.url = server, url
        self._folder, self._stack = folder, stack
        s = self.secrets
        known = {**numbered(1), "token": s.zapi_token, "client_token": s.zapi_client_token}
        self.simulator = stack.enter_context(
            SimulatorProcess(log=folder / "zapi", instances=[known, numbered(2)])
        )
        self.evolution = stack.enter_context(
            EvolutionSimulator(log=folder / "evolution", key=s.evolution_key, speed=20)
        )
        self.platform = stack.enter_context(AdPlatformSimulator())
        self.ring = f"canary:{s.ring_key}"
        self.db = stack.enter_context(Database(url, application_name="canary test"))
        self._furnish()
        self.base_url = ""

    @cached_property
    def environment(self) -> dict[str, str]:
        """What gateway, worker and commands are told."""
        s = self.secrets
        return {
            "DATABASE_URL": self.url,
            "ROLETA_LOG_LEVEL": "DEBUG",
            "ROLETA_ZAPI_BASE_URL": self.simulator.base_url,
            "EVOLUTION_API_URL": self.evolution.base_url,
            "EVOLUTION_API_KEY": s.evolution_key,
            "META_GRAPH_URL": self.platform.url,
            "ROLETA_AUTH_URL": ISSUER,
            "SUPABASE_ANON_KEY": s.anon_key,
            "SUPABASE_JWT_SECRET": s.jwt_secret,
            "SUPABASE_SERVICE_ROLE_KEY": s.service_key,
            "STRIPE_SECRET_KEY": s.stripe_key,
            "STRIPE_WEBHOOK_SECRET": s.stripe_secret,
            "ROLETA_AGENT_URL": "http://127.0.0.1:9/v1",
            "ROLETA_AGENT_KEY": s.agent_key,
            "ROLETA_REPLY_DEBOUNCE_S": "0",
            credentials.VARIABLE: self.ring,
        }

    def start(self) -> None:
        """The gateway and one worker, as an operator starts them."""
        self._process("gateway", "serve", "--port", "0")
        self._process("worker", "work", "--name", "worker")
        heard = eventually(lambda: self._line("gateway", "listening"), READY_S, "the gateway listening")
        self.base_url = heard["address"]
        eventually(lambda: self._line("worker", "started"), READY_S, "the worker at work")

    def log(self, name: str) -> str:
        """What a process has said so far."""
        return (self._folder / f"{name}.out").read_text(errors="replace")

    def ask(self, label: str, path: str, method: str = "POST", **request: Any) -> httpx.Response:
        """One request; its answer, headers included, is heard under `label`."""
        with httpx.Client(base_url=self.base_url, timeout=30, trust_env=False) as http:
            answer = http.request(method, path, **request)
        self.leaks.hear(f"answer: {label}", f"{answer.status_code}\n{answer.headers}\n{answer.text}\n")
        return answer

    def ask_as_service(self, slug: str, body: object) -> httpx.Response:
        """The app's own service calls a function."""
        headers = {"authorization": f"Bearer {self.secrets.service_key}"}
        return self.ask(slug, f"{FUNCTIONS}/{slug}", json=body, headers=headers)

    def command(self, *words: str, stdin: str = "", **settings: str) -> str:
        """A `roleta` command in this process: output, errors, and what it may have raised."""
        result = Roleta(self._folder, **self.environment)(*words, stdin=stdin, **settings)
        said = f"{result.output}\n{result.stderr}\n{result.exception!r}"
        self.leaks.hear(f"command: {' '.join(words)}", said)
        return said

    def count(self, query: str, *parameters: object) -> int:
        """A number out of the database."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(query.encode(), parameters).fetchone()
        return int(row[0]) if row else 0

    def execute(self, *statements: str) -> None:
        """A change by another hand; no canary is in it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def listen_to_the_rest(self) -> None:
        """The processes' logs, PostgreSQL's, and every stored value."""
        for name in ("gateway", "worker"):
            self.leaks.hear(f"log: {name}", self.log(name))
        self.leaks.hear("log: postgres", (self.server.home / "postgres.log").read_text(errors="replace"))
        for column, value in columns(self.url):
            if found_in(value, self.secrets.all()):
                self.leaks.hear(f"column: {column}", value + "\n")

    def _furnish(self) -> None:
        """Two Z-API numbers, one with tokens that the provider refuses; an agency with an ad platform."""
        s, ring = self.secrets, parse(self.ring)
        self.number = instances.add(
            self.db,
            "Aura #1",
            instances.Credentials(numbered(1)["id"], s.zapi_token, s.zapi_client_token),
            by="the test",
            ring=ring,
            phone_number=numbered(1)["phone"],
            webhook_token_hash=webhook_auth.hash_token(s.webhook_token),
        )
        instances.set_gaps(self.db, self.number, 0, 0, by="the test")
        self.refused = instances.add(
            self.db,
            "Aura #2",
            instances.Credentials(numbered(2)["id"], s.wrong_token, s.wrong_client_token),
            by="the test",
            ring=ring,
        )
        self.agency: Agency = found_agency(self.db, clients=1)
        s.access = jwt.encode(claims_of(self.agency.manager, ISSUER), s.jwt_secret, "HS256")
        client = self.agency.clients[0]
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "insert into public.oauth_connections (manager_id, provider, access_token)"
                " values (%s, 'meta_ads', %s)",
                [self.agency.manager, ring.seal(s.ad_token, of_oauth(self.agency.manager, "meta_ads"))],
            )
            connection.execute(
                "insert into public.account_balance_alerts"
                " (agency_id, client_id, ad_account_id, threshold_value, is_active, recipient_phone)"
                " values (%s, %s, 'act_1', 100, true, %s)",
                [self.agency.manager, client, s.phone],
            )
            connection.execute("update messaging.senders set send_timeout_s = 1")

    def connection_of(self, client: UUID) -> UUID:
        """A connection's number, with the canary as its webhook's secret."""
        found = self.agency.connection(client)
        assert found is not None
        self.db.call(
            "messaging.set_webhook_token",
            p_instance_id=found["instance_id"],
            p_token_hash=webhook_auth.hash_token(self.secrets.connection_secret),
            p_by="the test",
        )
        instance_id: UUID = found["instance_id"]
        return instance_id

    def _process(self, name: str, *words: str) -> None:
        inherited = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        with (self._folder / f"{name}.out").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "scripts.cli", *words],
                cwd=ROOT,
                env={**inherited, **self.environment, "ROLETA_ENV_FILE": os.devnull},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._stack.callback(_end, process)

    def _line(self, name: str, event: str) -> Mapping[str, Any] | None:
        for line in self.log(name).splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n") and json.loads(line).get("event") == event:
                found: Mapping[str, Any] = json.loads(line)
                return found
        return None


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    patience = threading.Timer(20, process.kill)
    patience.start()
    process.wait()
    patience.cancel()


@contextmanager
def house(server: EmbeddedPostgres, url: str, folder: Path) -> Iterator[House]:
    """A furnished house over this database, its gateway and worker running."""
    with ExitStack() as stack:
        found = House(server, url, folder, stack)
        found.start()
        yield found
