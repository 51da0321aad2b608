"""What is done at Evolution API for one connection: made, listened to, led to a code, logged out, removed.

Each step starts from what the provider has now, so whatever failed in between is continued by asking again.
Whoever calls these, except `state`, holds the number's lock (shared/lifecycle).
"""

import threading
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from shared import instances, log, patience, webhook_auth
from shared.db import Calls
from shared.errors import SettingsError
from shared.providers.base import ChannelState, ErrorKind, ProviderError
from shared.providers.evolution import EvolutionClient
from shared.providers.evolution_answers import (
    NO_STATE,
    WEBHOOK_HEADER,
    NameTaken,
    Open,
    Pending,
    Qr,
    Webhook,
)
from shared.settings import Settings

WEBHOOK_PATH = "/functions/v1/webhook-evolution"
# A phone that has just scanned passes through "close" (contract 7), an instance that was just made through no
# state at all, and a server without network flips many times a second (contract 1.14): what is done about any
# of them at once does harm.
SETTLES_WITHIN_S = 1.5
STEADY = 3
CLOSES_WITHIN_S = 3.0
REMNANT_GOES_WITHIN_S = 6.0
POLL_S = 0.25
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - where a gateway may listen, and nobody can be reached
ATTEMPTS = 3


class ProviderSide:
    """One Evolution API server, and what our database is to know of it. Threads may share it."""

    def __init__(self, db: Calls, settings: Settings, http: httpx.Client) -> None:
        self._db = db
        self._settings = settings
        self._http = http

    @property
    def webhook_url(self) -> str:
        """Where the provider tells us about a number. The secret is in a header, never here."""
        settings = self._settings
        host = f"[{settings.gateway_host}]" if ":" in settings.gateway_host else settings.gateway_host
        return (settings.public_base_url or f"http://{host}:{settings.gateway_port}") + WEBHOOK_PATH

    def check_settings(self) -> None:
        """SettingsError where there is no provider to ask, or where it could tell us nothing: a number that
        nobody hears looks well, and no stop and no end would ever arrive."""
        self._client("check")
        there = urlsplit(self._settings.evolution_url or "").hostname or ""
        here = self._settings.gateway_host
        is_near = here not in _EVERYWHERE and not _is_loopback(here)
        if self._settings.public_base_url is None and not is_near and not _is_loopback(there):
            raise SettingsError(
                "ROLETA_PUBLIC_URL must be set to the gateway's address as the Evolution API server "
                "reaches it: it is on another machine"
            )

    def state(self, name: str) -> ChannelState:
        """What the provider says now; asks only. While it is silent, few wait for it: to the others, who are
        not kept, it is as silent."""
        return self._asked(self._client(name))

    def is_open(self, instance_id: UUID, name: str) -> bool:
        """Asks, and stores a yes. ProviderError where the provider does not tell."""
        state = self.state(name)
        if state.connected is None and not state.exists:
            raise unclear(state)
        if state.connected:
            self.record(instance_id, True)
        return bool(state.connected)

    def learn_phone(self, instance_id: UUID, name: str) -> None:
        """Stores whose phone an open number is. Its event tells too; this is for where events are lost."""
        phone = self._client(name).phone()
        if phone is not None:
            self._db.call(
                "messaging.set_phone_number",
                p_instance_id=instance_id,
                p_phone_number=phone,
                p_by="the provider was asked",
            )

    def record(self, instance_id: UUID, connected: bool) -> None:
        """Stores what the provider said, whichever way it has changed."""
        self._db.call(
            "messaging.record_health",
            p_instance_id=instance_id,
            p_connected=connected,
            p_by="the provider was asked",
        )

    def lead(self, instance_id: UUID, name: str, *, number: str | None = None, begins: bool) -> bool:
        """To a code to scan, which is stored, or to a number that is open: then True, and that is stored.

        `begins`: a person asks for a new pairing, which gets a new webhook secret; else a code is renewed.
        """
        client = self._client(name)
        state, was_made, is_restless = self._there(client)
        if state.connected:
            self.record(instance_id, True)
            if begins:
                self._listen_still(instance_id, client)
            return True
        if number is not None and state.detail == "connecting":
            client.logout()  # a code to type is only given to who begins (contract 4)
            _waits_for_close(client)
        if begins or was_made:
            self._listen(instance_id, client)
        else:
            self._listen_still(instance_id, client)  # whoever began may have been killed before that
        if is_restless:
            # It is connecting as it is (contract 1.14), or was scanned: one more connect would open a second
            # socket beside the first, which nothing ends (contract 1.13).
            return False
        match client.connect(number):
            case Open():
                self.record(instance_id, True)
                return True
            case Qr(code, pairing_code):
                self._db.call(
                    "messaging.show_qr", p_instance_id=instance_id, p_code=code, p_pairing_code=pairing_code
                )
            case Pending():
                pass  # the event brings it, or the next look
        return False

    def stop(self, instance_id: UUID, name: str) -> None:
        """Ends what an unfinished pairing left at the provider, which would connect for ever (contract 9).
        A number that was scanned at the last moment is stored as open instead."""
        client = self._client(name)
        state, _ = self._watched(client)
        if state.connected:
            self.record(instance_id, True)
        elif state.exists:
            client.delete()
        elif state.exists is None:
            raise unclear(state)
        self._db.call("messaging.pairing_stopped", p_instance_id=instance_id)

    def remove(self, instance_id: UUID, name: str) -> None:
        """Removes what an ended connection left at the provider; nothing where none did."""
        if self._db.call_one("messaging.is_orphan", p_instance_id=instance_id)["is_orphan"]:
            client = self._client(name)
            state = self._asked(client)
            if state.exists is None:
                raise unclear(state)  # each step of a delete would wait for it anew
            client.delete()
            self._db.call("messaging.orphan_removed", p_instance_id=instance_id)

    def _there(self, client: EvolutionClient) -> tuple[ChannelState, bool, bool]:
        """The instance, made where it is missing; whether it was, and whether its state goes to and fro. Ours
        by its name, whoever made it; what a race of two creates left is made anew (contract 1.12)."""
        was_made = has_tried = False
        failure = ProviderError("unexpected", "the instance does not come to be: look at the server")
        for _ in range(ATTEMPTS):
            state, is_restless = (client.state(), False) if has_tried else self._watched(client)
            # A state that a later version of the server may have is no remnant: a phone may be paired there.
            if state.exists is None or (state.connected is None and not is_remnant(state)):
                raise unclear(state)
            if state.connected is not None and state.exists:
                return state, was_made, is_restless
            has_tried = True
            try:
                if state.exists:
                    client.delete(within_s=REMNANT_GOES_WITHIN_S)
                client.create()
                was_made = True
            except NameTaken:
                log.get().info("somebody else makes this instance too", provider_instance=client)
            except ProviderError as error:
                if error.kind != "unexpected" or error.halt_reason is not None:
                    raise
                failure = error
        raise failure

    def tell_webhook(self, name: str, token: str) -> None:
        """The provider sends this number's events here, with this secret, from now on; ProviderError where it
        does not say so."""
        self._client(name).set_webhook(self.webhook_url, token)

    def _listen(self, instance_id: UUID, client: EvolutionClient) -> None:
        token = webhook_auth.new_token()
        token_hash = webhook_auth.hash_token(token)
        # Ours first: what the provider uses now stays live too, so no event falls between the two.
        instances.begin_webhook_rotation(self._db, instance_id, token_hash, by="connect")
        client.set_webhook(self.webhook_url, token)
        instances.end_webhook_rotation(self._db, instance_id, token_hash, by="connect")

    def _listen_still(self, instance_id: UUID, client: EvolutionClient) -> None:
        """As _listen, unless that is how it is; a number that is open stays open whatever becomes of this."""
        try:
            if not self._is_heard(instance_id, client.find_webhook()):
                self._listen(instance_id, client)
        except ProviderError as error:
            log.get().warning("no webhook could be set", provider_instance=client, detail=error.detail)

    def _is_heard(self, instance_id: UUID, webhook: Webhook | None) -> bool:
        token = webhook.headers.get(WEBHOOK_HEADER) if webhook else None
        if webhook is None or token is None or not webhook.is_as_set(self.webhook_url, token):
            return False
        rows = self._db.call("messaging.webhook_connection", p_token_hash=webhook_auth.hash_token(token))
        return any(str(row["instance_id"]) == str(instance_id) for row in rows)

    def _watched(self, client: EvolutionClient) -> tuple[ChannelState, bool]:
        """The state after a moment, where it may be passing; and whether it went to and fro meanwhile."""
        pause, words = threading.Event(), list[str]()
        while True:
            state = self._asked(client)
            words.append(state.detail)
            if not state.exists or state.connected or words == ["connecting"] * STEADY:
                return state, False
            if len(words) * POLL_S > SETTLES_WITHIN_S:
                return state, "connecting" in words
            pause.wait(POLL_S)

    def _asked(self, client: EvolutionClient) -> ChannelState:
        server = patience.with_server(self._settings.evolution_url or "")
        state = server.ask(client.state, is_silence=_is_silent)
        return state or ChannelState(None, "Evolution API did not answer a moment ago: try again in a minute")

    def _client(self, name: str) -> EvolutionClient:
        try:
            return EvolutionClient(
                name,
                self._settings.evolution_key or "",
                base_url=self._settings.evolution_url or "",
                http=self._http,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from None


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def is_remnant(state: ChannelState) -> bool:
    """Whether the provider has no more than a row of the number: nothing that is, or could be, connected."""
    return state.exists is True and state.detail == NO_STATE


def unclear(state: ChannelState) -> ProviderError:
    """The error of a provider that does not tell how a number is."""
    kind: ErrorKind = "account_refused" if state.account_refused else "unreachable"
    return ProviderError(kind, state.detail, state.account_refused)


def _is_silent(state: ChannelState) -> bool:
    return state.exists is None and state.account_refused is None


def _waits_for_close(client: EvolutionClient) -> None:
    pause = threading.Event()
    for _ in range(round(CLOSES_WITHIN_S / POLL_S)):
        if client.state().detail == "close":
            return
        pause.wait(POLL_S)
