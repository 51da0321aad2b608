"""Prepares the return of numbers that were down: purges the provider's own queue, lets SQL thin out ours.

Until that is recorded the number says nothing. The order is the promise: what of ours stands there is noted
before it is purged, so a crash between any two steps leaves the number silent and loses no trace.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from uuid import UUID

from shared import log
from shared.db import Calls, Row, as_json
from shared.dispatcher import ProviderFactory
from shared.errors import RoletaError
from shared.providers.base import ProviderError
from shared.providers.zapi import ZApiClient

AT_ONCE = 8
# Longer than listing and purging may take: two workers at one queue would be harmless, but pointless.
LEASE_S = 120.0
# Z-API holds 1,000 for a phone that is away (zapi contract 3); what it lists beyond is not ours.
MOST_LISTED = 2000


class ReturnDuty:
    """Each number that comes back, or has just gone, is prepared by one worker, however many there are."""

    def __init__(self, db: Calls, provider_for: ProviderFactory, *, worker: str) -> None:
        self._db = db
        self._provider_for = provider_for
        self._worker = worker
        self._log = log.get(duty="returns", worker=worker)

    def run_once(self) -> int:
        """Prepares up to AT_ONCE numbers that are due; how many there were."""
        due = self._db.call("messaging.take_returns", p_limit=AT_ONCE, p_lease_s=LEASE_S)
        if due:
            with ThreadPoolExecutor(len(due), thread_name_prefix="returns") as threads:
                list(threads.map(self._prepare, due))
        return len(due)

    def _prepare(self, number: Row) -> None:
        try:
            found, failure = self._emptied(number), None
        except ProviderError as error:
            found, failure = None, str(error)
        except ValueError as error:  # credentials that cannot be any: no provider can be asked
            found, failure = None, str(error)
        except RoletaError as error:
            self._log.warning("a return is left to its lease", number=number["instance_name"], why=str(error))
            return
        try:
            ended = self._db.call_one(
                "messaging.finish_return",
                p_instance_id=number["instance_id"],
                p_token=number["return_token"],
                p_found=found,
                p_failure=failure,
                p_by=self._worker,
            )
        except RoletaError as error:
            self._log.warning("a return is left to its lease", number=number["instance_name"], why=str(error))
            return
        say = self._log.info if failure is None else self._log.warning
        say(
            "return prepared" if failure is None else "the provider's queue could not be purged",
            number=number["instance_name"],
            return_state=ended["return_state"],
            thinned_out=ended["thinned_out"],
            purged=found,
            why=failure,
        )

    def _emptied(self, number: Row) -> int | None:
        """How many messages stood in the provider's queue, which is empty now; None where nobody can tell, or
        the provider has none (evolution contract: it sends at once or refuses)."""
        provider = self._provider_for(number)
        if not isinstance(provider, ZApiClient):
            return None
        found = self._noted(number["instance_id"], number["return_token"], provider)
        provider.purge_queue()
        return found

    def _noted(self, instance_id: UUID, token: UUID, provider: ZApiClient) -> int | None:
        """Stores which messages of ours stand in the provider's queue; how many stand there in all. A list
        that cannot be read does not keep the number silent: the purge matters more than the trace."""
        try:
            entries = list(islice(provider.queue(), MOST_LISTED))
        except ProviderError as error:
            if error.kind != "unexpected":
                raise
            self._log.warning("the provider's queue could not be listed", why=error.detail)
            return None
        if entries:
            self._db.call(
                "messaging.note_queue",
                p_instance_id=instance_id,
                p_token=token,
                p_entries=as_json(
                    [
                        {"message_id": each.message_id, "phone": each.phone, "text": each.text}
                        for each in entries
                    ]
                ),
            )
        return len(entries)
