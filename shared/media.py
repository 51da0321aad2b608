"""Files at addresses that strangers chose: what a webhook says is a voice message (reliability S12).

The name is looked up once, all its addresses must be public, and one of those very addresses is connected to,
with the name in Host and TLS. No redirects, no proxies, 10 MB, 10 s, audio or image.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpcore

from shared import clock
from shared.exchanges import Exchanges, FailedExchange
from shared.providers.transport import BoundedBackend
from shared.public_hosts import fault_of, is_public

MAX_BYTES = 10 * 1024 * 1024
TOTAL_S = 10.0
AUDIO_KINDS = {
    "audio/ogg": "ogg",
    "audio/opus": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/m4a": "m4a",
    "audio/x-m4a": "m4a",
    "audio/aac": "m4a",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/webm": "webm",
    "audio/flac": "flac",
}
Resolve = Callable[[str, int], Sequence[str]]


def look_up(host: str, port: int) -> list[str]:
    """All addresses of a name, as the system answers. OSError where there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True)
class Rules:
    """What may be asked. The defaults are production's, and no setting loosens them: a test or a simulation
    that fetches from its own loopback server hands over others."""

    fault_of: Callable[[str], str | None] = fault_of
    may_reach: Callable[[str], bool] = is_public
    resolve: Resolve = look_up


def only_from(hosts: tuple[str, ...]) -> Rules:
    """The rules with an allowlist of hosts, and what lies below them; none: any public host."""
    return Rules(fault_of=lambda url: fault_of(url, hosts=hosts))


class Media:
    """Fetches files. Threads may share it; close it at the end."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        # No connection is kept: each fetch looks its name up anew, and connects to what it found.
        self._exchanges = Exchanges(backend=_Checked(self._rules), keepalive_s=0.0)

    def fetch(self, url: str, *, ends_at: float) -> tuple[bytes, str]:
        """The file and its media type, by `ends_at` (monotonic seconds) and in 10 s. FailedExchange."""
        if (fault := self._rules.fault_of(url)) is not None:
            raise FailedExchange(f"the file: {fault}")
        request = self._exchanges.request("GET", url)
        body, media_type = self._exchanges.body_of(
            request, ends_at=min(ends_at, clock.monotonic() + TOTAL_S), limit=MAX_BYTES
        )
        if not body:
            raise FailedExchange("the file: empty")
        if media_type.startswith(("audio/", "image/")):
            return body, media_type
        # Storages that were told no type; what people record is Ogg.
        if media_type in ("", "application/octet-stream", "application/ogg") and body.startswith(b"OggS"):
            return body, "audio/ogg"
        raise FailedExchange("the file: neither audio nor image")

    def close(self) -> None:
        """Closes every connection."""
        self._exchanges.close()


class _Checked(BoundedBackend):
    """Connects to an address that was looked at, never to a name: between looking and connecting the name
    would be looked up again, and may answer otherwise (rebinding)."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._rules = rules

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._rules.resolve(host, port)
        except (OSError, UnicodeError):
            raise FailedExchange("the file: its host is not known") from None
        # One that is not public spoils them all: whoever controls the name would only have to try again.
        if not addresses or not all(self._rules.may_reach(each) for each in addresses):
            raise FailedExchange("the file: its host is not on the public Internet")
        for address in addresses[:-1]:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return super().connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise FailedExchange("the file: its host is not on the public Internet")


def extension_of(media_type: str) -> str:
    """A file's extension for an audio's media type; people's voice messages are Ogg."""
    return AUDIO_KINDS.get(media_type, "ogg")
