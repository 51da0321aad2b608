"""What must not be read in a log, an error or a stored event: secrets, whole phones, bytes that JSON cannot
hold.

Nothing here knows a table or a provider.
"""

import logging
import math
import re
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

MASK = "[redacted]"
# What is shorter is looked for nowhere: it would eat ordinary words.
SHORTEST_SECRET = 6
MAX_DEPTH = 64  # the gateway refuses deeper bodies before they get here (design.md 9)

_CREDENTIAL_KEYS = frozenset(
    {
        "accesstoken",
        "apikey",
        "apitoken",
        "authorization",
        "clientsecret",
        "clienttoken",
        "instancetoken",
        "password",
        "proxyurl",
        "refreshtoken",
        "secret",
        "token",
        "webhooktoken",
        "xroletawebhook",
        "zapitoken",
    }
)
# What an event of Evolution API may hold beside those: codes to pair with, pictures of them, and media, which
# is the person's and large (evolution contract 9, "Keys leak").
_UNSTORED_KEYS = frozenset({"base64", "code", "hash", "jpegthumbnail", "jwtkey", "pairingcode"})
# A UUID may carry a long run of digits and must stay whole in a log, so it is matched first and kept.
_UUID_OR_DIGITS = re.compile(
    r"(?P<uuid>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)|(?P<digits>\d{10,})", re.I
)
# Z-API puts the instance token into the path of every call (zapi contract 1.1).
_TOKEN_IN_PATH = re.compile(r"(/token/)[^/\s\"']+", re.I)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def phone_tail(phone: str | None) -> str:
    """The last four digits, as "…1234": enough to recognise a person one knows, too little to write to
    them."""
    digits = re.sub(r"\D", "", phone or "")
    return f"…{digits[-4:]}" if len(digits) > 4 else "…"


def mask_phones(text: str) -> str:
    """Every run of ten digits or more becomes its tail; UUIDs stay."""
    return _UUID_OR_DIGITS.sub(lambda hit: hit["uuid"] or f"…{hit['digits'][-4:]}", text)


def scrub(text: str, secrets: Iterable[str | None]) -> str:
    """`text` without any of `secrets`, plain or URL-encoded, and without a token in a Z-API path."""
    return _TOKEN_IN_PATH.sub(rf"\g<1>{MASK}", _without(text, secrets))


def _without(text: str, secrets: Iterable[str | None]) -> str:
    # Longest first: a secret that is part of another must not leave the other's rest standing.
    for secret in sorted({value for value in secrets if value}, key=len, reverse=True):
        for form in _forms(secret):
            text = text.replace(form, MASK)
    return text


@lru_cache(maxsize=4096)
def _forms(secret: str) -> frozenset[str]:
    # Wanted for every value of every line of a log.
    return frozenset((secret, quote(secret, safe="")))


def clean_text(text: str) -> str:
    """NUL and lone surrogates replaced by U+FFFD: PostgreSQL and UTF-8 hold neither."""
    return _UNSTORABLE.sub("�", text)


def redact_event(payload: Any, secrets: Iterable[str | None] = ()) -> Any:
    """A copy of a webhook payload fit to be stored: credential-like keys, pairing codes and media dropped at
    every depth, texts cleaned, NaN and infinities (which jsonb refuses) made null. The rest stays as it came.

    `secrets`: what proved the request, masked wherever the payload repeats it.
    """
    looked_for = [each for each in secrets if each and len(each) >= SHORTEST_SECRET]
    return _redact(payload, looked_for, MAX_DEPTH)


def _redact(value: Any, secrets: list[str], depth: int) -> Any:
    if depth < 0:
        return MASK
    if isinstance(value, str):
        return clean_text(_without(value, secrets))
    if isinstance(value, Mapping):
        kept = ((str(key), item) for key, item in value.items() if _is_storable(str(key)))
        return {clean_text(_without(key, secrets)): _redact(item, secrets, depth - 1) for key, item in kept}
    if isinstance(value, list | tuple):
        return [_redact(item, secrets, depth - 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _is_storable(key: str) -> bool:
    return not _is_credential(key) and re.sub(r"[^a-z0-9]", "", key.lower()) not in _UNSTORED_KEYS


def _is_credential(key: str) -> bool:
    return re.sub(r"[^a-z]", "", key.lower()) in _CREDENTIAL_KEYS


class Redactor:
    """Masks registered secrets and phone-like digit runs: as a structlog processor, or as a logging filter.

    Put it last before the renderer, after tracebacks have become text.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.register(secret)

    def register(self, secret: str | None) -> None:
        """From now on `secret` is masked, unless it is shorter than SHORTEST_SECRET."""
        if secret and len(secret) >= SHORTEST_SECRET:
            self._secrets.add(secret)

    def text(self, text: str) -> str:
        """One string, masked."""
        return mask_phones(scrub(text, self._secrets))

    def value(self, value: Any) -> Any:
        """Strings, whole numbers and what containers hold, masked; other types as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**9:
            return self.text(str(value))
        if isinstance(value, Mapping):
            return {
                key: MASK if _is_credential(str(key)) else self.value(item) for key, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        if isinstance(value, BaseException):
            return self.text(repr(value))
        return value

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The structlog processor."""
        for key, item in event.items():
            event[key] = MASK if _is_credential(key) else self.value(item)
        return event


class RedactingFilter(logging.Filter):
    """The same for the standard library's logging: rewrites a record's message, arguments included."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redactor.text(record.getMessage()), None
        if record.exc_info:
            text = logging.Formatter().formatException(record.exc_info)
            record.exc_text, record.exc_info = self._redactor.text(text), None
        return True
