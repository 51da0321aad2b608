"""An ad platform as a real HTTP server: balances behind Meta's Graph API, and all that goes wrong there.

with AdPlatformSimulator() as platform:
    platform.balances["act_1"] = 12345          # in cents
    platform.refuse("act_2", 17)                # or trouble("act_3", "slow"), see TROUBLES
    Settings(meta_url=platform.url, ...)        # platform.token is the one that it takes
    platform.asked                              # the accounts that were asked about, in order

It runs in threads of the process that made it, on the loopback interface only.
"""

import json
import re
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

VERSION = "v21.0"
TROUBLES = ("slow", "hang_up", "html", "no_balance", "garbage", "error_without_code", 500, 503)
_ACCOUNT = re.compile(rf"/{re.escape(VERSION)}/(act_[0-9]+)")
# What the platform says with its codes (Meta's error reference).
_WORDS = {190: "Invalid OAuth access token.", 17: "User request limit reached", 10: "No permission"}


class AdPlatformSimulator:
    """The server and what it knows; threads may change both while it runs."""

    def __init__(self, port: int = 0) -> None:
        self.token = f"EAAB{secrets.token_hex(24)}"
        self.balances: dict[str, int] = {}
        self.asked: list[str] = []
        self.complaints: list[str] = []
        # While this is clear, what is "slow" is not answered.
        self.patience = threading.Event()
        self._asking = threading.Condition()
        self._held: dict[str, int] = {}
        self._troubles: dict[str, str | int] = {}
        self._refusals: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="ad platform")

    @property
    def url(self) -> str:
        """What META_GRAPH_URL is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{VERSION}"

    def start(self) -> Self:
        """Listen until stop()."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End it, whoever still waits for an answer."""
        self.patience.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def trouble(self, account: str, kind: str | int) -> None:
        """From now on this account's questions end so: one of TROUBLES."""
        if kind not in TROUBLES:
            raise ValueError(f"an ad platform has these troubles: {TROUBLES}")
        self._troubles[account] = kind

    def hold(self, account: str, *, until_asked: int) -> None:
        """This account's questions wait until so many in all were asked."""
        self._held[account] = until_asked

    def refuse(self, account: str, code: int) -> None:
        """From now on this account's questions are refused with this code of the platform's."""
        self._refusals[account] = code

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with suppress(OSError):  # the caller may have gone
                    platform._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: `asked` tells."""

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        address = urlsplit(handler.path)
        if "access_token" in parse_qs(address.query) or self.token in handler.path:
            self.complaints.append("a token in an address")
        found = _ACCOUNT.fullmatch(address.path)
        account = found[1] if found else ""
        with self._asking:
            self.asked.append(account)
            self._asking.notify_all()
            self._asking.wait_for(lambda: len(self.asked) >= self._held.get(account, 0), 5)
        if handler.headers.get("Authorization") != f"Bearer {self.token}":
            return _give(handler, 401, _error(190))
        if account in self._refusals:
            return _give(handler, 400, _error(self._refusals[account]))
        if account in self._troubles:
            return self._misbehave(handler, self._troubles[account])
        if account not in self.balances:
            return _give(handler, 400, _error(100))
        return _give(handler, 200, {"balance": str(self.balances[account]), "id": account})

    def _misbehave(self, handler: BaseHTTPRequestHandler, kind: str | int) -> None:
        match kind:
            case "slow":
                self.patience.wait(60)
                handler.close_connection = True
            case "hang_up":
                handler.close_connection = True
            case "html":
                _give(handler, 200, "<html>maintenance</html>", media_type="text/html")
            case "no_balance":
                _give(handler, 200, {"id": "act_1"})
            case "garbage":
                _give(handler, 200, {"balance": "12,34"})
            case "error_without_code":
                _give(handler, 400, {"error": f"refused for {self.token}"})
            case int():
                _give(handler, kind, {"error": {"message": "sorry", "code": 2}} if kind == 503 else None)


def _error(code: int) -> dict[str, Any]:
    words = _WORDS.get(code, "Unsupported request")
    return {"error": {"message": words, "type": "OAuthException", "code": code, "fbtrace_id": "A1b2"}}


def _give(
    handler: BaseHTTPRequestHandler,
    http_status: int,
    payload: Mapping[str, Any] | str | None,
    *,
    media_type: str = "application/json",
) -> None:
    body = payload if isinstance(payload, str) else json.dumps(payload) if payload is not None else ""
    handler.send_response(http_status)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(len(body.encode())))
    handler.end_headers()
    handler.wfile.write(body.encode())
