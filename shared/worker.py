"""The worker process: the dispatcher's loop, and the duties beside it (answers, drafts, expiry, health,
returns, evidence)."""

import functools
import threading
from collections.abc import Callable
from typing import Any

from shared import agent, clock, log, reconcile
from shared.compose import DraftDuty
from shared.connections import Connections
from shared.credentials import KeyRing
from shared.db import Calls
from shared.dispatcher import Dispatcher, Providers
from shared.errors import DatabaseUnavailable, RoletaError
from shared.health import HealthDuty
from shared.reconcile import Reconciler
from shared.returning import ReturnDuty
from shared.scheduler import Scheduler
from shared.settings import Settings
from shared.turns import TurnDuty

SHORTEST_PAUSE_S = 0.02
TROUBLE_PAUSE_S = 1.0
TURN_PAUSE_S = 0.25
EXPIRE_EVERY_S = 10.0
FORGOTTEN_EVERY_S = 60.0
EFFECTS_EVERY_S = 30.0
# An event may ask for a look (messaging.ask_health_soon), and somebody watches a page for what it finds.
HEALTH_LOOK_EVERY_S = 1.0
# A number that is back says nothing before it is prepared.
RETURNS_LOOK_EVERY_S = 1.0
LEFTOVERS_EVERY_S = 15.0
SCHEDULE_LOOK_EVERY_S = 5.0
# Fresh unknowns; the database lets each be looked at once a minute, by one worker.
RECONCILE_EVERY_S = 20.0
HOUR_LOOK_EVERY_S = 30.0
# Each may wait for the agent's service.
TURNS_AT_ONCE = 4
DRAFTS_AT_ONCE = 4
DRAFT_PAUSE_S = 0.5
LONGEST_GOODBYE_S = 4.0


class Worker:
    """Any number of these run beside each other, on any number of machines; the database coordinates them."""

    def __init__(self, db: Calls, settings: Settings, name: str, scheduler: Scheduler | None = None) -> None:
        """`scheduler` None: this worker runs no schedules."""
        self._db = db
        self._scheduler = scheduler
        self._name = name
        self._poll_s = settings.poll_interval_s
        self._log = log.get(worker=name)
        self._providers = Providers(
            zapi_base_url=settings.zapi_base_url,
            max_connections=settings.max_in_flight + 8,
            evolution_url=settings.evolution_url,
            evolution_key=settings.evolution_key,
            ring=KeyRing.from_settings(settings),
        )
        self._dispatcher = Dispatcher(db, self._providers, worker=name, max_in_flight=settings.max_in_flight)
        self._health = HealthDuty(db, self._providers)
        self._returns = ReturnDuty(db, self._providers, worker=name)
        self._connections = Connections(db, settings) if settings.has_evolution else None
        self._reconciler = Reconciler(db, self._providers, self._log)
        self._hourly = Scheduler(
            [(reconcile.SLOT_FUNCTION, reconcile.EVERY_HOUR)],
            time_zone=settings.time_zone,
            db=db,
            run=self._reconcile_all,
            log=self._log,
        )
        self._agent = agent.from_settings(settings)
        self._drafts = DraftDuty(db, self._agent, self._log, agent_timeout_s=settings.agent_timeout_s)
        self._turns = TurnDuty(db, settings, self._log, self._agent)
        self._turns_at_once = 1 if settings.agent_url is None else TURNS_AT_ONCE

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set, then lets what is in flight end. Waits for a database that is away."""
        duties = [
            self._start(stop, "expiry", self._expire, EXPIRE_EVERY_S),
            self._start(stop, "forgotten", self._wake_forgotten, FORGOTTEN_EVERY_S),
            self._start(stop, "effects", self._retry_effects, EFFECTS_EVERY_S),
            self._start(stop, "health", lambda: self._all(stop, self._health.run_once), HEALTH_LOOK_EVERY_S),
            self._start(
                stop, "returns", lambda: self._all(stop, self._returns.run_once), RETURNS_LOOK_EVERY_S
            ),
        ]
        if (connections := self._connections) is not None:
            duties.append(self._start(stop, "leftovers", connections.remove_leftovers, LEFTOVERS_EVERY_S))
        if (scheduler := self._scheduler) is not None:
            look = functools.partial(scheduler.tick, self._name, stop.is_set)
            duties.append(self._start(stop, "schedule", look, SCHEDULE_LOOK_EVERY_S))
        leaving = [
            self._start(
                stop, f"drafts {place}", lambda: self._all(stop, self._compose), DRAFT_PAUSE_S, daemon=True
            )
            for place in range(1, DRAFTS_AT_ONCE + 1)
        ] + [
            self._start(
                stop, f"turns {place}", lambda: self._all(stop, self._answer), TURN_PAUSE_S, daemon=True
            )
            for place in range(1, self._turns_at_once + 1)
        ]
        # A provider that does not answer must not hold up the end either: each step may be done again.
        leaving += [
            self._start(stop, "evidence", lambda: self._look(stop), RECONCILE_EVERY_S, daemon=True),
            self._start(stop, "evidence hourly", lambda: self._hour(stop), HOUR_LOOK_EVERY_S, daemon=True),
        ]
        self._log.info("started")
        try:
            self._dispatch(stop)
        finally:
            stop.set()
            self._dispatcher.drain()
            for duty in duties:
                duty.join()
            self._leave(leaving)
            self._providers.close()
            if self._connections is not None:
                self._connections.close()
            self._log.info("stopped")

    def _leave(self, leaving: list[threading.Thread]) -> None:
        """Gives the drafts, turns and questions in hand a few seconds. What takes longer is left to its
        lease: nothing was sent, and a worker that is told to stop must not wait for a slow service."""
        leave_at = clock.monotonic() + LONGEST_GOODBYE_S
        for thread in leaving:
            thread.join(max(0.0, leave_at - clock.monotonic()))
        if any(thread.is_alive() for thread in leaving):
            self._log.info("left what is being composed or asked to its lease")
            return  # closing the agent would make them fixed texts
        self._agent.close()

    def _dispatch(self, stop: threading.Event) -> None:
        trouble: str | None = None
        while not stop.is_set():
            try:
                taken = self._dispatcher.fill()
                # Taken something: there may be more. Otherwise sleep until the next number is due.
                pause = SHORTEST_PAUSE_S if taken else self._pause()
            except RoletaError as error:
                # Nothing was begun. Said once, however long it lasts; a worker ends only when it is told to.
                if str(error) != trouble:
                    away = isinstance(error, DatabaseUnavailable)
                    say = self._log.warning if away else self._log.error
                    say("waiting for the database" if away else "cannot claim", why=str(error))
                trouble = str(error)
                stop.wait(TROUBLE_PAUSE_S)
                continue
            if trouble:
                self._log.info("going on")
                trouble = None
            self._dispatcher.wait_for_place(self._poll_s)
            stop.wait(pause)

    def _pause(self) -> float:
        ready_in_s: float | None = self._db.call_one("messaging.ready_in_s")["ready_in_s"]
        if ready_in_s is None:
            return self._poll_s
        return min(self._poll_s, max(SHORTEST_PAUSE_S, ready_in_s))

    def _all(self, stop: threading.Event, duty: Callable[[], object]) -> None:
        """One after the other while there are more, but not beyond the end of the worker."""
        while not stop.is_set() and duty():
            pass

    def _compose(self) -> bool:
        return self._drafts.run_once(self._name)

    def _answer(self) -> bool:
        return self._turns.run_once(self._name)

    def _expire(self) -> None:
        moved = self._db.call_one("messaging.expire_due")["expire_due"]
        if moved:
            self._log.info("expired", messages=moved)

    def _look(self, stop: threading.Event) -> None:
        self._reconciler.run_once(stopped=stop.is_set)

    def _hour(self, stop: threading.Event) -> None:
        self._hourly.tick(self._name, stop.is_set)

    def _reconcile_all(self, slug: str, run_id: str) -> dict[str, Any]:
        """Every unknown, once an hour across all workers; and what nobody was told of is told."""
        return self._reconciler.run_once(everything=True, tell=True).to_json()

    def _retry_effects(self) -> None:
        """An app row that was locked for a moment must not wait for an operator."""
        for effect in self._db.call("messaging.retry_effects", p_limit=100):
            say = self._log.info if effect["succeeded"] else self._log.warning
            say("effect retried", message_id=effect["message_id"], succeeded=effect["succeeded"])

    def _wake_forgotten(self) -> None:
        woken = self._db.call_one("messaging.wake_forgotten")["wake_forgotten"]
        if woken:
            self._log.error("numbers had a queue and slept: a defect to report", numbers=woken)

    def _start(
        self,
        stop: threading.Event,
        name: str,
        duty: Callable[[], object],
        every_s: float,
        *,
        daemon: bool = False,
    ) -> threading.Thread:
        """`daemon`: the process may end without it."""
        thread = threading.Thread(
            target=self._repeat, args=(stop, name, duty, every_s), name=name, daemon=daemon
        )
        thread.start()
        return thread

    def _repeat(self, stop: threading.Event, name: str, duty: Callable[[], object], every_s: float) -> None:
        while True:
            try:
                duty()
            except DatabaseUnavailable:
                # The dispatcher says it once for all.
                self._log.debug("waiting for the database", duty=name)
            except RoletaError as error:
                self._log.error("a duty failed", duty=name, why=str(error))
            except Exception:
                self._log.exception("a duty failed", duty=name)
            if stop.wait(every_s):
                return
