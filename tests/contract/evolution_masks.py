"""What differs between two runs of the same request or event, masked by the form that it must have."""

import re
from typing import Any

# What differs from run to run, by the form that it must have.
_FORMS = {
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "token": re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}"),
    "database id": re.compile(r"cm[0-9a-z]{23}"),
    "message id": re.compile(r"3EB0[0-9A-F]{18}"),
    "received id": re.compile(r"3A[0-9A-F]{18}"),
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    "qr code": re.compile(r"2@[^,]+,[^,]+,[^,]+,[^,]+"),
    "picture": re.compile(r"data:image/png;base64,.+"),
}
_SECONDS = range(1_700_000_000, 2_100_000_000)


def masked(value: Any) -> Any:
    """A body with its ids, times, keys and addresses replaced by what they are."""
    if isinstance(value, dict):
        if "0" in value and "1" in value:
            return "<bytes>"
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and value in _SECONDS:
        return "<seconds>"
    return _masked_text(value) if isinstance(value, str) else value


def _masked_text(value: str) -> str:
    for name, form in _FORMS.items():
        if form.fullmatch(value):
            return f"<{name}>"
    return re.sub(r"http://127\.0\.0\.1:\d+", "<address>", value)


def same(recorded: Any, answered: Any) -> bool:
    """As equal, but a recorded text may leave something out, by … or by a description in <>."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        return list(recorded) == list(answered) and all(same(recorded[k], answered[k]) for k in recorded)
    if isinstance(recorded, list) and isinstance(answered, list):
        return len(recorded) == len(answered) and all(map(same, recorded, answered))
    if isinstance(recorded, str) and isinstance(answered, str) and ("…" in recorded or "<multi" in recorded):
        pieces = [piece.strip() for piece in re.split(r"…|<multi[^>]*>", recorded)]
        return re.fullmatch(".*".join(map(re.escape, pieces)), answered, re.DOTALL) is not None
    return bool(recorded == answered)
