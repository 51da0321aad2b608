"""A real HTTP server of the OpenAI shapes: chat, transcription, speech, and files to download.

with agent_server() as server:
    settings = Settings(agent_url=server.url, ...)
    server.say({"bubbles": [{"text": "Oi"}]})   # or plain text; the last one is said again and again
    server.trouble = trouble.SLOW               # see TROUBLES
    server.requests                             # everything that was asked, as Asked
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from shared.media import Media, Rules

MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x00" + bytes(64)
OGG = b"OggS\x00\x02" + bytes(64)
TEXT_WHEN_UNTOLD = "Que bom te ouvir."


@dataclass(frozen=True)
class Asked:
    """One request; `json` is its body where that is JSON, `body` always."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def words(self) -> str:
        """Everything that was said to the model, in one text."""
        return "\n".join(message["content"] for message in self.json["messages"])


Saying: TypeAlias = str | Mapping[str, Any] | Callable[[Asked], str]


class AgentServer:
    """What the server says and how it misbehaves; threads may change it while it runs."""

    def __init__(self) -> None:
        self.requests: list[Asked] = []
        self.speech = MP3
        self.transcript: object = {"text": "Oi, tudo bem?"}
        self.files: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        self.trouble: Trouble | None = None
        self.ending = threading.Event()
        # While this is clear, nothing is answered.
        self.open = threading.Event()
        self.open.set()
        self._sayings: list[Saying] = [TEXT_WHEN_UNTOLD]
        self._lock = threading.Lock()
        self.url = ""

    def say(self, *answers: Saying) -> None:
        """What the model answers next, one for each question; the last one again and again. A mapping is
        said as JSON; a function says what it makes of the question."""
        with self._lock:
            self._sayings = list(answers)

    def file(
        self, path: str, body: bytes = OGG, *, media_type: str = "audio/ogg; codecs=opus", **headers: str
    ) -> str:
        """Offers a file to download; its address."""
        self.files[path] = (200, {"Content-Type": media_type, **headers}, body)
        return f"{self.origin}{path}"

    @property
    def origin(self) -> str:
        """The address without the path of the API."""
        return self.url.removesuffix("/v1")

    @property
    def questions(self) -> list[Asked]:
        """What was asked of the model."""
        return [asked for asked in list(self.requests) if asked.path == "/v1/chat/completions"]

    def next_saying(self, asked: Asked) -> str:
        """The model's words for this question."""
        with self._lock:
            saying = self._sayings.pop(0) if len(self._sayings) > 1 else self._sayings[0]
        if isinstance(saying, str):
            return saying
        return json.dumps(saying) if isinstance(saying, Mapping) else saying(asked)


def completion(content: object, **choice: object) -> bytes:
    """The body of a chat completion that says this."""
    said = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "choices": [said | choice]}).encode()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    agent: AgentServer

    def do_POST(self) -> None:
        """The API."""
        asked = self._heard(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if not self._may_answer():
            return
        if self.path == "/v1/chat/completions":
            self.give(200, completion(self.agent.next_saying(asked)))
        elif self.path == "/v1/audio/transcriptions":
            self.give(200, json.dumps(self.agent.transcript).encode())
        elif self.path == "/v1/audio/speech":
            self.give(200, self.agent.speech, {"Content-Type": "audio/mpeg"})
        else:
            self.give(404, b'{"error": {"message": "no such route"}}')

    def do_GET(self) -> None:
        """A file."""
        self._heard(b"")
        if self._may_answer():
            http_status, headers, body = self.agent.files.get(self.path, (404, {}, b""))
            self.give(http_status, body, headers)

    def give(self, http_status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """One well-formed answer."""
        self.send_response(http_status)
        for name, value in ({"Content-Type": "application/json"} | dict(headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # the client may have gone: an answer that is too large, a timeout
            self.wfile.write(body)

    def hang_up(self) -> None:
        """Ends the connection in the middle of whatever it was."""
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests read `requests`."""

    def _heard(self, body: bytes) -> Asked:
        asked = Asked(self.command, self.path, dict(self.headers.items()), body)
        self.agent.requests.append(asked)
        return asked

    def _may_answer(self) -> bool:
        while not self.agent.open.wait(0.05):
            if self.agent.ending.is_set():
                self.hang_up()
                return False
        if self.agent.trouble is None:
            return True
        with suppress(OSError):
            self.agent.trouble(self)
        return False


Trouble = Callable[[Handler], None]


def failing(http_status: int, body: bytes = b'{"error": {"message": "sorry"}}') -> Trouble:
    """Answers everything with this code."""
    return lambda handler: handler.give(http_status, body)


def saying(body: bytes, **headers: str) -> Trouble:
    """Answers everything with a 200 and this body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.give(200, body, named)


def slow(handler: Handler) -> None:
    """Says nothing until the server ends."""
    handler.agent.ending.wait(60)
    handler.hang_up()


def trickle(handler: Handler) -> None:
    """A right answer, one byte each tenth of a second."""
    body = completion("devagar " * 200)
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    for byte in body:
        handler.wfile.write(bytes([byte]))
        if handler.agent.ending.wait(0.1):
            break
    handler.hang_up()


def hang_up(handler: Handler) -> None:
    """Closes the connection without a word."""
    handler.hang_up()


def break_off(handler: Handler) -> None:
    """Half of a right answer, then the end of the connection."""
    body = completion("metade")
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:40])
    handler.hang_up()


def garble(handler: Handler) -> None:
    """What is no HTTP."""
    handler.wfile.write(b"\x00\xff not HTTP at all\r\n\r\n")
    handler.hang_up()


def flood(handler: Handler) -> None:
    """A body without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    while not handler.agent.ending.is_set():
        handler.wfile.write(chunk)
    handler.hang_up()


@contextmanager
def agent_server() -> Iterator[AgentServer]:
    """A server on a free port of this machine; all its connections end with the block."""
    agent = AgentServer()
    handler = type("BoundHandler", (Handler,), {"agent": agent})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    agent.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield agent
    finally:
        agent.ending.set()
        server.shutdown()
        thread.join(5)
        server.server_close()


def loopback_media() -> Media:
    """Fetches from this server, as production would from the public Internet: from 127.0.0.1 alone, over
    http."""
    return Media(
        Rules(
            fault_of=lambda url: None if url.startswith("http://127.0.0.1:") else "no address of this test",
            may_reach=lambda address: address == "127.0.0.1",
        )
    )
