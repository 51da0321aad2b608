"""Requests a second at the webhook of a real gateway process, and how long each takes."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg

from scripts.bench import clients
from scripts.bench.clients import Turn
from scripts.bench.progress import Progress
from scripts.bench.report import Report, quantile
from scripts.simulator import events
from scripts.simulator.instances import Instance, configured
from shared import webhook_auth

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]
PEOPLE = 500
START_LIMIT_S = 30.0


@dataclass(frozen=True)
class Target:
    """Where a client posts, and the seed of what it says."""

    port: int
    path: str
    seed: int


def measure(
    url: str, report: Report, progress: Progress, *, client_counts: list[int], seconds: float
) -> None:
    """Fill the report: per number of clients, requests a second, median and 99th percentile."""
    number, token = configured({}, 1), webhook_auth.new_token()
    _add(url, number, token)
    with _gateway(url) as port:
        for clients_at_once in client_counts:
            target = Target(port, f"/functions/v1/webhook-zapi/{token}", report.seed)
            with progress.step(f"{clients_at_once} clients"):
                joint = clients.run(
                    post_events, target, clients=clients_at_once, processes=min(2, clients_at_once),
                    seconds=seconds,
                )  # fmt: skip
            taken = [each for result in joint.results for each in result]
            report.rows.append(
                {
                    "clients": clients_at_once,
                    "requests_per_s": round(len(taken) / joint.seconds, 1),
                    "p50_ms": round(quantile(taken, 0.50) * 1000, 2),
                    "p99_ms": round(quantile(taken, 0.99) * 1000, 2),
                    "requests": len(taken),
                }
            )
    with psycopg.connect(url) as connection:
        stored = connection.execute("select count(*) from messaging.inbound_events").fetchone() or (0,)
    answered = sum(row["requests"] for row in report.rows)
    report.target("events answered with 200 and not stored", answered - stored[0], 0)
    report.notes += [
        "POST /functions/v1/webhook-zapi/<token> at `roleta serve` (waitress, 8 threads, log on) in its own "
        "process, kept connections; each request is a new ReceivedCallback of one of "
        f"{PEOPLE} people, authenticated, stored once and given its turn.",
        "The clients share the machine with gateway and database.",
    ]


def _add(url: str, number: Instance, token: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "select messaging.add_instance(%s, %s, %s, %s, 'bench', %s, 1000000, %s)",
            [number.name, number.id, number.token, number.client_token, number.phone,
             webhook_auth.hash_token(token)],
        )  # fmt: skip
        connection.execute(
            "insert into public.profiles (user_id, name, phone, status)"
            " select gen_random_uuid(), 'Person ' || n, '55119' || lpad(n::text, 8, '0'), 'active'"
            " from generate_series(1, %s) as n",
            [PEOPLE],
        )


@contextmanager
def _gateway(url: str) -> Iterator[int]:
    """`roleta serve` on a free port, until it answers; ended in order."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": url, "ROLETA_ENV_FILE": os.devnull}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.cli", "serve", "--host", HOST, "--port", str(port)],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            if not _answers(port, process):
                log.seek(0)
                raise RuntimeError(
                    "the gateway did not start: " + log.read().decode(errors="replace")[-2000:]
                )
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(port: int, process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == http.client.OK:
                return True
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    return False


def post_events(turn: Turn, target: Target) -> list[float]:
    """One client on one kept connection: new messages of random people; the seconds that each took."""
    random_ = random.Random(target.seed + turn.client)
    number = configured({}, 1)
    headers = {"Content-Type": "application/json", "z-api-token": number.token}
    connection = http.client.HTTPConnection(HOST, target.port, timeout=30)
    connection.connect()
    taken: list[float] = []
    turn.start()
    for said in count():
        if turn.over():
            break
        phone = f"55119{random_.randint(1, PEOPLE):08d}"
        body = json.dumps(events.received(number, phone, {"text": {"message": f"Oi {said}"}}))
        began = time.monotonic()
        connection.request("POST", target.path, body, headers)
        answer = connection.getresponse()
        answer.read()
        taken.append(time.monotonic() - began)
        if answer.status != http.client.OK:
            raise RuntimeError(f"the gateway answered {answer.status}")
    connection.close()
    return taken
