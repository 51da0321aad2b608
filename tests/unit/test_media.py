"""Addresses that strangers choose: none leads anywhere but to the public Internet (reliability S12)."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from shared import clock
from shared.exchanges import FailedExchange
from shared.media import Media, Rules, only_from
from shared.providers.base import Content
from shared.public_hosts import fault_of, is_public
from tests.agent_server import OGG
from tests.guard import sitecustomize

# Spellings of addresses that are not public, as a host may be written. The system's resolver reads most of
# them; the listener hears every one that gets through.
HOSTS = [
    # loopback, in every spelling
    *("127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "0177.0.0.1", "0x7f.0.0.1"),
    *("2130706433", "0x7f000001", "017700000001", "0", "00.0.0.0", "localhost", "LOCALHOST"),
    "0.0.0.0",  # noqa: S104 - nothing binds to it
    *("localhost.", "127.0.0.1.", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]"),
    # IPv4 inside IPv6: mapped, translated, compatible, 6to4, NAT64, Teredo
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[::ffff:10.0.0.1]"),
    *("[::ffff:169.254.169.254]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2002:0a00:0001::]"),
    *("[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::7f00:1]", "[2001:0:7f00:1::]"),
    *("[2001::f7f7:f7f7]", "[::a9fe:a9fe]"),
    # private, link-local, shared, reserved, metadata
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"),
    *("100.64.0.1", "100.127.255.254", "100.100.100.200", "169.254.169.254", "169.254.170.2"),
    *("169.254.0.1", "192.0.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("168.63.129.16", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376"),
    *("[fe80::1]", "[fe80::1%25lo]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]"),
    *("[2001:db8::1]", "[3fff::1]", "[100::1]", "[5f00::1]"),
]  # fmt: skip
PUBLIC = ["93.184.216.34", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450::1"]
# What is refused as it is written, before any name is looked up.
WRITTEN = [
    *("http://media.example/a.ogg", "ftp://media.example/a", "file:///etc/passwd", "data:audio/ogg,T2"),
    *("//media.example/a", "media.example/a", "", "https://", "https:///a", "https://[bad", "gopher://a.b/"),
    *("unix:///run/docker.sock", "http+unix://%2Frun%2Fdocker.sock/a", "https://%2Frun%2Fdocker.sock/a"),
    *("https://media.example@127.0.0.1/a", "https://127.0.0.1@media.example/a", "https://a:b@media.example/"),
    *("https://media.example\\@127.0.0.1/a", "https://127.0.0.1\\.media.example/a", "https://media.example\t/"),
    *("https://media.example:22/a", "https://media.example:80/a", "https://media.example:8443/a"),
    *("https://１２７.0.0.1/a", "https://ⓛocalhost/a", "https://127。0。0。1/a", "https://médiа.example/a"),
    *("https://media/a", "https://printer.local/a", "https://metadata.google.internal/a", "https://a.localhost"),
    *("https://media.example\r\nHost: x/a", "https://media..example/a", "https://-media.example/a"),
    *("https://127.0.0.1.nip%2Eio@/a", "https://0x7f.1/a", "https://1.2.3.4/a", "https://[2606:4700::1]/a"),
]  # fmt: skip


class Listener:
    """A server on loopback, with everything that was asked of it."""

    def __init__(self) -> None:
        self.hits: list[tuple[str, str]] = []
        self.answer: tuple[int, dict[str, str], bytes] = (200, {"Content-Type": "audio/ogg"}, OGG)
        self.connections = 0
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                listener.connections += 1
                super().setup()

            def do_GET(self) -> None:
                listener.hits.append((self.headers.get("Host", ""), self.path))
                status, headers, body = listener.answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """The listener, on a port of its own."""
    made = Listener()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def soon(seconds: float = 5.0) -> float:
    """The end of a fetch."""
    return clock.monotonic() + seconds


def refused(rules: Rules, url: str) -> str:
    """Why a file is not had."""
    media = Media(rules)
    with pytest.raises(FailedExchange) as why:
        media.fetch(url, ends_at=soon())
    media.close()
    return str(why.value)


@pytest.mark.scoreboard("S12", tier="commit")
def test_no_spelling_of_an_inner_address_is_reached(listener: Listener) -> None:
    """Both walls, each without the other: what is written, and where the name leads. Nobody knocks."""
    assert len(HOSTS) >= 60
    for host in HOSTS:
        assert fault_of(f"https://{host}/a.ogg") is not None, host
        # As if nothing were wrong with how it is written, on the listener's own port.
        url = f"http://{host}:{listener.port}/a.ogg"
        with pytest.raises((FailedExchange, httpx.InvalidURL)):
            Media(Rules(fault_of=lambda _: None)).fetch(url, ends_at=soon())
    assert (listener.hits, listener.connections) == ([], 0)


def test_the_listener_would_hear_them(listener: Listener) -> None:
    """Without the second wall these spellings lead to it: the test above can fail."""
    open_door = Media(Rules(fault_of=lambda _: None, may_reach=lambda _: True))
    for host in ("127.0.0.1", "127.1", "localhost", "2130706433", "0x7f000001", "017700000001"):
        open_door.fetch(f"http://{host}:{listener.port}/a.ogg", ends_at=soon())
    assert len(listener.hits) == 6
    open_door.close()


@pytest.mark.scoreboard("S12", tier="commit")
def test_no_trick_of_writing_gets_through() -> None:
    """Users, ports, schemes, backslashes, other scripts, names of inner networks: refused as written."""
    assert [url for url in WRITTEN if fault_of(url) is None] == []
    assert fault_of("https://media.example/a.ogg?token=1") is None
    assert fault_of("https://MEDIA.example.:443/a") is None


def test_what_is_public() -> None:
    """The addresses themselves; what is no address is not public."""
    inner = [host.strip("[]").replace("%25", "%") for host in HOSTS]
    assert [each for each in inner if is_public(each)] == []
    assert [each for each in PUBLIC if not is_public(each)] == []


def test_the_address_that_was_looked_at_is_the_one_connected_to(listener: Listener) -> None:
    """A resolver that answers otherwise the second time (rebinding) is asked once. Host keeps the name."""
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.9"]

    media = Media(Rules(fault_of=lambda _: None, may_reach=lambda a: a == "127.0.0.1", resolve=rebinding))
    body, kind = media.fetch(f"http://media.example:{listener.port}/a", ends_at=soon())
    assert (body, kind, asked) == (OGG, "audio/ogg", ["media.example"])
    assert listener.hits == [(f"media.example:{listener.port}", "/a")]
    with pytest.raises(FailedExchange):
        media.fetch(f"http://media.example:{listener.port}/a", ends_at=soon())
    assert len(listener.hits) == 1
    media.close()


def test_a_public_answer_is_connected_to_and_not_the_name_again(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First public, then loopback: what is dialled is the public one (which no test may reach)."""
    monkeypatch.delenv(sitecustomize.REFUSALS)  # this one is meant to be refused
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    rules = Rules(resolve=lambda _host, _port: next(answers))
    with pytest.raises(AssertionError, match=r"93\.184\.216\.34"):
        Media(rules).fetch("https://media.example/a", ends_at=soon())
    assert listener.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [[], ["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "1.1.1.1"], ["::1"], ["nonsense"]],
)
def test_one_address_that_is_not_public_spoils_them_all(addresses: list[str]) -> None:
    """Whoever controls the name would only have to try again."""
    said = refused(Rules(resolve=lambda _host, _port: addresses), "https://media.example/a")
    assert said == "the file: its host is not on the public Internet"


def test_a_redirect_is_not_followed(listener: Listener) -> None:
    """A public server that sends us to loopback is as good as none."""
    listener.answer = (302, {"Location": f"http://127.0.0.1:{listener.port}/secret"}, b"")
    rules = Rules(fault_of=lambda _: None, may_reach=lambda _: True)
    assert refused(rules, f"http://127.0.0.1:{listener.port}/a") == "HTTP 302"
    assert [path for _, path in listener.hits] == ["/a"]


def test_a_proxy_of_the_environment_is_not_asked(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look the name up by itself."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    refused(Rules(resolve=lambda _host, _port: ["127.0.0.1"]), "https://media.example/a")
    assert listener.connections == 0


def test_tls_is_for_the_name_and_is_verified() -> None:
    """The name goes into the handshake, not the address; a server that cannot prove it is refused."""
    named: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: named.append(name)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with suppress(OSError), context.wrap_socket(connection, server_side=True):
                pass

        thread = threading.Thread(target=greet)
        thread.start()
        port = server.getsockname()[1]
        rules = Rules(
            fault_of=lambda _: None, may_reach=lambda _: True, resolve=lambda _host, _port: ["127.0.0.1"]
        )
        assert refused(rules, f"https://media.example:{port}/a") == "ConnectError"
        thread.join(5)
    assert named == ["media.example"]


def test_a_file_that_never_ends_is_given_up_in_time() -> None:
    """A byte now and then resets no clock."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: audio/ogg\r\n\r\n")
                while not stop.wait(0.02):
                    connection.sendall(b"a")

        thread = threading.Thread(target=drip)
        thread.start()
        rules = Rules(fault_of=lambda _: None, may_reach=lambda _: True)
        began = time.monotonic()
        with pytest.raises(FailedExchange, match="out of time"):
            Media(rules).fetch(f"http://127.0.0.1:{server.getsockname()[1]}/a", ends_at=soon(0.3))
        assert time.monotonic() - began < 3
        stop.set()
        thread.join(5)


def test_only_the_hosts_of_the_setting_are_asked() -> None:
    """A host, and what lies below it; not what merely ends alike."""
    rules = only_from(("backblaze.example",))
    assert rules.fault_of("https://backblaze.example/a") is None
    assert rules.fault_of("https://f4.backblaze.example./a") is None
    for host in ("evilbackblaze.example", "backblaze.example.evil.example", "media.example"):
        assert "ROLETA_MEDIA_HOSTS" in (rules.fault_of(f"https://{host}/a") or "")


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://audio.example/a.mp3", True),
        ("data:audio/mpeg;base64,SUQz", True),
        ("http://localhost/a.mp3", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("https://evolution/a.mp3", False),
        ("http://[::1]/a", False),
        ("https://user@audio.example/a", False),
        ("http://2130706433/a", False),
    ],
)
def test_no_provider_is_sent_to_an_inner_address(url: str, *, is_taken: bool) -> None:
    """It fetches what a message names, and may stand inside somebody's network."""
    content = Content("audio", media_url=url)
    if is_taken:
        content.check()
    else:
        with pytest.raises(ValueError, match="media_url"):
            content.check()
