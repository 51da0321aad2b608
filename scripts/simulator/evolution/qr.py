"""QR codes of the usual shape. They open nothing: a person "scans" by the control call `scan`."""

import base64
import io
import secrets
from typing import Any

import segno

# No 0, O, I, U: as on the phone's screen.
_LETTERS = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"


def new_pairing_code() -> str:
    """The eight characters that replace a scan where a number was given."""
    return "".join(secrets.choice(_LETTERS) for _ in range(8))


def new_code(pairing_code: str | None) -> dict[str, Any]:
    """The QR object without its count: four comma-separated parts, and a PNG of exactly them."""
    parts = [f"2@{_noise(60)}", _noise(32), _noise(32), _noise(32)]
    code = ",".join(parts)
    picture = io.BytesIO()
    segno.make_qr(code, error="m").save(picture, kind="png", scale=4, border=4)
    data = base64.b64encode(picture.getvalue()).decode()
    return {"pairingCode": pairing_code, "code": code, "base64": f"data:image/png;base64,{data}"}


def _noise(length: int) -> str:
    return base64.b64encode(secrets.token_bytes(length)).decode()
