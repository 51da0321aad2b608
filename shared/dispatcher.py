"""Claims messages, sends each through its provider, records how it ended. SQL decides what may go, and when.

The order is the promise: claim (nothing is sent), begin (committed: "we are about to send"), the provider,
record. Killed before begin commits, the message goes back to its queue; killed after, it is unknown. Nothing
here tries twice.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shared import clock, log
from shared.credentials import KeyRing
from shared.db import Calls
from shared.errors import DatabaseUnavailable, RoletaError
from shared.providers.base import AttemptReport, Content, Outcome, Provider
from shared.providers.evolution import EvolutionClient
from shared.providers.transport import open_http
from shared.providers.zapi import ZApiClient

Row = Mapping[str, Any]
ProviderFactory = Callable[[Row], Provider]
RECORD_AGAIN_S = 0.5


class Dispatcher:
    """One worker's sending side: at most `max_in_flight` messages at once, each on a thread of its own."""

    def __init__(self, db: Calls, provider_for: ProviderFactory, *, worker: str, max_in_flight: int) -> None:
        self._db = db
        self._provider_for = provider_for
        self._worker = worker
        self._threads = ThreadPoolExecutor(max_in_flight, thread_name_prefix="dispatch")
        self._free = max_in_flight
        self._changed = threading.Condition()
        self._log = log.get(worker=worker)

    def fill(self) -> int:
        """Claims as many messages as there are free places and starts each; returns how many.

        Raises DatabaseUnavailable; then nothing was begun, and what may have been leased goes back by itself.
        """
        with self._changed:
            free = self._free
        if free == 0:
            return 0
        claimed = self._db.call("messaging.claim", p_worker=self._worker, p_limit=free)
        with self._changed:
            self._free -= len(claimed)
        for message in claimed:
            self._log.info("leased", message_id=message["message_id"], instance=message["instance_name"])
            self._threads.submit(self._run, message)
        return len(claimed)

    def wait_for_place(self, timeout_s: float) -> None:
        """Returns when a place is free, or after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0, timeout_s)

    def drain(self) -> None:
        """Waits until everything that was claimed has ended and is recorded."""
        self._threads.shutdown(wait=True)

    def _run(self, message: Row) -> None:
        try:
            self._deliver(message)
        except RoletaError as error:
            # The lease settles it: back to the queue if nothing was begun, unknown if something was.
            self._log.warning("left to its lease", message_id=message["message_id"], why=str(error))
        except Exception:
            self._log.exception("left to its lease", message_id=message["message_id"])
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify()

    def _deliver(self, message: Row) -> None:
        # Taken before begin commits, so that our deadline is never later than the database's.
        asked_at = clock.monotonic()
        begun = self._db.call_one(
            "messaging.begin_attempt",
            p_message_id=message["message_id"],
            p_lease_token=message["lease_token"],
            p_worker=self._worker,
        )
        context = {"message_id": message["message_id"], "instance": message["instance_name"]}
        if begun["attempt_id"] is None:
            self._log.info("not begun", **context, why=begun["refusal"])
            return
        self._log.info("sending", **context, attempt_id=begun["attempt_id"])
        report = self._attempt(begun, deadline=asked_at + begun["write_within_s"])
        state = self._record(begun, report)
        self._log.info(
            state,
            **context,
            attempt_id=begun["attempt_id"],
            outcome=report.outcome,
            http_status=report.http_status,
            detail=report.detail or None,
            halted=report.halt_reason,
            took_s=round(clock.monotonic() - asked_at, 3),
        )

    def _attempt(self, begun: Row, *, deadline: float) -> AttemptReport:
        try:
            provider = self._provider_for(begun)
        except ValueError as error:
            return AttemptReport(Outcome.NOT_SENT, detail=str(error), halt_reason="credentials_unusable")
        try:
            content = Content.from_json(begun["content"])
        except ValueError as error:
            return AttemptReport(Outcome.REJECTED, detail=str(error))
        try:
            return provider.send(begun["phone"], content, deadline=deadline)
        except Exception as error:
            # A defect of ours in the middle of a send proves nothing about what left.
            self._log.exception("the provider client failed", attempt_id=begun["attempt_id"])
            return AttemptReport(Outcome.UNKNOWN, detail=f"our client failed: {type(error).__name__}")

    def _record(self, begun: Row, report: AttemptReport) -> str:
        """Stores the outcome, asking again while the database is away: storing it twice changes nothing."""
        give_up_at = clock.monotonic() + begun["send_timeout_s"] + begun["write_within_s"]
        pause = threading.Event()
        while True:
            try:
                recorded = self._db.call_one(
                    "messaging.record_attempt",
                    p_attempt_id=begun["attempt_id"],
                    p_outcome=report.outcome,
                    p_provider_message_id=report.provider_message_id,
                    p_provider_queue_id=report.provider_queue_id,
                    p_http_status=report.http_status,
                    p_detail=report.detail,
                    p_halt_reason=report.halt_reason,
                    p_retry_after_s=report.retry_after_s,
                )
            except DatabaseUnavailable:
                if clock.monotonic() > give_up_at:
                    raise
                pause.wait(RECORD_AGAIN_S)
                continue
            return str(recorded["dispatch_state"])


class Providers:
    """Makes the client for a row of begin_attempt or take_health_checks, all over one shared HTTP client."""

    def __init__(
        self,
        *,
        zapi_base_url: str,
        max_connections: int,
        ring: KeyRing,
        evolution_url: str | None = None,
        evolution_key: str | None = None,
    ) -> None:
        """`ring` opens the credentials that are sealed. It has no default: whoever forgets it would find
        every number unusable, and say that its operator had lost a key."""
        self._zapi_base_url = zapi_base_url
        self._ring = ring
        self._evolution_url, self._evolution_key = evolution_url, evolution_key
        self._http = open_http(max_connections=max_connections)

    def __call__(self, row: Row) -> Provider:
        """ValueError for a number whose provider or credentials we cannot use."""
        row = self._ring.open_instance(row)
        timeout = {"timeout_s": float(row["send_timeout_s"])} if row.get("send_timeout_s") else {}
        match row["provider"]:
            case "zapi":
                return ZApiClient.from_instance(row, base_url=self._zapi_base_url, http=self._http, **timeout)
            case "evolution":
                return EvolutionClient.from_instance(
                    row,
                    base_url=self._evolution_url,
                    api_key=self._evolution_key,
                    http=self._http,
                    **timeout,
                )
            case other:
                raise ValueError(f"no client for the provider {other}")

    def close(self) -> None:
        """Closes the connections of every client it made."""
        self._http.close()
