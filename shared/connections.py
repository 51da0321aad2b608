"""The life of a connection: paired with a phone's scan, looked at, asked after, ended. For the function and
for the pages.

Who may act on which client, and which state follows from what the provider says, is decided in SQL
(migrations 0050-0055); what is done at the provider, in shared/provider_side.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx

from shared import lifecycle, log, phones
from shared.db import Calls, Row
from shared.errors import Conflict, NotFound, RoletaError
from shared.pairing import ConnectionState, Pairing
from shared.provider_side import ProviderSide, is_remnant, unclear
from shared.providers.base import ProviderError
from shared.providers.transport import open_http
from shared.settings import Settings

# While dialogs are open, all of them together ask the provider so often (evolution contract 9, "count: 0").
LOOK_EVERY_S = 2.0
# How long ending waits for its turn: a person waits too, and the duty does what is left.
ENDING_WAIT_S = 5.0
LEFTOVERS_AT_ONCE = 20


class Connections:
    """What may be done with the connections of agencies and their clients. Threads may share it.

    `person_db` is the database as the manager who asks: Forbidden for anybody else, NotFound for a client of
    another agency as for one that never was. `client_id` None is the agency itself. ProviderError where
    Evolution API cannot do its part: the same call, asked again, goes on from there.
    """

    def __init__(self, db: Calls, settings: Settings, http: httpx.Client | None = None) -> None:
        """`http` from transport.open_http() is shared and stays open on `close`."""
        self._db = db
        self._own_http = http is None
        self._http = http or open_http()
        self._there = ProviderSide(db, settings, self._http)
        self._log = log.get()

    def close(self) -> None:
        """Closes the connections to the provider, unless they are shared."""
        if self._own_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self, person_db: Calls, client_id: UUID | None, *, number: str | None = None) -> Pairing:
        """Leads to a code to scan, or finds the number connected already, and stores that (bug 24).

        Two at once are one behind the other and see the same code (bug 32); Conflict when the first takes
        too long, and for a number that the operator has paused. `number` (that of the phone to be paired)
        asks for a code to type as well; InvalidInput where it is none.
        """
        self._there.check_settings()
        digits = phones.normalize(number) if number is not None else None
        begun = self._begin(person_db, client_id)
        instance_id, name = begun["instance_id"], begun["instance_name"]
        already = False
        with lifecycle.alone(self._db, instance_id, "connect"):
            self._there.remove(instance_id, name)
            seen = self._view(person_db, client_id, name)
            if seen is not None and seen.has_code and digits is None:
                # Somebody else's dialog shows it already; it may have been scanned meanwhile.
                already = self._there.is_open(instance_id, name)
            elif seen is not None:
                already = self._there.lead(instance_id, name, number=digits, begins=True)
        seen = self._view(person_db, client_id, name, already_connected=already)
        if seen is None:
            raise Conflict("this connection was ended meanwhile: connect again")
        if already:
            self._learn_phone(begun)
        return seen

    def look(self, person_db: Calls, client_id: UUID | None) -> Pairing:
        """How the pairing stands, for a dialog that asks again every second or two.

        Fetches the next code before the one that is shown is over, and asks the provider for the state, so
        that a scan shows within seconds even where its webhook is lost. NotFound where nothing was begun.
        """
        own = self._own(person_db, client_id)
        seen = self._view(person_db, client_id, own["instance_name"]) if own else None
        if own is None or seen is None:
            raise NotFound("there is no connection to look at: connect first")
        if not self._is_to_be_asked(own["instance_id"], seen):
            return seen
        trouble = None
        try:
            self._ask(own["instance_id"], own["instance_name"], seen)
        except Conflict:
            self._log.debug("somebody else is at it", instance=own["instance_name"])
        except ProviderError as error:
            trouble = error.kind
            self._say("the provider could not be asked", own, error)
        seen = self._view(person_db, client_id, own["instance_name"], trouble=trouble) or seen
        if seen.pairing_state == "connected":
            self._learn_phone(own)
        return seen

    def disconnect(self, person_db: Calls, client_id: UUID | None) -> bool:
        """Ends exactly this connection (bug 27): committed first, then the provider's side is removed, now or
        by the duty. False: there was none."""
        ended = person_db.call("messaging.end_connection", p_client_id=client_id)
        self.clear_away(ended)
        return bool(ended)

    def clear_away(self, ended: Sequence[Row]) -> None:
        """Removes at the provider what connections that were ended left there, now or by the duty."""
        for row in ended:
            if row["instance_id"] is None:
                continue  # an adopted connection that never had a number
            try:
                with lifecycle.alone(self._db, row["instance_id"], "disconnect", wait_s=ENDING_WAIT_S):
                    self._there.remove(row["instance_id"], row["instance_name"])
            except RoletaError as error:
                self._say("left to the duty", row, error)

    def status(self, person_db: Calls, client_id: UUID | None) -> ConnectionState:
        """Asks the provider, and stores the answer whichever way it has changed (bug 25)."""
        own = self._own(person_db, client_id)
        if own is None or own["instance_id"] is None:
            return ConnectionState(False, "no_instance")
        state = self._there.state(own["instance_name"])
        if state.connected is None:
            self._say("the provider does not tell", own, unclear(state))
            return ConnectionState(False, "error")
        self._there.record(own["instance_id"], state.connected)
        if state.connected and (own["phone_number"] is None or own["instance_status"] != "active"):
            self._learn_phone(own)
        return ConnectionState(state.connected, state.detail if state.exists else "close")

    def remove_leftovers(self) -> int:
        """The duty: neither a pairing that nobody finished nor a number whose connection was ended lives on
        at the provider (evolution contract 9). How many were seen to."""
        stale = self._db.call("messaging.take_stale_pairings", p_limit=LEFTOVERS_AT_ONCE)
        orphans = self._db.call("messaging.take_orphans", p_limit=LEFTOVERS_AT_ONCE)
        done = [self._see_to(row, self._there.stop) for row in stale]
        return sum(done + [self._see_to(row, self._there.remove) for row in orphans])

    def _begin(self, person_db: Calls, client_id: UUID | None) -> Row:
        own = self._own(person_db, client_id)
        if own is not None and own["instance_status"] in ("paused", "banned"):
            raise Conflict(f"this number is {own['instance_status']}: its operator must resume it first")
        begun = person_db.call_one("messaging.begin_connection", p_client_id=client_id)
        if not begun["was_connected"]:
            return begun
        # As we believe. Told otherwise, it is paired anew.
        state = self._there.state(begun["instance_name"])
        if state.connected is False or is_remnant(state):
            self._there.record(begun["instance_id"], False)
            begun = person_db.call_one("messaging.begin_connection", p_client_id=client_id)
        return begun

    def _see_to(self, row: Row, what: Callable[[UUID, str], None]) -> bool:
        try:
            # Whoever is at it now has begun anew.
            with lifecycle.alone(self._db, row["instance_id"], "leftovers", wait_s=0.0):
                what(row["instance_id"], row["instance_name"])
        except Conflict:
            return False
        except RoletaError as error:
            self._say("not removed at the provider", row, error)
            return False
        return True

    def _is_to_be_asked(self, instance_id: UUID, seen: Pairing) -> bool:
        """Whether this look is the one that asks. What has expired is asked about once more, to end it."""
        if seen.is_under_way:
            every_s = LOOK_EVERY_S
        elif seen.pairing_state == "expired":
            every_s = 0.0
        else:
            return False
        asked = self._db.call_one("messaging.take_qr_renewal", p_instance_id=instance_id, p_every_s=every_s)
        return bool(asked["take_qr_renewal"])

    def _ask(self, instance_id: UUID, name: str, seen: Pairing) -> None:
        if self._there.is_open(instance_id, name) or seen.has_code or seen.is_overdue:
            return
        with lifecycle.alone(self._db, instance_id, "look", wait_s=0.0):
            if seen.is_under_way:
                self._there.lead(instance_id, name, begins=False)
            else:
                self._there.stop(instance_id, name)

    def _learn_phone(self, own: Row) -> None:
        """Of a number that was just seen to open: it may be another phone than the last time."""
        try:
            self._there.learn_phone(own["instance_id"], own["instance_name"])
        except RoletaError as error:
            self._say("whose phone it is could not be asked", own, error)

    def _own(self, person_db: Calls, client_id: UUID | None) -> Row | None:
        rows = person_db.call("messaging.own_connection", p_client_id=client_id)
        return rows[0] if rows else None

    def _view(self, person_db: Calls, client_id: UUID | None, name: str, **more: Any) -> Pairing | None:
        rows = person_db.call("messaging.pairing_view", p_client_id=client_id)
        return Pairing.from_row(name, rows[0], **more) if rows else None

    def _say(self, event: str, row: Row, error: RoletaError) -> None:
        self._log.warning(event, instance=row["instance_name"], why=str(error))
