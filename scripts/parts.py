"""The parts of `up`: database, simulator, gateway, worker. Started in this order, ended in the other.

Which of them there are is decided in scripts/launch.py; what is shown meanwhile is scripts/live.py's.
"""

import dataclasses
import errno
import json
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
from psycopg import sql

from scripts import own_keys, run_file
from scripts.children import Child
from scripts.commands import provider_setup
from scripts.commands.import_env_instance import import_number
from scripts.embedded import EmbeddedPostgres, bootstrap_supabase
from scripts.launch import Arrangement
from scripts.migrate import apply_all
from scripts.sample_agency import MANAGER_EMAIL
from scripts.sample_parts import SampleAgency, start_sample_agency
from scripts.simulator.instances import numbered
from shared import clock, instances, outbox, sealing
from shared.credentials import VARIABLE, KeyRing
from shared.db import Database
from shared.db_errors import translated
from shared.errors import Conflict, RoletaError
from shared.settings import Settings

Say = Callable[[str], None]
SIMULATED_NUMBERS = 3
READY_LIMIT_S = 30
DRAIN_LIMIT_S = 40  # a send may take its 20 s, and its record may wait for the database
BY = "roleta up"


class StoppedError(Exception):
    """Ctrl-C or SIGTERM came while things were starting."""


class Parts:
    """Everything that runs below one `up`. Leaving `stack` ends the parts in order, with a line each."""

    def __init__(
        self,
        arrangement: Arrangement,
        settings: Settings,
        *,
        home: Path,
        env_file: Path,
        stack: ExitStack,
        stop: threading.Event,
        say: Say,
    ) -> None:
        self.arrangement, self.settings, self.say = arrangement, settings, say
        self._home, self._stack, self._stop = home, stack, stop
        self._env_file = env_file
        self._state = run_file.state_folder(home)
        self._logs = self._state / "logs"
        self._logs.mkdir(exist_ok=True)
        self._children: list[Child] = []
        self.simulator_url: str | None = None
        self.agency: SampleAgency | None = None
        self.gateway = f"http://{settings.gateway_host}:{settings.gateway_port}"
        # Where none is set, one of this run: who signs up the people of a file is no stranger.
        self.service_key = settings.service_role_key or secrets.token_urlsafe(32)

    def start(self) -> Database:
        """Start them all; the pool over their database. RoletaError or ServerProblem says what went wrong."""
        refuse_used_port(self.settings.gateway_host, self.settings.gateway_port)
        url = self._start_database()
        self._go_on()
        self._migrate(url)
        self._go_on()
        db = self._stack.enter_context(Database(url, application_name="roleta up"))
        if self.arrangement.database == "ours":
            # Nothing else reads a database of ours: what an earlier version left there is sealed.
            sealing.seal_plain(db, self._ring, told=lambda _: None)
        if self.arrangement.is_sample:
            self._start_simulator()
            self._go_on()
            self._join_simulated_numbers(db)
            self.agency = start_sample_agency(
                url, self._start_evolution, self._stack, service_key=self.service_key, ring=self._ring
            )
            self.say(
                f"agency: {MANAGER_EMAIL} with eight clients; Evolution API on {self.agency.evolution_url}"
            )
        elif self.settings.has_zapi:
            import_number(db, self.settings, by=BY, say=self.say)
        self._start_gateway_and_worker(url)
        return db

    @property
    def _ring(self) -> KeyRing:
        return KeyRing.from_settings(self.settings)

    def check(self) -> None:
        """ChildDiedError if one of the processes has ended."""
        for child in self._children:
            child.check()

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    def _start_database(self) -> str:
        if self.settings.database_url is not None:
            return self.settings.database_url
        server = EmbeddedPostgres(self._home, say=self.say)
        server.start()
        self._stack.callback(lambda: self.say("database: stopped"))
        self._stack.callback(server.stop)
        self.say(f"database: PostgreSQL on {server.host}:{server.port}, data in {server.data}")
        url = server.url_of(self.arrangement.database_name or "postgres")
        keys = own_keys.ring_of(server.home, self.settings.credentials_keys)
        self.settings = dataclasses.replace(self.settings, credentials_keys=keys)
        with translated("preparing the database"):
            _make_database(server.url, self.arrangement.database_name or "postgres")
            bootstrap_supabase(url)
        return url

    def _migrate(self, url: str) -> None:
        done = apply_all(
            url, say=lambda line: self.say(line) if self.arrangement.database == "real" else None
        )
        if done:
            self.say(f"migrations: {len(done)} applied")

    def _start_simulator(self) -> None:
        numbers = [{**numbered(index), "name": _name(index)} for index in range(1, SIMULATED_NUMBERS + 1)]
        more = ["--allow-http", "--config", json.dumps(numbers)]
        self.simulator_url = self._start_server("simulator", "scripts.simulator", more)
        for call, fields in (("options", {"queue_interval_s": 0}), ("receipts", {"mode": "in_order"})):
            answer = httpx.post(f"{self.simulator_url}/control/{call}", json=fields, trust_env=False)
            if answer.status_code != 200:
                raise RoletaError(f"the simulator refused {call}: {answer.text}")
        self.say(f"simulator: Z-API with {SIMULATED_NUMBERS} numbers on {self.simulator_url}")

    def _start_evolution(self, key: str) -> str:
        # The key of a simulator on loopback: it opens nothing real.
        return self._start_server("evolution", "scripts.simulator.evolution", [f"--key={key}"])

    def _start_server(self, name: str, module: str, more: list[str]) -> str:
        """One of the simulators, which says where it listens; its address."""
        ready = self._state / f"{name}.ready"
        ready.unlink(missing_ok=True)
        words = ["--log", str(self._state / f"{name}.log"), "--ready-file", str(ready), *more]
        self._run(Child(name, module, words, log=self._logs / f"{name}.log"), limit_s=5)
        self._wait(ready.exists, f"the {name}")
        return str(json.loads(ready.read_text())["base_url"])

    def _join_simulated_numbers(self, db: Database) -> None:
        """The simulator's numbers as rows, with the addresses of this run and the pace that is in force."""
        known = {each.zapi_instance_id: each for each in instances.every(db)}
        for index in range(1, SIMULATED_NUMBERS + 1):
            made = numbered(index)
            own = instances.Credentials(made["id"], made["token"], made["client_token"])
            if own.zapi_instance_id in known:
                instance_id = known[own.zapi_instance_id].instance_id
            else:
                instance_id = instances.add(
                    db, _name(index), own, by=BY, ring=self._ring, phone_number=made["phone"]
                )
            client = provider_setup.client_of(own, self.simulator_url or "")
            told: list[str] = []
            # The simulator is new, whatever it was told the last time.
            well = provider_setup.stop_provider_queue(client, told.append)
            well &= provider_setup.rotate_webhook(
                db, client, instance_id, self.gateway, by=BY, say=told.append
            )
            if not well:
                raise RoletaError(f"{_name(index)}: {told[-1]}")
            instances.record_health(db, instance_id, client.state().connected, by=BY)
            client.close()
        pace = instances.Pace().divided(self.arrangement.speed)
        for row in outbox.pool_overview(db):
            if (row.gap_min_s, row.gap_max_s) != (pace.gap_min_s, pace.gap_max_s):
                instances.set_pace(db, row.instance_id, pace, by=BY)

    def _start_gateway_and_worker(self, url: str) -> None:
        environment = {"DATABASE_URL": url, "SUPABASE_SERVICE_ROLE_KEY": self.service_key}
        if self.settings.credentials_keys:
            environment[VARIABLE] = self.settings.credentials_keys
        if self.simulator_url:
            environment["ROLETA_ZAPI_BASE_URL"] = self.simulator_url
        if self.agency:
            environment |= self.agency.environment
        # With our own database there is nothing left to record once we are gone; with a real one there is.
        at_death = signal.SIGKILL if self.arrangement.database == "ours" else signal.SIGTERM
        place = ["--host", self.settings.gateway_host, "--port", str(self.settings.gateway_port)]
        gateway = self._module("gateway", ["serve", *place], environment, at_death)
        worker = self._module("worker", ["work"], environment, at_death)
        self._run(gateway, limit_s=10)
        self._run(worker, limit_s=DRAIN_LIMIT_S)
        self._wait(self._gateway_answers, "the gateway")
        self.say(f"gateway: {self.gateway}/functions/v1/…")
        run_file.write(
            self._home,
            run_file.Run(
                pid=os.getpid(),
                born=run_file.born(os.getpid()),
                database_url=url,
                gateway=self.gateway,
                simulator_url=self.simulator_url,
                evolution_url=self.agency.evolution_url if self.agency else None,
                children={child.name: child.pid for child in self._children},
                meta_url=self.agency.ad_platform_url if self.agency else None,
                credentials_keys=self.settings.credentials_keys,
            ),
        )
        self._stack.callback(run_file.remove, self._home)

    def _module(
        self, name: str, arguments: list[str], environment: dict[str, str], at_death: signal.Signals
    ) -> Child:
        log = self._logs / f"{name}.log"
        words = ["--env-file", str(self._env_file), *arguments]
        return Child(name, "scripts.cli", words, log=log, environment=environment, at_death=at_death)

    def _run(self, child: Child, *, limit_s: float) -> None:
        child.start()
        self._children.append(child)

        def end() -> None:
            self._children.remove(child)
            well = child.stop(limit_s)
            self.say(f"{child.name}: stopped" + ("" if well else " by force"))

        self._stack.callback(end)

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        deadline = clock.monotonic() + READY_LIMIT_S
        while not ready():
            self.check()
            if clock.monotonic() > deadline:
                raise RoletaError(f"{what} is not ready after {READY_LIMIT_S} s: see {self._logs}")
            if self._stop.wait(0.02):
                raise StoppedError

    def _gateway_answers(self) -> bool:
        try:
            return httpx.get(f"{self.gateway}/healthz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


def with_port(settings: Settings, port: int | None) -> Settings:
    """The settings with --port in them; 0 takes a free one."""
    port = settings.gateway_port if port is None else port
    if port == 0:
        with socket.socket() as probe:
            probe.bind((settings.gateway_host, 0))
            port = probe.getsockname()[1]
    return dataclasses.replace(settings, gateway_port=port)


def refuse_used_port(host: str, port: int) -> None:
    """Conflict, before anything starts, where the gateway could not listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise RoletaError(f"the gateway cannot listen on {host}:{port}: {problem.strerror}") from None
            raise Conflict(
                f"port {port} on {host} is in use by {_who_answers(host, port)}: "
                "stop it, or choose another port with --port or ROLETA_GATEWAY_PORT"
            ) from None


def _who_answers(host: str, port: int) -> str:
    try:
        answer = httpx.get(f"http://{host}:{port}/healthz", timeout=2, trust_env=False)
        if answer.status_code in (200, 503) and "X-Request-Id" in answer.headers:
            return "another roleta gateway"
    except httpx.HTTPError:
        pass
    return "another program"


def _name(index: int) -> str:
    return f"Aura #{index}"


def _make_database(server_url: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        there = connection.execute("select from pg_catalog.pg_database where datname = %s", [name]).fetchone()
        if there is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
