"""Evolution API's client for one instance. What an answer to a send means is decided in evolution_outcomes.

Who calls create, connect, restart, logout or delete holds the lock of this instance (shared/lifecycle):
two at once destroy each other (evolution contract 1.12, 1.13).
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar

import httpx

from shared import clock, phones
from shared.providers import evolution_answers, evolution_outcomes, evolution_search, verdicts
from shared.providers.base import (
    AttemptReport,
    ChannelState,
    Content,
    Outcome,
    ProviderError,
    Sought,
    Trace,
    TraceSource,
)
from shared.providers.evolution_answers import Created, NameTaken, Open, Pending, Qr, Version, Webhook
from shared.providers.evolution_http import EvolutionServer
from shared.providers.evolution_sends import send_request

# A send can hang for 60 s before it fails (contract 1.3); we ask for no `delay`.
SEND_TIMEOUT_S = 75.0
CALL_TIMEOUT_S = 15.0
STATE_TIMEOUT_S = 5.0
# How long a new instance may take to show its state, and a deleted one to be gone (contract 4).
CREATED_WITHIN_S = 3.0
DELETED_WITHIN_S = 15.0
REFUSED_DELETE_WITHIN_S = 3.0
POLL_S = 0.25
# Of 50 messages each, to one person in a quarter of an hour: a listing that never ends is cut there.
MAX_SEARCH_PAGES = 10

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DIGITS = re.compile(r"[0-9]{7,15}")
_IN_USE = re.compile(r"is already in use")
# 400 in 2.3.x; 2.4 answers 200 "already disconnected" (contract 8.1).
_WAS_CLOSED = re.compile(r"is not connected$")

T = TypeVar("T")


class EvolutionClient:
    """One instance at an Evolution API server (a Provider). Thread-safe as far as httpx.Client is.

    The key opens every instance of the server: it appears in no repr, log or exception.
    """

    def __init__(
        self,
        instance_name: str,
        api_key: str,
        *,
        base_url: str,
        http: httpx.Client | None = None,
        timeout_s: float = SEND_TIMEOUT_S,
        call_timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """`http` from `transport.open_http()` is shared and stays open on `close`; without it the client
        opens its own. ValueError says which setting or name to change, never a value."""
        if not _NAME.fullmatch(instance_name):
            raise ValueError("an Evolution instance name must be 1 to 64 letters, digits, _ or - (ASCII)")
        self._server = EvolutionServer(base_url, api_key, http=http, call_timeout_s=call_timeout_s)
        self._name = instance_name
        self._timeout_s = timeout_s
        self._call_timeout_s = call_timeout_s

    @classmethod
    def from_instance(
        cls,
        row: Mapping[str, Any],
        *,
        base_url: str | None,
        api_key: str | None,
        http: httpx.Client | None = None,
        timeout_s: float = SEND_TIMEOUT_S,
    ) -> Self:
        """A row of whatsapp_instances (evolution_instance_name). The key is the server's, for all of them."""
        return cls(
            row["evolution_instance_name"] or "",
            api_key or "",
            base_url=base_url or "",
            http=http,
            timeout_s=timeout_s,
        )

    def __repr__(self) -> str:
        return f"<EvolutionClient instance …{self._name[-4:]}>"

    @property
    def timeout_s(self) -> float:
        """The longest a send may take once it has begun to write, in seconds."""
        return self._timeout_s

    def close(self) -> None:
        """Close the connections, unless they are shared."""
        self._server.close()

    def send(self, phone: str, content: Content, *, deadline: float) -> AttemptReport:
        """One attempt (contract 5). 201 means handed to the socket, nothing more. `phone` may be the JID of a
        chat, as it came."""
        try:
            route, body = send_request(phone, content)
        except ValueError as error:
            detail = evolution_outcomes.safe_detail(str(error), self._server.secrets)
            return AttemptReport(Outcome.REJECTED, detail=detail)
        answer = self._server.exchange(
            "POST", self._of(route), body, deadline=deadline, total_s=self._timeout_s
        )
        if isinstance(answer, Exception):
            return verdicts.outcome_of_failure(answer)
        http_status, raw, headers = answer
        return evolution_outcomes.outcome_of_answer(
            http_status, raw, retry_after=headers.get("retry-after"), secrets=self._server.secrets
        )

    def state(self) -> ChannelState:
        """GET connectionState: the state of record (contract 10.7). `detail` is the provider's word: open,
        connecting or close. An unknown instance is one that is not connected."""
        return self._state(STATE_TIMEOUT_S)

    def phone(self) -> str | None:
        """Whose phone is paired; None where the provider does not say. Only of an instance that is open: it
        stays filled after an end (contract 4)."""
        asked = f"instance/fetchInstances?instanceName={self._name}"
        return evolution_answers.owner(self._server.call("GET", asked, again=True), self._name)

    def create(self, *, number: str | None = None) -> Created:
        """Make the instance, without a QR code (contract 10.4). NameTaken where one of this name is there;
        ProviderError where it was not made, or shows no state (another create of its name, contract 1.12)."""
        state = self.state()
        if state.account_refused:
            raise ProviderError("account_refused", state.detail, state.account_refused)
        if state.exists:
            raise NameTaken
        body = {"instanceName": self._name, "integration": "WHATSAPP-BAILEYS", "qrcode": False}
        if number is not None:
            body["number"] = _digits(number)
        http_status, value = self._server.ask("POST", "instance/create", body)
        # The name is looked at before the key: no other 403 comes from create (contract 3).
        said = "; ".join(evolution_outcomes.error_texts(value))
        if http_status == 403 and _IN_USE.search(said):
            raise NameTaken
        made = _shaped(evolution_answers.created(self._server.value(http_status, value)), "create")
        if not self._waits_for(lambda state: state.connected is not None, CREATED_WITHIN_S):
            raise ProviderError(
                "unexpected", "the new instance shows no state: delete it and create it again"
            )
        return made

    def connect(self, number: str | None = None) -> Qr | Open | Pending:
        """Begin to pair, or the QR code at hand, which may be stale (contract 4, 9). Takes the server 2 s.
        `number` asks for a pairing code. Never asked twice: a second call could open a second socket."""
        asked = f"?number={_digits(number)}" if number is not None else ""
        answer = self._server.call("GET", self._of("instance/connect") + asked)
        return evolution_answers.pairing(answer)

    def restart(self) -> Qr | Open | Pending:
        """Reconnect. ProviderError on a closed instance, though it answers 200 (contract 1.1). "Open" is the
        state before the restart."""
        return evolution_answers.pairing(self._server.call("POST", self._of("instance/restart")))

    def logout(self) -> None:
        """Unpair the phone. An instance that is closed, or not there at all, is logged out already. The state
        follows a little later in 2.3.6 (contract 4)."""
        self._log_out(self._call_timeout_s)

    def delete(self, *, within_s: float = DELETED_WITHIN_S) -> None:
        """Log out, wait until it is closed, delete, and wait until it is gone (contract 9). ProviderError
        where it is still there after about `within_s`: then only the server's restart ends it."""
        ends_at = clock.monotonic() + within_s
        try:
            self._log_out(within_s / 3)
        except ProviderError as error:
            # Delete works in every state; a logout of a dead socket may fail for ever.
            if error.halt_reason is not None:
                raise
        self._waits_for(_is_closed, within_s / 3)
        failure: ProviderError | None = None
        try:
            left = max(within_s / 3, ends_at - clock.monotonic())
            self._server.call("DELETE", self._of("instance/delete"), total_s=left)
        except ProviderError as error:
            if error.halt_reason not in {None, "disconnected"}:
                raise
            failure = error
        left = ends_at - clock.monotonic()
        if failure is not None:
            left = min(left, REFUSED_DELETE_WITHIN_S)
        if not self._waits_for(lambda state: state.exists is False, left):
            raise failure or ProviderError(
                "unexpected", "the instance is still there after its delete: restart the Evolution server"
            )

    @property
    def traces_from(self) -> TraceSource:
        """Evolution can search what it stored as sent; it has no queue."""
        return "provider_search"

    def traces(self, sought: Sequence[Sought]) -> list[Trace]:
        """What it stored to these people in their times, under each form of their phones."""
        return [
            trace
            for each in sought
            for form in phones.forms(each.phone)
            for trace in self._search(f"{form}@s.whatsapp.net", each.since, each.until)
        ]

    def withdraw(self, queue_id: str) -> None:
        """It has no queue to take a message out of."""
        raise ProviderError("unexpected", "Evolution API has no queue: what it took is gone")

    def _search(self, jid: str, since: datetime, until: datetime) -> Iterator[Trace]:
        for page in range(1, MAX_SEARCH_PAGES + 1):
            asked = evolution_search.asked(jid, since, until, page=page)
            answer = self._server.call("POST", self._of("chat/findMessages"), asked, again=True)
            found, pages = _shaped(evolution_search.found(answer, jid), "chat/findMessages")
            yield from (each for each in found if evolution_search.is_within(each, since, until))
            if page >= pages:
                return

    def set_webhook(self, url: str, token: str) -> Webhook:
        """Where this instance's events go; each carries `token` in the header x-roleta-webhook."""
        wanted = {
            "enabled": True,
            "url": url,
            "events": list(evolution_answers.WEBHOOK_EVENTS),
            "byEvents": False,
            "base64": False,
            "headers": {evolution_answers.WEBHOOK_HEADER: token},
        }
        answer = self._server.call("POST", self._of("webhook/set"), {"webhook": wanted})
        stored = _shaped(evolution_answers.webhook(answer), "webhook/set")
        if not stored.is_as_set(url, token):
            raise ProviderError("unexpected", "the provider did not store the webhook as it was asked to")
        return stored

    def find_webhook(self) -> Webhook | None:
        """What is set now; None where nothing is."""
        return evolution_answers.webhook(self._server.call("GET", self._of("webhook/find"), again=True))

    def version(self) -> Version:
        """`GET /`, which is public and slow. ProviderError for a version that we do not speak."""
        return _shaped(evolution_answers.version(self._server.call("GET", "", again=True)), "/")

    def _of(self, route: str) -> str:
        # The name is in the path alone: as a query parameter it would override it (contract 1.16).
        return f"{route}/{self._name}"

    def _log_out(self, total_s: float) -> None:
        total_s = min(total_s, self._call_timeout_s)
        http_status, value = 0, None
        try:
            http_status, value = self._server.ask("DELETE", self._of("instance/logout"), total_s=total_s)
            self._server.value(http_status, value)
        except ProviderError as error:
            said = "; ".join(evolution_outcomes.error_texts(value))
            if (http_status == 400 and _WAS_CLOSED.search(said)) or error.halt_reason == "disconnected":
                return
            # 2.3.7 can answer 500 although it took place (contract 4).
            took_place = error.kind == "unreachable" and _is_closed(self._state(total_s))
            if not took_place:
                raise

    def _state(self, total_s: float) -> ChannelState:
        total_s = min(total_s, STATE_TIMEOUT_S, self._call_timeout_s)
        try:
            http_status, value = self._server.ask(
                "GET", self._of("instance/connectionState"), again=True, total_s=total_s
            )
            answer = self._server.value(http_status, value)
        except ProviderError as error:
            if error.halt_reason == "disconnected":
                return ChannelState(False, error.detail, exists=False)
            return ChannelState(None, error.detail, error.halt_reason)
        return evolution_answers.channel_state(answer)

    def _waits_for(self, condition: Callable[[ChannelState], bool], within_s: float) -> bool:
        """Whether the state came to be so in time; asked at least once."""
        ends_at = clock.monotonic() + within_s
        pause = threading.Event()
        while True:
            if condition(self._state(max(POLL_S, ends_at - clock.monotonic()))):
                return True
            if clock.monotonic() + POLL_S > ends_at:
                return False
            pause.wait(POLL_S)


def _is_closed(state: ChannelState) -> bool:
    return state.exists is False or state.detail == "close"


def _digits(number: str) -> str:
    if not _DIGITS.fullmatch(number):
        raise ValueError("the number must be 7 to 15 digits with its country code")
    return number


def _shaped(value: T | None, what: str) -> T:
    if value is None:
        raise ProviderError("unexpected", f"the answer to {what} has a shape that we do not know")
    return value
