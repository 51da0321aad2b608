"""A ring of keys for tests, as ROLETA_CREDENTIALS_KEYS and as a KeyRing."""

import base64

from shared import credentials


def entry(key_id: str, letter: str = "k") -> str:
    """An entry of the variable: its key is one letter, over and over."""
    return f"{key_id}:{base64.b64encode(letter.encode() * credentials.KEY_BYTES).decode()}"


KEYS = entry("of-the-tests")
RING = credentials.parse(KEYS)
