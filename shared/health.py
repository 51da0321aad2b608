"""Asks each number's provider, now and then, whether it is connected. What follows is decided in SQL."""

from concurrent.futures import ThreadPoolExecutor

from shared import log
from shared.db import Calls, Row
from shared.dispatcher import ProviderFactory
from shared.errors import RoletaError
from shared.providers.base import ChannelState

EVERY_S = 60.0
AT_ONCE = 8


class HealthDuty:
    """Every number is asked once a minute, and at once after an event that says to ask, by one worker,
    however many workers there are."""

    def __init__(self, db: Calls, provider_for: ProviderFactory, *, every_s: float = EVERY_S) -> None:
        self._db = db
        self._provider_for = provider_for
        self._every_s = every_s
        self._log = log.get(duty="health")

    def run_once(self) -> int:
        """Asks up to AT_ONCE numbers that are due and records their answers; how many were asked."""
        due = self._db.call("messaging.take_health_checks", p_every_s=self._every_s, p_limit=AT_ONCE)
        if due:
            with ThreadPoolExecutor(len(due), thread_name_prefix="health") as threads:
                list(threads.map(self._check, due))
        return len(due)

    def _check(self, instance: Row) -> None:
        try:
            state = self._provider_for(instance).state()
        except ValueError as error:
            state = ChannelState(None, str(error), account_refused="credentials_unusable")
        # An instance that the provider does not know, or no longer, is a number that is not connected.
        connected = False if state.exists is False else state.connected
        try:
            recorded = self._db.call_one(
                "messaging.record_health",
                p_instance_id=instance["instance_id"],
                p_connected=connected,
                p_refusal=state.account_refused,
            )
        except RoletaError as error:
            self._log.warning("health not recorded", instance=instance["instance_name"], why=str(error))
            return
        if not connected:
            self._log.warning(
                "not healthy",
                instance=instance["instance_name"],
                instance_status=recorded["record_health"],
                refusal=state.account_refused,
                detail=state.detail,
            )
