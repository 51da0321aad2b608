"""The Idempotency-Key header: what makes the repeat of a call that enqueues one message harmless."""

import re
import uuid
from collections.abc import Mapping

from shared.errors import InvalidInput

_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def idempotency_key(headers: Mapping[str, str]) -> str:
    """The caller's key, or a new one: without it, two calls that look alike are meant twice."""
    given = headers.get("idempotency-key")
    if given is None:
        return str(uuid.uuid4())
    if not _KEY.fullmatch(given):
        raise InvalidInput("Idempotency-Key must be 1 to 200 visible ASCII characters")
    return given
