"""Templates and static files: where they are, and the address of a file, which changes with its content."""

import datetime
import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
import phonenumbers
from markupsafe import Markup, escape

from shared import clock
from shared.texts_pt import pages as words

_BOLD = re.compile(r"\*([^*\n]+)\*")
_SLANTED = re.compile(r"(?<!\w)_([^_\n]+)_(?!\w)")
_EDGE = Path(__file__).resolve().parent.parent
STATIC = _EDGE / "static"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Templates:
    """The pages' templates; a name that is needed and not given is an error. Times in `time_zone`."""

    def __init__(self, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone)
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_EDGE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(asset=asset, words=words)
        self._environment.filters.update(phone=phone, when=self.when, money=money, marked=marked)

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """One page as text."""
        return self._environment.get_template(template).render(values)

    def when(self, moment: datetime.datetime | None) -> str:
        """A moment as one says it: "hoje, 14h05", "ontem, 9h00", "12/11/2026, 14h05"; "" for None."""
        if moment is None:
            return ""
        local = moment.astimezone(self._zone)
        days = (clock.now().astimezone(self._zone).date() - local.date()).days
        day = {-1: "amanhã", 0: "hoje", 1: "ontem"}.get(days) or f"{local:%d/%m/%Y}"
        return f"{day}, {local.hour}h{local:%M}"


def phone(digits: str | None) -> str:
    """A phone for reading, such as +55 11 98765-4321; "" for None, the text itself where it is no phone."""
    if not digits:
        return ""
    try:
        parsed = phonenumbers.parse(f"+{digits.lstrip('+')}")
    except phonenumbers.NumberParseException:
        return digits
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def money(amount: object) -> str:
    """An amount as a Brazilian writes it, without the currency: 1234,56."""
    return f"{float(str(amount)):.2f}".replace(".", ",")


def marked(text: str) -> Markup:
    """A message as WhatsApp shows it: *bold* and _slanted_; everything else stands as it is."""
    slanted = _SLANTED.sub(r"<em>\1</em>", str(escape(text)))
    return Markup(_BOLD.sub(r"<strong>\1</strong>", slanted))  # noqa: S704 - escaped first


def asset(name: str) -> str:
    """The path of a static file, with a part of its content's hash: it may be kept for ever."""
    stem, _, suffix = name.rpartition(".")
    return f"/static/{stem}.{file_hash(name)}.{suffix}"


@functools.cache
def static_file(name: str) -> bytes:
    """The bytes of a static file; KeyError for what is none."""
    if name not in static_names():
        raise KeyError(name)
    return (STATIC / name).read_bytes()


@functools.cache
def static_names() -> frozenset[str]:
    """The files that are served; nothing else of the disk ever is."""
    return frozenset(each.name for each in STATIC.iterdir() if each.suffix in CONTENT_TYPES)


@functools.cache
def file_hash(name: str) -> str:
    """Sixteen hex digits that change with the file."""
    return hashlib.sha256(static_file(name)).hexdigest()[:16]
