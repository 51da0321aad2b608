"""The public keys that an auth service publishes (RFC 7517), fetched when needed and kept."""

import threading
from typing import Any

import httpx
import jwt

from shared import clock, log
from shared.errors import RoletaError

# A key that the service took back is believed no longer than this; Supabase's own cache is as old.
KEEP_S = 600.0
# An unknown key id asks for the keys anew, at most so often: whoever invents ids must not cause traffic.
REFETCH_S = 30.0
# While there is no key at all, nobody can come in: then it is worth asking sooner.
RETRY_S = 2.0
TIMEOUT_S = 5.0
LARGEST = 256 * 1024
_KINDS = {"EC": "ES256", "RSA": "RS256"}


class AuthUnavailable(RoletaError):
    """The sign-in service cannot be reached now."""


class KeySet:
    """One address's keys by id and algorithm. Threads may share it; a key that is known waits for nobody."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.Client(timeout=TIMEOUT_S / 2, trust_env=False, follow_redirects=False)
        self._fetching = threading.Lock()
        self._keys: dict[tuple[str, str], Any] | None = None
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._has_failed = False

    def key(self, key_id: object, algorithm: str) -> Any | None:
        """The key of this id for this algorithm; None where the service has none. AuthUnavailable where the
        service was never reached."""
        if not isinstance(key_id, str):
            return None
        wanted = (key_id, algorithm)
        if self._keys is None or wanted not in self._keys or clock.monotonic() - self._fetched_at > KEEP_S:
            self._fetch(wanted)
        if self._keys is None:
            raise AuthUnavailable
        return self._keys.get(wanted)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _fetch(self, wanted: tuple[str, str]) -> None:
        is_known = self._keys is not None and wanted in self._keys
        # Another thread fetches: what is known will do, and nobody waits for what did not come the last time.
        if not self._fetching.acquire(blocking=not (is_known or self._has_failed)):
            return
        is_due = False
        try:
            now = clock.monotonic()
            if self._keys is None:
                is_due = now - self._asked_at >= RETRY_S
            else:
                is_due = now - self._asked_at >= REFETCH_S and (is_known or wanted not in self._keys)
            if is_due:
                self._keys = _read(self._download(now + TIMEOUT_S))
                self._fetched_at, self._has_failed = now, False
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
            # The old keys stay good: an auth service that is away must not sign everybody out.
            self._has_failed = True
            log.get().warning("identity.keys_not_fetched", why=type(error).__name__)
        finally:
            if is_due:
                self._asked_at = clock.monotonic()  # who waited meanwhile does not ask anew
            self._fetching.release()

    def _download(self, give_up_at: float) -> Any:
        with self._http.stream("GET", self._url, headers={"Accept": "application/json"}) as answer:
            answer.raise_for_status()
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > LARGEST or clock.monotonic() > give_up_at:
                    raise ValueError("too much, or too slow")
        return httpx.Response(200, content=body).json()


def _read(document: Any) -> dict[tuple[str, str], Any]:
    """Keys for signatures, by id and by the one algorithm that their kind serves; others are passed over,
    secrets ("oct") above all."""
    keys: dict[tuple[str, str], Any] = {}
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no list of keys")
    for each in listed:
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        algorithm, key_id = _KINDS.get(str(each.get("kty"))), each.get("kid")
        if not isinstance(key_id, str) or algorithm is None or each.get("alg", algorithm) != algorithm:
            continue
        try:
            key = jwt.PyJWK(each, algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        # ES256 is the curve P-256, and nothing signs safely with fewer bits (RFC 7518 3.3, 3.4).
        if key.key_size == 256 if algorithm == "ES256" else key.key_size >= 2048:
            keys[key_id, algorithm] = key
    return keys
