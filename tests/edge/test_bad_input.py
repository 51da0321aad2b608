"""Bad input at every function: a 4xx in JSON that says what to change, nothing stored, nothing told."""

import gzip
import socket
import struct
import zlib
from urllib.parse import urlsplit

import httpx
import pytest

from edge.body import MAX_BYTES
from shared.db import Database
from tests.edge.conftest import Logs
from tests.edge.gateway import FUNCTIONS, SERVICE_KEY, Number, sign_up, stored

GZIP = {"content-encoding": "gzip"}
GOOD = b'{"name":"Ana","phone":"11987650001"}'


def bomb(megabytes: int) -> bytes:
    """A list of nothing but so many million blanks, as one gzip member; one million is compressed."""
    blanks = b" " * 1_000_000
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    # After a full flush what follows stands for itself, so it may be repeated.
    begin, block = (packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH) for part in (b"[", blanks))
    end = packer.compress(b"]") + packer.flush()
    checksum = zlib.crc32(b"[")
    for _ in range(megabytes):
        checksum = zlib.crc32(blanks, checksum)
    size = megabytes * len(blanks) + 2
    trailer = struct.pack("<II", zlib.crc32(b"]", checksum), size)
    return gzip.compress(b"")[:10] + begin + block * megabytes + end + trailer


# What is sent, with which headers, and what must be answered: the same at every function.
UNREADABLE: dict[str, tuple[bytes, dict[str, str], int]] = {
    "nothing": (b"", {}, 400),
    "blanks": (b"  \n", {}, 400),
    "cut off": (b'{"name":', {}, 400),
    "trailing words": (GOOD + b" and more", {}, 400),
    "list": (b"[1]", {}, 400),
    "number": (b"7", {}, 400),
    "null": (b"null", {}, 400),
    "100,000 open brackets": (b"[" * 100_000, {}, 400),
    "100,000 nested lists": (b"[" * 100_000 + b"]" * 100_000, {}, 400),
    "100,000 nested objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, {}, 400),
    "65 levels": (b"[" * 65 + b"]" * 65, {}, 400),
    "2 MB": (b'{"name":"' + b"x" * 2_000_000 + b'"}', {}, 413),
    "one byte too much": (b" " * (MAX_BYTES + 1), {}, 413),
    "gzip bomb": (bomb(200), GZIP, 413),
    "gzip bomb in two members": (gzip.compress(b" " * MAX_BYTES) * 2, GZIP, 413),
    "no gzip": (GOOD, GZIP, 400),
    "half a gzip": (gzip.compress(GOOD)[:-9], GZIP, 400),
    "gzip and more": (gzip.compress(GOOD) + b"more", GZIP, 400),
    "17 gzip members": (gzip.compress(b" ") * 16 + gzip.compress(GOOD), GZIP, 400),
    "a megabyte of empty gzip members": (gzip.compress(b"") * 52_000, GZIP, 400),
    "deflate": (zlib.compress(GOOD), {"content-encoding": "deflate"}, 415),
    "gzip twice": (gzip.compress(gzip.compress(GOOD)), {"content-encoding": "gzip, gzip"}, 415),
}
# What only a caller who can mend his request is refused for.
IMPURE: dict[str, tuple[bytes, dict[str, str], int]] = {
    "NUL escape": (b'{"name":"A\\u0000na","phone":"11987650001"}', {}, 400),
    "NUL byte in a text": (b'{"name":"A\x00na","phone":"11987650001"}', {}, 400),
    "NUL byte outside": (GOOD + b"\x00", {}, 400),
    "NUL in a name of a field": (b'{"na\\u0000me":"Ana","phone":"11987650001"}', {}, 400),
    "lone surrogate": (b'{"name":"A\\ud800na","phone":"11987650001"}', {}, 400),
    "invalid UTF-8": (b'{"name":"A\xffna","phone":"11987650001"}', {}, 400),
    "UTF-16": (GOOD.decode().encode("utf-16"), {}, 400),
    "NaN": (b'{"name":"Ana","phone":"11987650001","x":NaN}', {}, 400),
    "Infinity": (b'{"name":"Ana","phone":"11987650001","x":-Infinity}', {}, 400),
    "overflowing number": (b'{"name":"Ana","phone":"11987650001","x":1e999}', {}, 400),
    "huge int": (b'{"name":"Ana","phone":"11987650001","x":' + b"9" * 100_000 + b"}", {}, 400),
    "duplicate field": (b'{"name":"Ana","phone":"11987650001","phone":"11987650002"}', {}, 400),
    "form": (b"name=Ana&phone=11987650001", {"content-type": "application/x-www-form-urlencoded"}, 415),
    "multipart": (GOOD, {"content-type": "multipart/form-data; boundary=x"}, 415),
}


@pytest.mark.scoreboard("S5", tier="commit")
@pytest.mark.parametrize("function", ["start-trial", "send-zapi-message", "webhook-zapi"])
def test_unreadable_bodies_are_refused_everywhere_and_nothing_is_stored(
    client: httpx.Client, db: Database, number: Number, logs: Logs, function: str
) -> None:
    """Never a 500, never a traceback, never a row; webhooks of providers included."""
    before = stored(db)
    path = number.webhook if function == "webhook-zapi" else f"{FUNCTIONS}/{function}"
    cases = UNREADABLE if function == "webhook-zapi" else UNREADABLE | IMPURE
    for name, (content, headers, status) in cases.items():
        answer = client.post(
            path, content=content, headers=headers | {"authorization": f"Bearer {SERVICE_KEY}"}
        )
        assert answer.status_code == status, (name, answer.text)
        assert answer.headers["content-type"] == "application/json"
        assert len(answer.json()["error"]) > 10 and "Traceback" not in answer.text, name
    assert stored(db) == before
    assert "Traceback" not in logs.text and "11987650001" not in logs.text


def test_body_of_the_whole_allowed_size_depth_and_compression_is_taken(
    client: httpx.Client, number: Number
) -> None:
    """The bounds refuse what is beyond them and nothing else."""
    deep = b'{"name":"Ana \\" [[[ {{{","phone":"11987650001","x":' + b"[" * 63 + b"]" * 63 + b"}"
    full = deep + b" " * (MAX_BYTES - len(deep))
    for content, headers in (
        (full, {}),
        (gzip.compress(full[:500_000]) + gzip.compress(full[500_000:]), GZIP),
    ):
        assert client.post(f"{FUNCTIONS}/start-trial", content=content, headers=headers).status_code == 200


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain;charset=utf-8", "nonsense"])
def test_json_is_taken_whatever_the_content_type_says(
    client: httpx.Client, number: Number, content_type: str | None
) -> None:
    """A browser's simple request and a bare curl are understood."""
    headers = {"content-type": content_type} if content_type else {}
    answer = client.post(f"{FUNCTIONS}/start-trial", content=b"\xef\xbb\xbf" + GOOD, headers=headers)
    assert answer.json()["success"] is True


def exchange(client: httpx.Client, request: bytes) -> bytes:
    """What the gateway answers to these very bytes, after which we say no more."""
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while block := connection.recv(65536):
            received += block
        return received


def head(*lines: str) -> bytes:
    """The head of a POST to start-trial."""
    first = f"POST {FUNCTIONS}/start-trial HTTP/1.1"
    return "\r\n".join([first, "Host: gateway", "Connection: close", *lines, "", ""]).encode()


def test_chunked_body_is_read_and_bounded(client: httpx.Client, db: Database, number: Number) -> None:
    """A body without a length is a body, and has the same bounds."""
    chunked = head("Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    assert b"200 OK" in exchange(client, chunked)
    endless = (b"x" * 70_000 for _ in range(20))
    answer = client.post(f"{FUNCTIONS}/start-trial", content=endless)
    assert answer.status_code == 413 and answer.json()["error"]
    assert stored(db)["profiles"] == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        head(f"Content-Length: {len(GOOD) + 9}") + GOOD,
        head("Content-Length: 9") + GOOD,
        head("Content-Length: -1") + GOOD,
        head("Content-Length: many") + GOOD,
        head() + GOOD,
        head("Transfer-Encoding: chunked") + b"zz\r\n" + GOOD,
        head(f"Content-Length: {len(GOOD)}", "Transfer-Encoding: chunked") + GOOD,
        b"\x00\x01\x02\r\n\r\n",
    ],
)
def test_lying_lengths_sign_nobody_up_and_the_gateway_goes_on(
    client: httpx.Client, db: Database, number: Number, request_bytes: bytes
) -> None:
    """Whatever such a peer is told, nothing is stored or a success, and the next caller is served."""
    assert b" 200 " not in exchange(client, request_bytes)
    assert stored(db)["profiles"] == 0
    assert sign_up(client).status_code == 200
