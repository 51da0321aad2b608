"""What people type as a phone, as E.164 digits without "+". Numbering plans come from `phonenumbers`.

Whether two phones are one person is decided in SQL (messaging.phone_key), not here.
"""

import functools
import importlib.resources
import re
import unicodedata

import phonenumbers
from phonenumbers import timezone

from shared.errors import InvalidInput

# What people put between digits; letters are no vanity numbers here but a mistake.
_WRITTEN = re.compile(r"\+?[\d\s().\-/]+")
# How providers address one person (zapi contract 2.5); others (@lid, -group, @newsletter) are no phones.
_PERSON_SUFFIX = re.compile(r"@(c\.us|s\.whatsapp\.net)$")
_BRAZILIAN_MOBILE = re.compile(r"55[1-9]{2}9[6-9][0-9]{7}")


def normalize(raw: str, region: str = "BR") -> str:
    """E.164 digits of a phone as a person of `region` writes it, or in full with or without "+" or "00".

    A Brazilian mobile without its ninth digit gets it. InvalidInput says what to change, never the phone.
    """
    text = unicodedata.normalize("NFKC", raw).strip()
    if len(text) > 40 or not _WRITTEN.fullmatch(text):
        raise InvalidInput(
            "phone must be digits, at most with spaces, brackets, dots or hyphens between them, "
            "such as 11 98765-4321"
        )
    digits = re.sub(r"\D", "", text)
    for written in _readings(digits, international=text.startswith("+")):
        if found := _valid(written, region):
            return found
    raise InvalidInput(
        "phone is no telephone number: give area code and number, such as 11 98765-4321, "
        "or + and the country code for a foreign one, such as +351 912 345 678"
    )


def is_plausible(digits: str) -> bool:
    """Whether these digits may be a phone: 10 to 15 of them (functions 2.2), or a shorter one that some
    country has."""
    if not re.fullmatch(r"[0-9]{7,15}", digits):
        return False
    return len(digits) >= 10 or _valid(f"+{digits}", None) is not None


def from_provider(address: str | None) -> str | None:
    """The digits of a provider's address of one person; None for groups, channels, LIDs and nonsense."""
    digits = _PERSON_SUFFIX.sub("", (address or "").strip()).removeprefix("+")
    return digits if is_plausible(digits) else None


def forms(digits: str) -> tuple[str, ...]:
    """Each way in which a provider may write this phone: a Brazilian mobile with and without its ninth
    digit."""
    with_it = _with_ninth_digit(digits)
    if _BRAZILIAN_MOBILE.fullmatch(with_it):
        return with_it, f"{with_it[:4]}{with_it[5:]}"
    return (digits,)


def time_zone(digits: str) -> str | None:
    """The time zone of a phone with its country code: its area's, else its country's first in tz's zone.tab;
    None for what is no phone, and where no zone is known."""
    # The mobiles of a Brazilian exchange lie in one zone: a run for ten thousand people parses few phones.
    return _time_zone(f"{digits[:8]}54321" if _BRAZILIAN_MOBILE.fullmatch(digits) else digits)


@functools.lru_cache(maxsize=4096)
def _time_zone(digits: str) -> str | None:
    try:
        phone = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return None
    zones = timezone.time_zones_for_number(phone)
    if len(zones) == 1:
        return zones[0] if zones[0] != timezone.UNKNOWN_TIMEZONE else None
    country = _zones_of_countries().get(phonenumbers.region_code_for_number(phone) or "", [])
    return next((zone for zone in country if zone in zones), None)


@functools.cache
def _zones_of_countries() -> dict[str, list[str]]:
    zones: dict[str, list[str]] = {}
    table = importlib.resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            zones.setdefault(country, []).append(zone)
    return zones


def _readings(digits: str, *, international: bool) -> list[str]:
    """The ways to read the digits, likeliest first; "+" in front means a country code."""
    if international:
        return [f"+{digits}"]
    if digits.startswith("00"):
        return [f"+{digits[2:]}"]
    # Without a mark, up to eleven digits are the region's own: that is who fills in the form.
    return [digits, f"+{digits}"] if len(digits) <= 11 or digits.startswith("0") else [f"+{digits}"]


def _valid(written: str, region: str | None) -> str | None:
    """The E.164 digits of one reading, with the ninth digit; None where no numbering plan has it."""
    try:
        parsed = phonenumbers.parse(written, region)
        digits = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)[1:]
        digits = _with_ninth_digit(digits)
        return digits if phonenumbers.is_valid_number(phonenumbers.parse(f"+{digits}")) else None
    except phonenumbers.NumberParseException:
        return None


def _with_ninth_digit(digits: str) -> str:
    """55, area and eight digits from 6 to 9 on are a mobile without its ninth digit (functions 1.1)."""
    if re.fullmatch(r"55[1-9]{2}[6-9][0-9]{7}", digits):
        return f"{digits[:4]}9{digits[4:]}"
    return digits
