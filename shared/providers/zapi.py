"""Z-API's client for one instance. What an answer to a send means is decided in zapi_outcomes."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from shared import clock, phones
from shared.errors import SettingsError
from shared.providers import verdicts, zapi_account, zapi_outcomes
from shared.providers.base import (
    AttemptReport,
    ChannelState,
    Content,
    ErrorKind,
    Outcome,
    ProviderError,
    Sought,
    Trace,
    TraceSource,
)
from shared.providers.transport import DeadlinePassedError, exchange, open_http, read_answer
from shared.providers.zapi_account import Account, Device, PhoneCheck, QueueEntry, WebhookKind
from shared.settings import Settings

BASE_URL = "https://api.z-api.io"
SEND_TIMEOUT_S = 20.0
CALL_TIMEOUT_S = 10.0
# Seconds, 1 to 15 (zapi contract 2.2). The pace is ours, so Z-API gets its minimum; delayTyping stays off.
DELAY_MESSAGE_S = 1
QUEUE_PAGE_SIZE = 30
# Twice Z-API's own limit of 1,000 held messages: a listing that never ends is cut there.
MAX_QUEUE_PAGES = 67

_PRINTABLE = re.compile(r"[!-~]+")
_MAX_PHONE = 64

T = TypeVar("T")

_Answer = tuple[int, bytes, httpx.Headers]


class ZApiClient:
    """One Z-API instance: sends, state, queue, webhooks (a Provider). Thread-safe as far as httpx.Client
    is.

    Credentials are plain text here: whoever reads the row decrypts them. They appear in no repr, log or
    exception.
    """

    def __init__(
        self,
        instance_id: str,
        token: str,
        client_token: str | None = None,
        *,
        base_url: str = BASE_URL,
        http: httpx.Client | None = None,
        timeout_s: float = SEND_TIMEOUT_S,
        call_timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """`http` from `transport.open_http()` is shared between instances and stays open on `close`;
        without it the client opens its own. ValueError names the field that cannot be a credential, never
        its value."""
        named = {"instance id": instance_id, "token": token, "Client-Token": client_token or None}
        for name, value in named.items():
            if value is not None and not _PRINTABLE.fullmatch(value):
                raise ValueError(f"the Z-API {name} is empty or has characters that no credential has")
        self._instance_id, self._token, self._client_token = instance_id, token, client_token or None
        path = f"/instances/{quote(instance_id, safe='')}/token/{quote(token, safe='')}/"
        self._url = base_url.rstrip("/") + path
        self._own_http = http is None
        self._http = http or open_http()
        self._timeout_s = timeout_s
        self._call_timeout_s = call_timeout_s

    @classmethod
    def from_env(cls, settings: Settings, *, http: httpx.Client | None = None) -> Self:
        """The number of the ZAPI_* variables. SettingsError where they are not set."""
        if not settings.zapi_instance_id or not settings.zapi_token:
            raise SettingsError("ZAPI_INSTANCE_ID and ZAPI_TOKEN are not set: set them in .env")
        return cls(
            settings.zapi_instance_id,
            settings.zapi_token,
            settings.zapi_client_token,
            base_url=settings.zapi_base_url,
            http=http,
        )

    @classmethod
    def from_instance(
        cls,
        row: Mapping[str, Any],
        *,
        base_url: str = BASE_URL,
        http: httpx.Client | None = None,
        timeout_s: float = SEND_TIMEOUT_S,
    ) -> Self:
        """A row of whatsapp_instances (zapi_instance_id, zapi_token, zapi_client_token), decrypted by the
        caller."""
        return cls(
            row["zapi_instance_id"] or "",
            row["zapi_token"] or "",
            row.get("zapi_client_token"),
            base_url=base_url,
            http=http,
            timeout_s=timeout_s,
        )

    def __repr__(self) -> str:
        return f"<ZApiClient instance …{self._instance_id[-4:]}>"

    @property
    def timeout_s(self) -> float:
        """The longest a send may take once it has begun to write, in seconds."""
        return self._timeout_s

    def close(self) -> None:
        """Close the connections, unless they are shared."""
        if self._own_http:
            self._http.close()

    def send(self, phone: str, content: Content, *, deadline: float) -> AttemptReport:
        """One attempt (zapi contract 2). 200 means that Z-API queued it, nothing more."""
        try:
            action, body = _send_request(phone, content)
        except ValueError as error:
            return AttemptReport(
                Outcome.REJECTED, detail=zapi_outcomes.safe_detail(str(error), self._secrets)
            )
        answer = self._exchange("POST", action, body, deadline=deadline, total_s=self._timeout_s)
        if isinstance(answer, Exception):
            return verdicts.outcome_of_failure(answer)
        http_status, raw, headers = answer
        return zapi_outcomes.outcome_of_answer(
            http_status, raw, retry_after=headers.get("retry-after"), secrets=self._secrets
        )

    def state(self) -> ChannelState:
        """GET /status. A 200 without `connected` is unknown, not disconnected (zapi contract 4.1)."""
        try:
            # `error` is filled even when all is well, so it is no failure here (zapi contract 4.1).
            value = self._call("GET", "status", error_is_failure=False)
        except ProviderError as error:
            if error.halt_reason == "disconnected":
                return ChannelState(False, error.detail)
            return ChannelState(None, error.detail, error.halt_reason)
        fields = value if isinstance(value, dict) else {}
        connected = fields.get("connected")
        said = fields.get("error")
        detail = zapi_outcomes.safe_detail(said if isinstance(said, str) else "", self._secrets)
        if isinstance(connected, bool):
            return ChannelState(connected, detail)
        refused = zapi_outcomes.gate_refusal(200, value)
        return ChannelState(
            None, detail or "the answer does not say", None if refused == "disconnected" else refused
        )

    def device(self) -> Device:
        """The phone that is paired with this instance now."""
        return _shaped(zapi_account.device(self._call("GET", "device")), "device")

    def account(self) -> Account:
        """GET /me without the token in it: webhook URLs as stored there, due date, payment."""
        return _shaped(zapi_account.account(self._call("GET", "me")), "me")

    def phone_exists(self, phone: str) -> PhoneCheck:
        """Whether `phone` is on WhatsApp. Not to be asked before each send (zapi contract 2.6)."""
        value = self._call("GET", f"phone-exists/{quote(phone, safe='')}")
        return _shaped(zapi_account.phone_check(value), "phone-exists")

    def queue(self) -> Iterator[QueueEntry]:
        """What waits in Z-API's own queue, oldest page first (zapi contract 3)."""
        paging: dict[str, Any] = {}
        for _ in range(MAX_QUEUE_PAGES):
            value = self._call("POST", "queue", {"pageSize": QUEUE_PAGE_SIZE, **paging})
            entries, following = _shaped(zapi_account.queue_page(value), "queue")
            yield from entries
            if following is None:
                return
            paging = {"pagingState": following}

    def purge_queue(self) -> None:
        """Withdraw everything that waits in Z-API's queue. Before a reconnect: it would go out all at
        once."""
        self._call("DELETE", "queue")

    def purge_queued(self, queue_id: str) -> None:
        """Withdraw one message that waits there, by its zaapId."""
        self._call("DELETE", f"queue/{quote(queue_id, safe='')}")

    @property
    def traces_from(self) -> TraceSource:
        """Z-API can list what still waits in its queue; what has left it, it does not tell."""
        return "provider_queue"

    def traces(self, sought: Sequence[Sought]) -> list[Trace]:
        """What waits in the queue to these people; only a send over the API gets there (contract 3)."""
        people = {form for each in sought for form in phones.forms(each.phone)}
        return [
            Trace(
                provider_message_id=entry.message_id,
                phone=phone,
                sent_by="api",
                text=entry.text,
                provider_queue_id=entry.queue_id,
                happened_at=entry.created_at,
            )
            for entry in self.queue()
            if entry.message_id and (phone := phones.from_provider(entry.phone)) in people and phone
        ]

    def withdraw(self, queue_id: str) -> None:
        """DELETE queue/{zaapId}."""
        self.purge_queued(queue_id)

    def set_queueing_while_disconnected(self, allowed: bool) -> None:
        """Whether Z-API may keep messages for a disconnected phone (its default) and fire them at
        reconnection."""
        body = {"disableEnqueueWhenDisconnected": not allowed}
        _confirmed(self._call("PUT", "update-queue-settings", body), "success")

    def set_webhook(self, kind: WebhookKind, url: str) -> None:
        """Where one kind of event goes; Z-API refuses what is not HTTPS (zapi contract 4.4)."""
        _confirmed(self._call("PUT", zapi_account.WEBHOOK_ACTIONS[kind], {"value": url}), "value")

    def set_every_webhook(self, url: str, *, notify_sent_by_me: bool = True) -> None:
        """Where all events go, and whether what leaves the number by any way comes back as an event too."""
        body = {"value": url, "notifySentByMe": notify_sent_by_me}
        _confirmed(self._call("PUT", "update-every-webhooks", body), "value")

    def set_notify_sent_by_me(self, wanted: bool) -> None:
        """Whether what leaves the number comes back as a ReceivedCallback with `fromMe`."""
        _confirmed(self._call("PUT", "update-notify-sent-by-me", {"notifySentByMe": wanted}), "value")

    @property
    def _secrets(self) -> tuple[str | None, ...]:
        return self._token, self._client_token

    def _call(self, method: str, action: str, body: Any = None, *, error_is_failure: bool = True) -> Any:
        """A call other than a send: its parsed answer, or ProviderError."""
        answer = self._exchange(method, action, body, deadline=math.inf, total_s=self._call_timeout_s)
        if isinstance(answer, Exception):
            raise ProviderError("unreachable", f"Z-API did not answer ({type(answer).__name__})")
        http_status, raw, _ = answer
        value = verdicts.parse_body(raw)
        error = zapi_outcomes.error_text(value)
        if 200 <= http_status < 300 and not (error and error_is_failure):
            return value
        detail = zapi_outcomes.safe_detail(error or f"HTTP {http_status}", self._secrets)
        if halt_reason := zapi_outcomes.gate_refusal(http_status, value):
            raise ProviderError("account_refused", detail, halt_reason)
        kind: ErrorKind = "unreachable" if http_status >= 500 or http_status in {408, 429} else "unexpected"
        raise ProviderError(kind, detail)

    def _exchange(
        self, method: str, action: str, body: Any, *, deadline: float, total_s: float
    ) -> _Answer | Exception:
        """One request. Failures come back as values: an httpx exception holds the URL, hence the token, and
        must not become the context of anything that is raised."""
        if clock.monotonic() > deadline:
            return DeadlinePassedError()
        try:
            # ASCII JSON: a lone surrogate in a text must not raise while the request is being encoded.
            content = None if body is None else json.dumps(body).encode()
            headers = {"Client-Token": self._client_token} if self._client_token else {}
            if content is not None:
                headers["Content-Type"] = "application/json"
            request = self._http.build_request(method, self._url + action, content=content, headers=headers)
            with exchange(deadline=deadline, total_s=total_s):
                return read_answer(self._http, request)
        except (
            Exception
        ) as failure:  # whatever it is: an attempt that may have been written must end as UNKNOWN
            return failure


def _send_request(phone: str, content: Content) -> tuple[str, dict[str, Any]]:
    """The route and the body of one send (zapi contract 2.1). ValueError where no request can be made of
    it."""
    if not phone.strip() or len(phone) > _MAX_PHONE:
        raise ValueError("the phone is empty or too long")
    content.check()
    body: dict[str, Any] = {"phone": phone, "delayMessage": DELAY_MESSAGE_S}
    match content.kind:
        case "text":
            return "send-text", body | {"message": content.text}
        case "audio":
            return "send-audio", body | {"audio": content.media_url}
        case "image":
            caption = {"caption": content.text} if content.text else {}
            return "send-image", body | {"image": content.media_url} | caption
        case "document":
            named = {"fileName": content.file_name} | ({"caption": content.text} if content.text else {})
            return f"send-document/{content.extension()}", body | {"document": content.media_url} | named


def _shaped(value: T | None, action: str) -> T:
    if value is None:
        raise ProviderError("unexpected", f"the answer to {action} has a shape that we do not know")
    return value


def _confirmed(value: Any, field: str) -> None:
    if not isinstance(value, dict) or value.get(field) is not True:
        raise ProviderError("unexpected", f"the provider did not confirm the change ({field} is not true)")
