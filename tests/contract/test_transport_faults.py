"""Everything that can go wrong on the wire: before the first byte it was not sent, after it we cannot
know."""

import gzip
import json
import socket
import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from shared import clock
from shared.providers.base import AttemptReport, Content, Outcome, Provider
from shared.providers.transport import open_http
from tests.contract.adapters import PHONE, Adapter
from tests.contract.conftest import TIMEOUT_S, Make, Script
from tests.contract.scripted_server import Behaviour, Conversation
from tests.waiting import eventually

pytestmark = [pytest.mark.usefixtures("no_leak"), pytest.mark.scoreboard("R14", tier="commit")]

HEAD = b"HTTP/1.1 200 OK\r\n"
# An acceptance to each of the providers.
MESSAGE_ID = "3EB0SIM000000000001"
BODY = json.dumps({"zaapId": "Z1", "messageId": MESSAGE_ID, "key": {"id": MESSAGE_ID}}).encode()
LENGTH = b"Content-Length: %d\r\n\r\n" % len(BODY)


def _give(*parts: bytes, then: Callable[[Conversation], None] = Conversation.close) -> Behaviour:
    def behave(talk: Conversation) -> None:
        talk.give(b"".join(parts))
        then(talk)

    return behave


AFTER_WRITING: dict[str, Behaviour] = {
    "closed without a word": Conversation.close,
    "reset": Conversation.reset,
    "hangs": Conversation.hang,
    "half a status line": _give(b"HTTP/1."),
    "half a status line, then hangs": _give(b"HTTP/1.", then=Conversation.hang),
    "headers without an end": _give(HEAD, b"Content-Le"),
    "headers, then closed": _give(HEAD, LENGTH),
    "headers, then reset": _give(HEAD, LENGTH, then=Conversation.reset),
    "headers, then hangs": _give(HEAD, LENGTH, then=Conversation.hang),
    "truncated body": _give(HEAD, LENGTH, BODY[:-5]),
    "truncated body, then hangs": _give(HEAD, LENGTH, BODY[:-5], then=Conversation.hang),
    "length too short": _give(HEAD, b"Content-Length: 10\r\n\r\n", BODY),
    "length of no number": _give(HEAD, b"Content-Length: many\r\n\r\n", BODY),
    "negative length": _give(HEAD, b"Content-Length: -1\r\n\r\n", BODY),
    "two lengths": _give(HEAD, b"Content-Length: 3\r\n", LENGTH, BODY),
    "chunks cut": _give(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\n", BODY[:5]),
    "chunk size of no number": _give(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n", BODY),
    "garbage": _give(b"\x16\x03\x01 this is no HTTP \xff\xfe\r\n\r\n"),
    "body without headers": _give(BODY),
    "HTTP/2 preface": _give(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18),
    "endless headers": _give(HEAD, b"X-Long: ", b"a" * 200_000, b"\r\n\r\n"),
    "said to be gzip": _give(HEAD, b"Content-Encoding: gzip\r\n", LENGTH, BODY),
    "only 100 Continue": _give(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "102 Processing, then hangs": _give(b"HTTP/1.1 102 Processing\r\n\r\n", then=Conversation.hang),
    "101 Switching Protocols": _give(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "a body of a megabyte": _give(
        HEAD, b"Content-Length: 1000000\r\n\r\n", b'{"messageId": "', b"a" * 999_985
    ),
    "headers drip": lambda talk: talk.drip(HEAD + b"X: " + b"a" * 500, 0.05),
    "body drips": _give(HEAD, b"Content-Length: 900\r\n\r\n", then=lambda talk: talk.drip(b"a" * 900, 0.05)),
}


def _send(provider: Provider, deadline_s: float = 5.0) -> AttemptReport:
    return provider.send(PHONE, Content("text", "oi"), deadline=clock.monotonic() + deadline_s)


@pytest.mark.parametrize(
    "behave", AFTER_WRITING.values(), ids=[name.replace(" ", "-") for name in AFTER_WRITING]
)
def test_a_fault_after_writing_is_unknown(behave: Behaviour, script: Script, make: Make) -> None:
    """The request had left us: unknown, in the time that was given, and never tried a second time."""
    server = script(behave)
    began = clock.monotonic()
    report = _send(make(server.base_url))

    assert report.outcome is Outcome.UNKNOWN
    assert report.detail
    assert clock.monotonic() - began < TIMEOUT_S + 0.5
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", HEAD, LENGTH, BODY),
        (HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n" % len(BODY), BODY, b"\r\n0\r\n\r\n"),
        (b"HTTP/1.0 200 OK\r\n\r\n", BODY),
        (
            HEAD,
            b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(BODY, mtime=0)),
            gzip.compress(BODY, mtime=0),
        ),
    ],
    ids=["after-1xx", "chunked", "until-closed", "gzip"],
)
def test_odd_but_whole_answers_are_accepted(parts: tuple[bytes, ...], script: Script, make: Make) -> None:
    """Whatever HTTP allows around an answer, its message id is read."""
    report = _send(make(script(_give(*parts)).base_url))

    assert (report.outcome, report.provider_message_id) == (Outcome.ACCEPTED, MESSAGE_ID)


def test_a_slow_answer_inside_the_time_is_accepted(adapter: Adapter, script: Script, make: Make) -> None:
    """Slowness alone is no fault."""

    def behave(talk: Conversation) -> None:
        talk.hang(TIMEOUT_S / 2)
        talk.answer(200, adapter.accepted)

    assert _send(make(script(behave).base_url)).outcome is Outcome.ACCEPTED


def test_a_redirect_is_not_followed(adapter: Adapter, script: Script, make: Make) -> None:
    """A message and its credentials go to the provider's address and nowhere else."""
    elsewhere = script(lambda talk: talk.answer(200, adapter.accepted))
    server = script(lambda talk: talk.answer(307, b"", {"Location": elsewhere.base_url + "/"}))

    assert _send(make(server.base_url)).outcome is Outcome.UNKNOWN
    assert elsewhere.requests == []


def test_cookies_are_not_carried_over(adapter: Adapter, script: Script, make: Make) -> None:
    """What one instance was given is not sent for the next: the client is shared."""
    server = script(lambda talk: talk.answer(200, adapter.accepted, {"Set-Cookie": "who=first; Path=/"}))
    provider = make(server.base_url)
    _send(provider)
    _send(provider)

    assert len(server.requests) == 2
    assert b"cookie" not in server.requests[1].lower()


def test_a_connection_that_the_server_closed_is_replaced(
    adapter: Adapter, script: Script, make: Make
) -> None:
    """A kept connection that ended in between costs nothing: the next send opens a new one."""

    def behave(talk: Conversation) -> None:
        talk.answer(200, adapter.accepted)
        talk.close()

    server = script(behave)
    provider = make(server.base_url)
    outcomes = []
    for _ in range(3):
        outcomes.append(_send(provider).outcome)

    assert {Outcome.ACCEPTED} <= set(outcomes) <= {Outcome.ACCEPTED, Outcome.UNKNOWN}
    assert Outcome.NOT_SENT not in outcomes


def test_nobody_listens__not_sent(make: Make) -> None:
    """A refused connection means that nothing left us."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    report = _send(make(f"http://127.0.0.1:{port}"))

    assert report.outcome is Outcome.NOT_SENT
    assert report.halt_reason is None


def test_nobody_accepts_the_connection__not_sent(make: Make) -> None:
    """A connection that is never established means that nothing left us."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        report = _send(make(f"http://127.0.0.1:{address[1]}"))
        for one in waiting:
            one.close()

    assert report.outcome is Outcome.NOT_SENT
    assert "could not connect" in report.detail


@pytest.mark.parametrize("then", [Conversation.close, Conversation.reset, Conversation.hang])
def test_no_tls__not_sent(make: Make, then: Behaviour) -> None:
    """A TLS handshake that fails, or never ends, comes before the request: nothing left us."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        ending = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                then(Conversation(connection, ending))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        report = _send(make(f"https://127.0.0.1:{listener.getsockname()[1]}"))
        ending.set()
        thread.join(5)

    assert report.outcome is Outcome.NOT_SENT


def test_a_deadline_that_has_passed__not_sent(script: Script, make: Make) -> None:
    """Past the deadline no connection is even opened."""
    server = script(Conversation.close)
    report = _send(make(server.base_url), deadline_s=-0.001)

    assert (report.outcome, report.detail) == (Outcome.NOT_SENT, "deadline passed before writing")
    assert server.requests == []


def test_a_deadline_that_passes_while_waiting_for_a_connection__not_sent(
    adapter: Adapter, script: Script
) -> None:
    """The deadline is looked at once more right before the first byte: a connection that comes late is not
    used."""

    def behave(talk: Conversation) -> None:
        talk.hang(0.3)
        talk.answer(200, adapter.accepted)

    server = script(behave)
    with open_http(max_connections=1, connect_timeout_s=5) as http:
        provider = adapter.make(server.base_url, http, 2.0)
        first = threading.Thread(target=_send, args=(provider,))
        first.start()
        eventually(lambda: len(server.requests) == 1)
        report = _send(provider, deadline_s=0.1)
        first.join(5)

    assert (report.outcome, report.detail) == (Outcome.NOT_SENT, "deadline passed before writing")
    assert len(server.requests) == 1


def test_no_free_connection__not_sent(adapter: Adapter, script: Script) -> None:
    """When every connection is busy for too long, nothing was written."""
    server = script(lambda talk: talk.hang(1.0))
    with open_http(max_connections=1, connect_timeout_s=0.1) as http:
        provider = adapter.make(server.base_url, http, 0.6)
        first = threading.Thread(target=_send, args=(provider,))
        first.start()
        eventually(lambda: len(server.requests) == 1)
        report = _send(provider)
        first.join(5)

    assert report.outcome is Outcome.NOT_SENT
    assert len(server.requests) == 1


def test_a_failed_send_does_not_spoil_the_next(adapter: Adapter, script: Script, make: Make) -> None:
    """After any fault the same client sends well again."""
    server = script(Conversation.reset)
    provider = make(server.base_url)
    assert _send(provider).outcome is Outcome.UNKNOWN
    server.behave = lambda talk: talk.answer(200, adapter.accepted)

    assert _send(provider).outcome is Outcome.ACCEPTED
