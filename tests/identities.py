"""Tokens as Supabase Auth signs them, good and bad, and the address where a test publishes keys."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.identity import Person
from shared.settings import Settings

USER = UUID("11111111-2222-4333-8444-555555555555")
SECRET = "a-jwt-secret-of-at-least-32-bytes-0123"


class SigningKey:
    """A key pair with an id: ES256 on P-256, or RS256."""

    def __init__(self, key_id: str, kind: str = "ES256") -> None:
        self.key_id = key_id
        self.kind = kind
        self.private: Any = (
            ec.generate_private_key(ec.SECP256R1())
            if kind == "ES256"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half as a JWKS lists it."""
        kind = jwt.get_algorithm_by_name(self.kind)
        shown: dict[str, Any] = kind.to_jwk(self.private.public_key(), as_dict=True)
        return shown | {"kid": self.key_id, "alg": self.kind, "use": "sig"}

    @property
    def public_pem(self) -> bytes:
        """The public half as a text file."""
        pem: bytes = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A token; `header` changes its header, None takes a field away."""
        given = {"kid": self.key_id} | header
        kept = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(dict(claims), self.private, algorithm=self.kind, headers=kept)


class KeyServer:
    """Publishes what a test wants at an auth service's address, and counts who asks."""

    def __init__(self) -> None:
        self.document: Any = {"keys": []}
        self.http_status = 200
        self.asked = 0
        self.hang = threading.Event()
        self.hang.set()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked += 1
                owner.hang.wait(20)
                found = self.path == "/auth/v1/.well-known/jwks.json"
                document = owner.document if found else {}
                data = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(owner.http_status if found else 404)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def auth_url(self) -> str:
        """What the settings call auth_url."""
        return f"http://127.0.0.1:{self._server.server_port}/auth/v1"

    def publish(self, *keys: SigningKey) -> None:
        """From now on these and no others."""
        self.document = {"keys": [key.jwk for key in keys]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a good token says; a change to None takes a claim away."""
        claims = claims_of(USER, self.auth_url) | changes
        return {name: value for name, value in claims.items() if value is not None}

    def settings(self, **changes: Any) -> Settings:
        """Settings that trust this server."""
        return Settings(**{"auth_url": self.auth_url} | changes)

    def stop(self) -> None:
        """Ends it."""
        self.hang.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def key_server() -> Iterator[KeyServer]:
    """A running one."""
    server = KeyServer()
    try:
        yield server
    finally:
        server.stop()


def claims_of(user_id: UUID, issuer: str, email: str = "gestora@example.com") -> dict[str, Any]:
    """The claims of a token of Supabase Auth that is good for an hour."""
    now = int(time.time())
    return {
        "iss": issuer,
        "sub": str(user_id),
        "aud": "authenticated",
        "role": "authenticated",
        "email": email,
        "iat": now,
        "exp": now + 3600,
        "session_id": "0c8ad4e1-2ad7-4ee5-9c9c-b30b8e0d4b7b",
    }


def person_of(user_id: UUID, email: str = "gestora@example.com") -> Person:
    """Somebody already verified, for tests of what happens after."""
    return Person(
        user_id, email, "token-" + str(user_id), claims_of(user_id, "http://auth.test/auth/v1", email)
    )


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], key: bytes = b"") -> str:
    """A token put together by hand, signed with HMAC-SHA256 where a key is given, else not at all."""
    head, body = (_base64(json.dumps(part).encode()) for part in (header, claims))
    signed = f"{head}.{body}"
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest() if key else b""
    return f"{signed}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
