"""messaging.phone_key: one key per person in every Brazilian form, and never one key for two people."""

import pytest

from tests.database.world import World

SAME_PERSON = [
    "5511987654321", "551187654321", "11987654321", "+55 (11) 98765-4321", "(11) 98765-4321", "55 11 8765-4321",
    "5511987654321@c.us", "551187654321@s.whatsapp.net", "+55 11 8765-4321",
]  # fmt: skip

FOREIGN = {
    "Portugal": "+351 912 345 678", "Argentina": "+54 9 11 2345-6789", "United States": "+1 212 555 1234",
    "Peru": "+51 987 654 321", "Chile": "+56 9 8765 4321", "Singapore": "+65 9123 4567", "Norway": "+47 9123 4567",
    "Russia": "+7 999 123-45-67", "Denmark": "+45 20 12 34 56", "Mexico": "+52 1 55 1234 5678",
}  # fmt: skip


def key(world: World, phone: str | None) -> str | None:
    """The key that the database gives."""
    answer: str | None = world.value("select messaging.phone_key(%s)", phone)
    return answer


@pytest.mark.parametrize("phone", SAME_PERSON)
def test_every_brazilian_form_is_one_person(world: World, phone: str) -> None:
    """12 and 13 digits, with and without 55, as people type it and as providers report it."""
    assert key(world, phone) == "551187654321"


@pytest.mark.parametrize("phone", FOREIGN.values(), ids=FOREIGN)
def test_an_international_number_is_taken_as_it_stands(world: World, phone: str) -> None:
    """A phone written with its + is not read as a Brazilian one without country code: that would be someone else."""
    digits = "".join(filter(str.isdigit, phone))
    assert key(world, phone) == digits


@pytest.mark.parametrize("phone", FOREIGN.values(), ids=FOREIGN)
def test_a_whatsapp_address_is_always_international(world: World, phone: str) -> None:
    """What stands before an @ has its country code, so it is never read as a Brazilian phone without one."""
    digits = "".join(filter(str.isdigit, phone))
    assert key(world, f"{digits}@s.whatsapp.net") == digits


def test_a_foreigner_and_a_brazilian_are_two_profiles(world: World) -> None:
    """+51 987 654 321 (Peru) signs up after +55 51 98765-4321 (Porto Alegre): two people, two profiles."""
    world.number()
    brazilian = world.sign_up("+55 51 98765-4321")
    peruvian = world.sign_up("+51 987 654 321")
    assert peruvian["already_exists"] is False
    assert peruvian["profile_id"] != brazilian["profile_id"]


def test_a_landline_and_a_mobile_of_the_same_digits_stay_apart(world: World) -> None:
    """The ninth digit is dropped from mobiles only: 55 11 3456-7890 has no thirteenth digit to lose."""
    assert key(world, "551134567890") == "551134567890" == key(world, "1134567890")
    assert key(world, "5511334567890") == "5511334567890"


@pytest.mark.parametrize(("phone", "expected"), [(None, None), ("", ""), ("abc", ""), ("@c.us", "")])
def test_no_phone_gives_no_key(world: World, phone: str | None, expected: str | None) -> None:
    """Nothing is no person; such profiles do not collide with each other."""
    assert key(world, phone) == expected


def test_profiles_without_a_phone_do_not_collide(world: World) -> None:
    """The unique index on the key leaves out who has no digits."""
    for phone in (None, None, "none", "unknown"):
        world.profile(phone)
    assert world.value("select messaging.find_profile('')") is None
