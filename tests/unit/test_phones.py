"""Phones as people type them, and that Python and SQL agree on who is the same person."""

import phonenumbers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from phonenumbers import timezone

from shared import inbox, phones
from shared.db import Database
from shared.errors import InvalidInput

# Brazil's area codes (Anatel); none has a zero.
AREAS = [
    *range(11, 20), 21, 22, 24, 27, 28, *range(31, 36), 37, 38, *range(41, 50), 51, 53, 54, 55,
    *range(61, 70), 71, 73, 74, 75, 77, 79, *range(81, 90), *range(91, 100),
]  # fmt: skip
AREA = st.sampled_from(AREAS)
# Mobiles began with 6 to 9 before the ninth digit; 96 to 99 behind it is what all of them have in common.
OLD_MOBILE = st.from_regex(r"[6-9][0-9]{7}", fullmatch=True)
WRITTEN = [
    "{area}9{old}", "{area}{old}", "55{area}9{old}", "55{area}{old}", "+55 {area} 9{old}", "({area}) 9{old}",
    "0055{area}9{old}", "0{area}9{old}", " {area}.9{old} ", "+55-{area}-{old}",
]  # fmt: skip


@given(area=AREA, old=OLD_MOBILE, written=st.sampled_from(WRITTEN))
def test_every_form_of_a_brazilian_mobile_is_one_phone(area: int, old: str, written: str) -> None:
    """With or without country code, ninth digit, brackets: 55, area, nine digits."""
    assert phones.normalize(written.format(area=area, old=old)) == f"55{area}9{old}"


@given(area=AREA, local=st.from_regex(r"[2-5][0-9]{7}", fullmatch=True))
def test_landlines_get_no_ninth_digit(area: int, local: str) -> None:
    """Eight digits that begin with 2 to 5 are a landline and stay so."""
    whole = f"55{area}{local}"
    if phonenumbers.is_valid_number(phonenumbers.parse(f"+{whole}")):
        assert phones.normalize(f"{area}{local}") == phones.normalize(f"+{whole}") == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(area=AREA, old=OLD_MOBILE)
def test_the_database_takes_all_forms_of_one_phone_for_one_person(db: Database, area: int, old: str) -> None:
    """messaging.phone_key agrees with what normalize makes of the same phone."""
    normal = phones.normalize(f"{area}9{old}")
    for written in WRITTEN:
        typed = written.format(area=area, old=old)
        assert inbox.same_phone(db, phones.normalize(typed), f"55{area}{old}@c.us")
    assert inbox.same_phone(db, normal, f"55{area}{old}")
    assert not inbox.same_phone(db, normal, f"55{area}{old[:-1]}{(int(old[-1]) + 1) % 10}")


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        ("+351 912 345 678", "351912345678"),
        ("00351 912 345 678", "351912345678"),
        ("351912345678", "351912345678"),
        ("+1 (212) 555-2368", "12125552368"),
        ("+51 987 654 321", "51987654321"),
        ("+44 7400 123456", "447400123456"),
        ("+298 211234", "298211234"),
        ("+39 06 6982 1234", "390669821234"),
        ("＋55　１１ 98765-4321", "5511987654321"),
    ],
)
def test_foreign_phones_are_taken_in_full(typed: str, digits: str) -> None:
    """With + or 00, or as plain digits that can be nothing else."""
    assert phones.normalize(typed) == digits


def test_eleven_bare_digits_are_read_as_brazilian_first() -> None:
    """51 987654321 is Porto Alegre here; Peru is written with its +."""
    assert phones.normalize("51987654321") == "5551987654321"


@pytest.mark.parametrize(
    "typed",
    [
        "", " ", "+", "00", "0", "123", "11 9", "abc", "0800-FLORES", "11987654321x2", "11 98765-4321 / 4322",
        "00000000000", "99999", "5500987654321", "+0 11 98765 4321", "+999 12345678", "9" * 16, "9" * 500,
        "1" * 41, "11;98765", "11\x0098765", "--", "()", "+55", "+5511", "11 98765-43",
    ],
)  # fmt: skip
def test_what_is_no_phone_is_refused_without_repeating_it(typed: str) -> None:
    """The error tells how a phone looks, and never the phone."""
    with pytest.raises(InvalidInput, match="phone") as refused:
        phones.normalize(typed)
    digits = "".join(filter(str.isdigit, typed))
    assert len(digits) < 9 or digits not in str(refused.value)


@given(st.text())
def test_any_text_is_a_phone_or_refused(text: str) -> None:
    """Nothing else comes out, whatever goes in; what comes out stands for itself."""
    try:
        digits = phones.normalize(text)
    except InvalidInput:
        return
    assert phones.normalize(f"+{digits}") == digits and phones.is_plausible(digits)


@given(area=AREA, old=OLD_MOBILE, neighbour=st.from_regex(r"[0-9]{5}", fullmatch=True))
def test_a_mobile_lies_where_its_exchange_lies(area: int, old: str, neighbour: str) -> None:
    """Zones are told per exchange, from one of its phones: as `phonenumbers` tells them of each."""
    digits = f"55{area}9{old}"
    phones.time_zone(f"{digits[:8]}{neighbour}")
    zones = timezone.time_zones_for_number(phonenumbers.parse(f"+{digits}"))
    assert phones.time_zone(digits) == (zones[0] if zones[0] != timezone.UNKNOWN_TIMEZONE else None)


@pytest.mark.parametrize(
    ("address", "digits"),
    [
        ("5511987654321", "5511987654321"),
        ("551187654321@c.us", "551187654321"),
        ("5511987654321@s.whatsapp.net", "5511987654321"),
        ("+5511987654321", "5511987654321"),
        ("298211234", "298211234"),
        ("1234567890", "1234567890"),
        ("123456789012345", "123456789012345"),
        ("123456789", None),
        ("1234567890123456", None),
        ("100000000000001@lid", None),
        ("120363000000000001-group", None),
        ("5511987654321-1600000000@g.us", None),
        ("120363000000000001@newsletter", None),
        ("status@broadcast", None),
        ("", None),
        (None, None),
        ("٥٥١١٩٨٧٦٥٤٣٢١", None),
    ],
)
def test_addresses_of_persons_are_phones_and_others_are_not(address: str | None, digits: str | None) -> None:
    """10 to 15 digits (functions 2.2), or a shorter phone of a small country; no group, LID or channel."""
    assert phones.from_provider(address) == digits
