"""Request bodies: read and bounded before anything parses them, then parsed strictly or leniently.

Strict is for callers who can mend their request; lenient for providers, whose event must not be lost.
"""

import json
import math
import re
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn

import falcon

from shared.errors import InvalidInput, RoletaError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
# Of a gzip body: whoever joins packed parts joins a few; each costs a copy of all that follows it.
MAX_MEMBERS = 16
_INT_LIMIT = 2**63
# A string or a bracket. A string without its end matches up to the body's end, so that the scan stays linear.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_GZIP = 16 + zlib.MAX_WBITS
_FORMS = ("application/x-www-form-urlencoded", "multipart/")


class BodyRefused(RoletaError):
    """This body cannot be taken."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status


class BodyGuard:
    """falcon middleware: leaves the bounded, decoded bytes in req.context.body, before anything parses."""

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, _resource: object, _params: Mapping[str, Any]
    ) -> None:
        """Raises BodyRefused (400, 413, 415) where the bytes cannot be taken; runs for every route."""
        data = decoded(raw_body(req.env), req.env.get("HTTP_CONTENT_ENCODING", ""))
        refuse_deep(data)
        req.context.body = data


def is_form(content_type: str | None) -> bool:
    """Whether the body says to be a form, which no function of ours takes."""
    return (content_type or "").strip().lower().startswith(_FORMS)


def raw_body(env: Mapping[str, Any]) -> bytes:
    """The bytes as they came, whatever Content-Length says; BodyRefused above MAX_BYTES or when cut short."""
    said = env.get("CONTENT_LENGTH") or None
    stream = env["wsgi.input"]
    if said is None:
        # No length: only a server that ends the input itself (chunked) may be read to the end.
        data = stream.read(MAX_BYTES + 1) if env.get("wsgi.input_terminated") else b""
    elif not (said.isascii() and said.isdigit()):
        raise BodyRefused(400, "Content-Length must be a number")
    elif len(said) > 18 or int(said) > MAX_BYTES:
        raise BodyRefused(413, _too_large())
    else:
        data = stream.read(int(said))
        if len(data) < int(said):
            raise BodyRefused(400, "the body is shorter than its Content-Length: send it whole")
    if len(data) > MAX_BYTES:
        raise BodyRefused(413, _too_large())
    return bytes(data)


def decoded(data: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding, at most MAX_BYTES of it."""
    match encoding.strip().lower():
        case "" | "identity":
            return data
        case "gzip" | "x-gzip":
            return _gunzipped(data)
    raise BodyRefused(415, "Content-Encoding must be gzip, or none")


def refuse_deep(data: bytes) -> None:
    """BodyRefused where brackets outside strings nest deeper than MAX_DEPTH; reads once, never recurses."""
    depth = 0
    for token in _TOKEN.finditer(data):
        match data[token.start()]:
            case 0x5B | 0x7B:
                depth += 1
                if depth > MAX_DEPTH:
                    raise BodyRefused(400, f"the JSON is nested too deeply: at most {MAX_DEPTH} levels")
            case 0x5D | 0x7D:
                depth -= 1


def parse_strict(data: bytes) -> dict[str, Any]:
    """A JSON object that says one thing only: no NaN, no duplicate name, nothing that cannot be stored."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("the body is not valid UTF-8") from None
    value = _loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_small_int,
        object_pairs_hook=_unique,
    )
    _refuse_unstorable(value)
    return _object(value)


def parse_lenient(data: bytes) -> dict[str, Any]:
    """A JSON object as well as it can be read: bad UTF-8 becomes U+FFFD, NaN null, a huge number text."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    value = _loads(text, strict=False, parse_constant=lambda _: None, parse_int=_int_or_text)
    return _object(value)


def text_field(body: Mapping[str, Any], name: str, *, longest: int, required: bool = True) -> str | None:
    """A text of 1 to `longest` characters without spaces around it; None where not required nor given."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f"{name} must be a text")
    text = (value or "").strip()
    if not text and required:
        raise InvalidInput(f"{name} is missing")
    if len(text) > longest:
        raise InvalidInput(f"{name} is too long: at most {longest} characters")
    return text or None


def required_text(body: Mapping[str, Any], name: str, *, longest: int) -> str:
    """As text_field, for what must be there."""
    return text_field(body, name, longest=longest) or ""


def _gunzipped(data: bytes) -> bytes:
    plain, members = bytearray(), 0
    while data:
        members += 1
        if members > MAX_MEMBERS:
            raise BodyRefused(400, f"the gzip body has too many members: at most {MAX_MEMBERS}")
        member = zlib.decompressobj(_GZIP)
        try:
            plain += member.decompress(data, MAX_BYTES + 1 - len(plain))
        except zlib.error:
            raise BodyRefused(400, "the body is not valid gzip") from None
        if len(plain) > MAX_BYTES:
            raise BodyRefused(413, _too_large())
        if not member.eof:
            raise BodyRefused(400, "the gzip body is incomplete")
        data = member.unused_data.lstrip(b"\0")
    return bytes(plain)


def _too_large() -> str:
    return f"the body is too large: at most {MAX_BYTES} bytes, unpacked"


def _loads(text: str, **options: Any) -> Any:
    if not text.strip():
        raise InvalidInput("the body is empty: send a JSON object")
    try:
        return json.loads(text, **options)
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput("the body must be a JSON object, such as {...}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"the body is not valid JSON: {name} is no number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidInput("the body holds a number that is too large")
    return value


def _small_int(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) >= _INT_LIMIT:
        raise InvalidInput("the body holds a number that is too large")
    return int(digits)


def _int_or_text(digits: str) -> int | str:
    return int(digits) if len(digits) <= 30 else digits


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise InvalidInput("the body names a field twice")
    return value


def _refuse_unstorable(value: Any) -> None:
    """The depth is bounded, so this may recurse."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= each <= "\udfff" for each in value):
            raise InvalidInput("the body holds a NUL character or half a surrogate pair: remove it")
    elif isinstance(value, dict):
        for name, each in value.items():
            _refuse_unstorable(name)
            _refuse_unstorable(each)
    elif isinstance(value, list):
        for each in value:
            _refuse_unstorable(each)
