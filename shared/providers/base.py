"""What every provider promises: content in, an attempt's outcome out; webhook payloads become ProviderEvent.

No provider's own wording lives here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol, Self, get_args

from shared.errors import RoletaError
from shared.public_hosts import is_public_url


class Outcome(StrEnum):
    """What one attempt may conclude. A timeout is never NOT_SENT: neither provider takes an idempotency
    key."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


ContentKind = Literal["text", "audio", "image", "document"]
EventKind = Literal["message", "delivery", "status", "connected", "disconnected", "other"]
Receipt = Literal["sent", "delivered", "read", "failed"]
ErrorClass = Literal[
    "restriction", "contact", "transient", "queue", "media", "configuration", "permanent", "format"
]
ErrorKind = Literal["account_refused", "unreachable", "unexpected"]
# Who made a message leave a number: a send over the API, perhaps ours; a hand on the phone; it is not said.
SentBy = Literal["api", "hand", "unsaid"]
TraceSource = Literal["provider_queue", "provider_search"]


@dataclass(frozen=True)
class AttemptReport:
    """One attempt at a provider, as `record_attempt` stores it.

    `halt_reason` (a short constant) means that the instance, not the message, was refused and must stop;
    `detail` is scrubbed of secrets and phones and at most 200 characters; `retry_after_s` comes with a rate
    limit.
    """

    outcome: Outcome
    provider_message_id: str | None = None
    provider_queue_id: str | None = None
    http_status: int | None = None
    detail: str = ""
    halt_reason: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Content:
    """What one outbox message carries; `text` is the caption where `kind` is image or document."""

    kind: ContentKind
    text: str | None = None
    media_url: str | None = None
    file_name: str | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the outbox's `content` column. ValueError says which field must change, never its value."""
        if not isinstance(value, Mapping):
            raise ValueError("content must be a JSON object")
        if unknown := sorted(set(value) - {"kind", "text", "media_url", "file_name"}, key=str):
            raise ValueError(f"content has unknown fields: {', '.join(map(str, unknown))[:100]}")
        for name in ("kind", "text", "media_url", "file_name"):
            if value.get(name) is not None and not isinstance(value[name], str):
                raise ValueError(f"content.{name} must be a string")
        if value.get("kind") not in get_args(ContentKind):
            raise ValueError(f"content.kind must be one of {', '.join(get_args(ContentKind))}")
        content = cls(**value)
        content.check()
        return content

    def to_json(self) -> dict[str, str]:
        """The same content without its empty fields; `from_json` reads it back."""
        fields = {
            "kind": self.kind,
            "text": self.text,
            "media_url": self.media_url,
            "file_name": self.file_name,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def check(self) -> None:
        """Raise ValueError where a provider could not make a message of this."""
        if self.kind == "text":
            if not (self.text or "").strip():
                raise ValueError("content.text must not be empty when kind is text")
            if self.media_url is not None:
                raise ValueError("content.media_url is not allowed when kind is text")
        elif self.media_url is None or not self.media_url.startswith(("https://", "http://", "data:")):
            raise ValueError(f"content.media_url must be a URL or a data URI when kind is {self.kind}")
        elif not self.media_url.startswith("data:") and not is_public_url(self.media_url):
            # The provider fetches it: a server of Evolution may stand inside somebody's network.
            raise ValueError("content.media_url must be at a host of the public Internet")
        if self.kind == "audio" and self.text is not None:
            raise ValueError("content.text is not allowed when kind is audio: an audio has no caption")
        if self.kind == "document" and not self.extension():
            raise ValueError("content.file_name must end with an extension when kind is document")

    def extension(self) -> str | None:
        """The document's extension, lower case and without its dot; None where there is none to trust."""
        name, dot, extension = (self.file_name or "").rpartition(".")
        usable = bool(name and dot) and extension.isascii() and extension.isalnum() and len(extension) <= 8
        return extension.lower() if usable else None


@dataclass(frozen=True)
class ChannelState:
    """Whether a number is connected now; `connected` None = could not tell.

    `account_refused` is a halt reason: the provider refuses the account, so nothing about the phone is known.
    `exists`: whether the provider knows the instance at all; None = it did not say.
    """

    connected: bool | None
    detail: str
    account_refused: str | None = None
    exists: bool | None = None


class ProviderError(RoletaError):
    """A call other than a send failed. `kind` says who must act; `detail` is scrubbed and safe to show."""

    def __init__(self, kind: ErrorKind, detail: str, halt_reason: str | None = None) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.halt_reason = halt_reason


@dataclass(frozen=True)
class Sought:
    """A message of which we cannot tell whether it left: to whom, and in what time it would have."""

    phone: str = field(repr=False)
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Trace:
    """What a provider itself has of a message from this number: waiting in its queue, or gone."""

    provider_message_id: str
    phone: str = field(repr=False)
    sent_by: SentBy
    text: str | None = field(default=None, repr=False)
    message_kind: str | None = None
    provider_queue_id: str | None = None
    happened_at: datetime | None = None


class Provider(Protocol):
    """One instance at one provider."""

    @property
    def timeout_s(self) -> float:
        """The longest that `send` may take once it has begun to write, in seconds."""

    def send(self, phone: str, content: Content, *, deadline: float) -> AttemptReport:
        """Try once, never again. Does not start to write after `deadline` (shared.clock.monotonic()); never
        raises for what the network or the provider did."""

    def state(self) -> ChannelState:
        """Ask the provider whether the number is connected. Never raises."""

    @property
    def traces_from(self) -> TraceSource:
        """What `traces` looks at: what still waits at the provider, or what it stored as sent."""

    def traces(self, sought: Sequence[Sought]) -> list[Trace]:
        """What the provider has to these people (in any form of their phones). Whether a trace is the message
        is not decided here. ProviderError where it could not be asked."""

    def withdraw(self, queue_id: str) -> None:
        """Take one message out of the provider's queue; one that is gone is no error. ProviderError where it
        has no queue, or could not be asked."""

    def close(self) -> None:
        """Release the connections that this object opened itself."""


@dataclass(frozen=True)
class ProviderEvent:
    """One webhook payload as typed facts; whatever had an odd type is None, so nothing here ever raises.

    `event_key` deduplicates *within one instance*: two of our own numbers share the id of a message between
    them. `receipt` None on a status or delivery event: it says nothing that may move a delivery state.
    `sent_by` where it tells that one message left our number to one person.
    """

    kind: EventKind
    event_key: str
    instance_external_id: str | None = None
    provider_type: str | None = None
    phone: str | None = None
    chat_lid: str | None = None
    participant_phone: str | None = None
    sender_name: str | None = None
    connected_phone: str | None = None
    from_me: bool = False
    from_api: bool = False
    is_group: bool = False
    is_newsletter: bool = False
    is_broadcast: bool = False
    is_status_reply: bool = False
    is_edit: bool = False
    is_waiting: bool = False
    sent_by: SentBy | None = None
    message_kind: str | None = None
    text: str | None = None
    media_url: str | None = None
    media_type: str | None = None
    reference_message_id: str | None = None
    provider_message_ids: tuple[str, ...] = ()
    provider_queue_id: str | None = None
    receipt: Receipt | None = None
    error: str | None = None
    error_class: ErrorClass | None = None
    happened_at: datetime | None = None
