"""The answers of Evolution API's calls other than sends, as typed values (evolution contract 4, 6). No
network here.

QR and pairing codes let somebody take over a number: they appear in no repr.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.providers.base import ChannelState, ProviderError
from shared.providers.evolution_messages import phone_of
from shared.providers.facts import text

Profile = Literal["2.3.6", "2.3.7", "2.4"]

WEBHOOK_HEADER = "x-roleta-webhook"
# What is used, and no more (contract 10.9).
WEBHOOK_EVENTS = (
    "QRCODE_UPDATED",
    "CONNECTION_UPDATE",
    "MESSAGES_UPSERT",
    "MESSAGES_UPDATE",
    "SEND_MESSAGE",
    "LOGOUT_INSTANCE",
    "STATUS_INSTANCE",
    "REMOVE_INSTANCE",
)

# WhatsApp's codes are four short parts of base64 and commas, and what is typed has 8 characters (contract 4).
_CODE = re.compile(r"[!-~]{1,1500}")
_TYPED = re.compile(r"[!-~]{1,32}")
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?!\d)")


class NameTaken(ProviderError):
    """An instance of this name exists at the provider."""

    def __init__(self) -> None:
        super().__init__("unexpected", "an instance of this name exists already")


@dataclass(frozen=True)
class Created:
    """A new instance; `instance_id` is the provider's own id of it."""

    instance_id: str | None


@dataclass(frozen=True)
class Qr:
    """What the phone scans (`code`, to be rendered) or types (`pairing_code`, 8 characters).

    `count` counts codes since the server started, not in this pairing (contract 1.8).
    """

    code: str = field(repr=False)
    pairing_code: str | None = field(repr=False)
    count: int | None


@dataclass(frozen=True)
class Open:
    """The number is connected: there is nothing to scan."""


@dataclass(frozen=True)
class Pending:
    """No code yet, or never: both look the same (contract 1.1). Ask again in two or three seconds."""


@dataclass(frozen=True)
class Version:
    """The server's version as it says it, and the profile whose behaviour it shows (contract 8.1)."""

    text: str
    profile: Profile


@dataclass(frozen=True)
class Webhook:
    """Where an instance's events go. The headers hold our own secret."""

    url: str
    enabled: bool
    events: tuple[str, ...]
    by_events: bool
    headers: Mapping[str, str] = field(repr=False)

    def is_as_set(self, url: str, token: str) -> bool:
        """Whether it is what `set_webhook(url, token)` makes of it."""
        ours = next((value for name, value in self.headers.items() if name.lower() == WEBHOOK_HEADER), "")
        return (
            (self.url, self.enabled, self.by_events) == (url, True, False)
            and set(self.events) == set(WEBHOOK_EVENTS)
            and hmac.compare_digest(ours.encode("utf-8", "replace"), token.encode("utf-8", "replace"))
        )


# What `detail` says of an instance that has a row at the server and nothing in its memory (contract 4).
NO_STATE = "the answer does not say"


def channel_state(value: Any) -> ChannelState:
    """A 200 of connectionState. Without `state` the row is there and nothing in memory: we cannot tell
    (contract 4)."""
    instance = value.get("instance") if isinstance(value, Mapping) else None
    if not isinstance(instance, Mapping):
        return ChannelState(None, "the answer has a shape that we do not know")
    state = text(instance.get("state"))
    if state is None:
        return ChannelState(None, NO_STATE, exists=True)
    if state not in {"open", "connecting", "close"}:
        return ChannelState(None, f"a state that we do not know: {state[:40]}", exists=True)
    return ChannelState(state == "open", state, exists=True)


def owner(value: Any, instance_name: str) -> str | None:
    """The phone of one instance in an answer of fetchInstances, whose tokens are left behind."""
    for row in value if isinstance(value, list) else []:
        if isinstance(row, Mapping) and row.get("name") == instance_name:
            return phone_of(row.get("ownerJid"))
    return None


def pairing(value: Any) -> Qr | Open | Pending:
    """An answer to connect or restart. ProviderError for a shape that we do not know."""
    if not isinstance(value, Mapping):
        raise ProviderError("unexpected", "the answer has a shape that we do not know")
    instance = value.get("instance")
    if isinstance(instance, Mapping):
        return Open() if instance.get("state") == "open" else Pending()
    count = value.get("count")
    whole = count if isinstance(count, int) and not isinstance(count, bool) else None
    if code := scannable(value.get("code")):
        return Qr(code, typeable(value.get("pairingCode")), whole)
    return Pending()


def scannable(value: Any) -> str | None:
    """A code that a QR code can hold. Anything else is as good as none: to show it would fail."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def typeable(value: Any) -> str | None:
    """A code that somebody can type."""
    return value if isinstance(value, str) and _TYPED.fullmatch(value) else None


def created(value: Any) -> Created | None:
    """A 201 of create; `hash`, the instance's token, is left behind. None for another shape."""
    instance = value.get("instance") if isinstance(value, Mapping) else None
    return Created(text(instance.get("instanceId"))) if isinstance(instance, Mapping) else None


def version(value: Any) -> Version | None:
    """What `GET /` says; None where there is no version in it. ProviderError for one that we do not speak.

    Versions between the known ones behave as the one before them, as far as is known.
    """
    said = text(value.get("version")) if isinstance(value, Mapping) else None
    found = _VERSION.match((said or "").removeprefix("v"))
    if said is None or found is None:
        return None
    number = tuple(int(part) for part in found.groups())
    if number[0] != 2:
        raise ProviderError(
            "unexpected",
            f"Evolution API {said[:20]} is not supported: install 2.3.7",
            "unsupported_version",
        )
    if number >= (2, 4, 0):
        return Version(said[:40], "2.4")
    return Version(said[:40], "2.3.7" if number >= (2, 3, 7) else "2.3.6")


def webhook(value: Any) -> Webhook | None:
    """What webhook/find and webhook/set answer; None where nothing is set, or for another shape."""
    if not isinstance(value, Mapping) or not isinstance(value.get("url"), str):
        return None
    events, headers = value.get("events"), value.get("headers")
    return Webhook(
        url=value["url"],
        enabled=value.get("enabled") is True,
        events=tuple(name for name in events if isinstance(name, str)) if isinstance(events, list) else (),
        by_events=value.get("webhookByEvents") is True,
        headers={name: entry for name, entry in headers.items() if isinstance(entry, str)}
        if isinstance(headers, Mapping)
        else {},
    )
