"""The route and the body of one send at Evolution API (evolution contract 5). Part of evolution; no network.

`delay` stays off: it holds the request open, and the pace is ours (reliability.md 2, fact 5).
"""

import re
from typing import Any

from shared.providers.base import Content

# Digits become a person's address. Eighteen and more would become a group's (contract 5, number handling),
# and no telephone number has more than fifteen.
_PHONE = re.compile(r"[0-9]{7,15}")
# An address that came with an event is given back as it came (contract 9, "@lid").
_JID = re.compile(r"[0-9A-Za-z.:_-]{1,64}@(s\.whatsapp\.net|lid|g\.us)")
_DATA_URI = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,(?P<data>[A-Za-z0-9+/=\s]+)")


def send_request(phone: str, content: Content) -> tuple[str, dict[str, Any]]:
    """`phone` is digits, or the JID of a chat. ValueError where no request can be made of it."""
    if not (_PHONE.fullmatch(phone) or _JID.fullmatch(phone)):
        raise ValueError("the phone must be 7 to 15 digits with its country code, or the JID of a chat")
    content.check()
    if content.kind == "text":
        return "message/sendText", {"number": phone, "text": content.text}
    media, media_type = _media(content.media_url or "")
    if content.kind == "audio":
        return "message/sendWhatsAppAudio", {"number": phone, "audio": media}
    body = {"number": phone, "mediatype": content.kind, "media": media}
    # An empty caption or name would be a caption and a name.
    more = {"mimetype": media_type, "caption": content.text, "fileName": content.file_name}
    return "message/sendMedia", body | {name: value for name, value in more.items() if value}


def _media(url: str) -> tuple[str, str | None]:
    """A data URI is refused where bare base64 is taken (contract 5)."""
    if not url.startswith("data:"):
        return url, None
    if not (found := _DATA_URI.fullmatch(url)):
        raise ValueError("content.media_url must be a URL or a data URI in base64 with something in it")
    return "".join(found["data"].split()), found["type"]
