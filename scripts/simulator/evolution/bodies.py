"""Request bodies as the real server's parsers read them: JSON, forms, multipart; everything else is empty."""

import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from scripts.simulator.evolution.refusals import no_json
from scripts.simulator.http_server import Answer, Request


def parsed(request: Request) -> dict[str, Any] | Answer:
    """The body's fields, or the refusal of one that is no JSON. A multipart file is `file`: bytes."""
    content_type = request.headers.get("content-type", "").lower()
    if content_type.startswith("application/json"):
        return _json(request.body)
    if content_type.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    if content_type.startswith("multipart/form-data"):
        return _multipart(request)
    return {}


def _json(body: bytes) -> dict[str, Any] | Answer:
    if not body:
        return {}
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        return no_json(body, error.pos if text[error.pos :].strip() else len(text), text)
    # Its parser is strict: only objects and lists are JSON.
    if not isinstance(found, dict | list):
        return no_json(body, 0, text)
    return found if isinstance(found, dict) else {}


def _multipart(request: Request) -> dict[str, Any]:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    fields: dict[str, Any] = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + request.body).iter_parts():
        name = part.get_param("name", header="content-disposition")
        raw = part.get_payload(decode=True)
        data = raw if isinstance(raw, bytes) else b""
        if name == "file":
            fields["file"], fields["file_name"] = data, part.get_filename() or "file"
        elif isinstance(name, str):
            fields[name] = data.decode("utf-8", "replace")
    return fields
