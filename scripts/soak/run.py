"""One soak from an empty database to its verdict.

A PostgreSQL of its own (with fsync on), the provider's simulator with its book on disk, the gateway for its
receipts, and workers as real processes under service_role's rights. While they send, workers are killed and
the database is stopped at points that the seed chooses, and the provider errs in six ways.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from scripts.bench.report import surroundings
from scripts.embedded import EmbeddedPostgres, bootstrap_supabase
from scripts.migrate import apply_all
from scripts.simulator.process import SimulatorProcess
from scripts.soak import kills, stage
from scripts.soak.display import Display
from scripts.soak.fleet import AS_SERVICE_ROLE, Fleet
from scripts.soak.gateway import Gateway
from scripts.soak.judge import Verdict, judge
from scripts.soak.surroundings import bytecode_in
from scripts.soak.waiting import eventually
from shared import log, webhook_auth
from shared.credentials import KeyRing
from shared.db import Database
from shared.dispatcher import Providers
from shared.reconcile import Reconciler

# A hundredth of the real 25-45 s, so that the pace is in force and yet does not set the speed.
GAPS_S = (0.25, 0.45)
SEND_TIMEOUT_S = 4.0
HANG_S = 6.0
SLOW_S = 0.02
PLACES = 16
LOOK_EVERY_S = 0.2
COUNT_EVERY_S = 2.0
STUCK_AFTER_S = 90.0
BACK_WITHIN_S = 10.0
STOP_LIMIT_S = 30.0
# Of the events: lost on the way, late by more than a lease. What was answered well teaches little.
LOST_RATE, LATE_RATE, LATE_S, WELL_ANSWERED_SHARE = 0.05, 0.2, 12.0, 0.1

_ENDED = """
    select
        count(*) filter (where dispatch_state = any(%s)),
        count(*) filter (where dispatch_state = 'unknown')
    from messaging.outbox
"""
_BUSY_SINCE = """
    select count(distinct a.worker), exists (select from messaging.outbox where dispatch_state = 'queued')
    from messaging.attempts as a where a.begun_at > %s
"""


@dataclass(frozen=True)
class Plan:
    """How large, and how rough. `faults`: the share of sends that the provider answers wrongly."""

    messages: int = 100_000
    kills: int = 20
    faults: float = 0.1
    seed: int = 0
    workers: int = 8
    numbers: int = 200
    database_stops: int = 0
    receipts: bool = True


@dataclass
class Outcome:
    """What came of it. `back_s`: how long the workers needed after each stop of the database."""

    plan: Plan
    around: Mapping[str, Any] = field(default_factory=dict)
    kills: int = 0
    back_s: list[float] = field(default_factory=list)
    left: set[int] = field(default_factory=set)
    seconds: float = 0.0
    stopped_early: bool = False
    verdict: Verdict | None = None

    def broken(self) -> list[str]:
        """A line per promise that was not kept."""
        late = [f"{took:.1f} s" for took in self.back_s if took > BACK_WITHIN_S]
        found = self.verdict.broken(partial=self.stopped_early) if self.verdict else ["there is no verdict"]
        return found + ([f"workers back only after {', '.join(late)}"] if late else [])


class Soak:
    """`Soak(plan, folder, display, stop).run()`, from the main thread; `stop` ends it early, with a
    verdict."""

    def __init__(self, plan: Plan, folder: Path, display: Display, stop: threading.Event) -> None:
        self._plan, self._folder, self._display, self._stop = plan, folder, display, stop
        self._outcome = Outcome(plan)
        self._random = random.Random(plan.seed)  # noqa: S311 - to be repeatable
        self._fleet: Fleet
        self._simulator: SimulatorProcess

    def run(self) -> Outcome:
        """The whole of it. Raises where something could not even be started."""
        plan, display = self._plan, self._display
        texts = stage.texts_of(plan.messages)
        self._server = EmbeddedPostgres(self._folder)
        with ExitStack() as running:
            self._server.start()
            running.callback(self._stop_server)
            bootstrap_supabase(self._server.url)
            apply_all(self._server.url, say=lambda _: None)
            self._outcome.around = surroundings(self._server.url)
            self._start_provider(running)
            display.say(f"enqueueing {plan.messages:,} messages")
            with Database(self._server.url) as db:
                stage.enqueue_texts(db, self._numbers, texts)
            display.say(f"starting {plan.workers} workers")
            settings = {"ROLETA_MAX_IN_FLIGHT": str(PLACES), **bytecode_in(self._folder)}
            self._fleet = running.enter_context(Fleet(self._server.url, self._simulator.base_url, settings))
            self._fleet.started(plan.workers)
            began = time.monotonic()
            self._send()
            self._outcome.seconds = time.monotonic() - began
            self._settle()
            display.say("judging")
            self._outcome.verdict = judge(
                self._server.url,
                self._simulator,
                texts,
                left_begun=len(self._outcome.left),
                promised_gap_s=GAPS_S[0],
            )
        return self._outcome

    def _stop_server(self) -> None:
        # Not the method of the one that was started first: there is another after each stop.
        self._server.stop()

    def _start_provider(self, running: ExitStack) -> None:
        plan, url = self._plan, self._server.url
        gateway = None
        if plan.receipts:
            gateway = running.enter_context(Gateway(url, log=self._folder / "gateway.log"))
        self._simulator = running.enter_context(
            SimulatorProcess(log=self._folder / "provider.jsonl", instances=0)
        )
        tokens = [webhook_auth.new_token() for _ in range(plan.numbers)]
        for number, token in enumerate(tokens, 1):
            told = {"webhook_url": gateway.webhook_url(token), "notify_sent_by_me": True} if gateway else {}
            self._simulator.control("add-instance", id=f"SOAK{number:028X}", name=f"Soak {number}", **told)
        self._simulator.control("faults", rate=plan.faults, seed=plan.seed, hang_s=HANG_S)
        self._simulator.control("slow", seconds=SLOW_S)
        self._simulator.control("options", queue_interval_s=0.01)
        self._simulator.control(
            "receipts",
            until="SENT",
            seed=plan.seed,
            loss_rate=LOST_RATE,
            late_rate=LATE_RATE,
            late_s=LATE_S,
            well_answered_share=WELL_ANSWERED_SHARE,
        )
        self._numbers = stage.add_numbers(url, self._simulator, gaps_s=GAPS_S, send_timeout_s=SEND_TIMEOUT_S)
        with Database(url) as db:
            for instance, token in zip(self._numbers, tokens, strict=True):
                hashed = webhook_auth.hash_token(token)
                db.call(
                    "messaging.set_webhook_token", p_instance_id=instance, p_token_hash=hashed, p_by="soak"
                )

    def _send(self) -> None:
        """Until every message has ended, nothing ends any more, or somebody has had enough."""
        plan = self._plan
        deaths = deque(
            kills.spread({"kill": plan.kills, "stop": plan.database_stops}, self._random, plan.messages)
        )
        counted_at, moved_at, before = float("-inf"), time.monotonic(), (-1, -1)
        ended = unknown = 0
        while not self._stop.is_set():
            accepted = self._accepted()
            while deaths and accepted >= deaths[0][0]:
                self._let_die(deaths.popleft()[1])
            if time.monotonic() - counted_at >= COUNT_EVERY_S:
                ended, unknown = self._count()
                counted_at = time.monotonic()
            if ended >= plan.messages:
                return
            if (accepted, ended) != before:
                before, moved_at = (accepted, ended), time.monotonic()
            elif time.monotonic() - moved_at > STUCK_AFTER_S:
                return
            told = f"{self._outcome.kills} kills"
            if plan.database_stops:
                told += f", {len(self._outcome.back_s)} database stops"
            self._display.sending(max(accepted, ended), unknown, told)
            self._stop.wait(LOOK_EVERY_S)
        self._outcome.stopped_early = True

    def _let_die(self, whom: str) -> None:
        if whom == "kill":
            self._outcome.left.update(kills.kill_one(self._fleet, self._random, STOP_LIMIT_S))
            self._outcome.kills += 1
            return
        kills.stop_at_once(self._server)
        self._server, left = kills.started_again(self._folder, self._server)
        self._outcome.left.update(left)
        back_at = time.monotonic()
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            row = connection.execute("select messaging.clock()").fetchone()

            def everybody_is_back() -> bool:
                found = connection.execute(_BUSY_SINCE, row).fetchone()
                return found is not None and (found[0] >= self._plan.workers or not found[1])

            eventually(everybody_is_back, 6 * BACK_WITHIN_S, "every worker sends again")
        self._outcome.back_s.append(round(time.monotonic() - back_at, 2))

    def _settle(self) -> None:
        """What is late arrives, then the workers go in order; at last all that is uncertain is looked at."""
        if not self._outcome.stopped_early:
            self._display.say("waiting for what the provider still has to tell")
            eventually(
                lambda: self._simulator.control("counters")["background_tasks"] == 0,
                10 * LATE_S,
                "no event is left",
            )
        workers = list(self._fleet.running)
        for worker in workers:
            self._fleet.ask_to_stop(worker)
        for worker in workers:
            self._fleet.wait_for_end(worker, STOP_LIMIT_S)
        self._display.say("looking for evidence on what is uncertain")
        providers = Providers(zapi_base_url=self._simulator.base_url, max_connections=8, ring=KeyRing())
        try:
            with Database(self._server.url + AS_SERVICE_ROLE) as db:
                Reconciler(db, providers, log.get()).run_once(everything=True)
        finally:
            providers.close()

    def _accepted(self) -> int:
        return int(self._simulator.control("counters")["accepted"])

    def _count(self) -> tuple[int, int]:
        with psycopg.connect(self._server.url) as connection:
            row = connection.execute(_ENDED, [list(stage.ENDED)]).fetchone()
        return (row[0], row[1]) if row else (0, 0)
