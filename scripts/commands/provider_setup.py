"""What is done at a provider when a number joins or its webhook secret changes: for `instance` and `up`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from shared import instances, lifecycle, webhook_auth
from shared.db import Database
from shared.errors import RoletaError
from shared.provider_side import ProviderSide
from shared.providers.base import ProviderError
from shared.providers.transport import open_http
from shared.providers.zapi import ZApiClient
from shared.settings import Settings

Say = Callable[[str], None]
WEBHOOK_PATH = "/functions/v1/webhook-zapi/"
NO_PUBLIC_URL = (
    "ROLETA_PUBLIC_URL is not set, so no webhook was set: once Z-API can reach the gateway at an https "
    "address, set it and run `roleta instance rotate-webhook`"
)


@dataclass(frozen=True)
class Checked:
    """What the provider said of a number before it was added. `problem` None: it may be added."""

    phone_number: str | None = field(repr=False)
    connected: bool | None
    refusal: str | None
    problem: str | None


def client_of(secrets: instances.Credentials, base_url: str) -> ZApiClient:
    """A client for these secrets; RoletaError names the one that cannot be a credential, never its value."""
    try:
        return ZApiClient.from_instance(secrets.as_row(), base_url=base_url)
    except ValueError as problem:
        raise RoletaError(str(problem)) from None


def check(client: ZApiClient) -> Checked:
    """GET /status and /device: is it connected, and which phone is paired (zapi contract 4.1)."""
    state = client.state()
    if state.account_refused:
        problem = f"Z-API refuses it: {state.detail or state.account_refused}"
        return Checked(None, None, state.account_refused, problem)
    if not state.connected:
        said = f" ({state.detail})" if state.detail else ""
        known = "is not connected: pair the phone first" if state.connected is False else "cannot be checked"
        return Checked(None, state.connected, None, f"the number {known}{said}")
    try:
        phone = client.device().phone
    except ProviderError as problem:
        return Checked(None, True, problem.halt_reason, f"its phone cannot be read: {problem.detail}")
    return Checked(phone, True, None, None if phone else "Z-API names no phone for it")


def stop_provider_queue(client: ZApiClient, say: Say) -> bool:
    """Tells Z-API not to keep messages for a disconnected phone: the pace is ours. False where it refused."""
    try:
        client.set_queueing_while_disconnected(False)
    except ProviderError as problem:
        say(f"queuing while disconnected could not be turned off: {problem.detail}")
        return False
    say("queuing while disconnected is off: no old message bursts out at a reconnection")
    return True


def rotate_webhook(
    db: Database, client: ZApiClient, instance_id: UUID, public_url: str | None, *, by: str, say: Say
) -> bool:
    """A new secret in the webhook address, here and at Z-API. False where it was not set there, with the
    reason said; then what the provider uses is accepted, be it the address before or the new one."""
    if public_url is None:
        say(NO_PUBLIC_URL)
        return False
    if not public_url.startswith("https://"):
        say("ROLETA_PUBLIC_URL is not https, which Z-API asks for; trying all the same")

    def tell(token: str) -> None:
        client.set_every_webhook(public_url.rstrip("/") + WEBHOOK_PATH + token, notify_sent_by_me=True)

    if not _rotated(db, instance_id, tell, by=by, say=say):
        return False
    say(f"all webhooks, and what is sent from the phone itself, go to {public_url}{WEBHOOK_PATH}…")
    return True


def rotate_evolution_webhook(
    db: Database, settings: Settings, instance_id: UUID, *, by: str, say: Say
) -> bool:
    """A new secret in the webhook's header, here and at Evolution API; as rotate_webhook where it fails."""
    name = instances.evolution_name(db, instance_id)
    with open_http() as http:
        there = ProviderSide(db, settings, http)
        there.check_settings()
        # Connecting sets a secret too.
        with lifecycle.alone(db, instance_id, "rotate-webhook"):
            if not _rotated(db, instance_id, lambda token: there.tell_webhook(name, token), by=by, say=say):
                return False
        say(f"the events of {name} go to {there.webhook_url}, with a new secret in their header")
    return True


def _rotated(db: Database, instance_id: UUID, tell: Callable[[str], None], *, by: str, say: Say) -> bool:
    token = webhook_auth.new_token()
    token_hash = webhook_auth.hash_token(token)
    instances.begin_webhook_rotation(db, instance_id, token_hash, by=by)
    try:
        tell(token)
    except ProviderError as problem:
        # Whether it took the new one all the same cannot be told: the attempt stays open.
        say(
            f"the webhooks could not be set: {problem.detail}; every secret that the provider may be using "
            "is accepted: run `roleta instance rotate-webhook` again, later"
        )
        return False
    if not instances.end_webhook_rotation(db, instance_id, token_hash, by=by):
        say(
            "another rotation of this number ended meanwhile, so which secret the provider took last is not "
            "known; both are accepted: run `roleta instance rotate-webhook` again"
        )
        return False
    return True
