"""messaging.phone_key: one key per person in every Brazilian form, and never one key for two people."""

from tests.database.world import World

SAME_PERSON = [
    "5511987654321",
    "551187654321",
    "+55 (11) 98765-4321",
    "+55 11 8765-4321",
    "55 11 8765-4321",
    "5511987654321@c.us",
    "551187654321@s.whatsapp.net",
]

FOREIGN = {
    "Portugal": "+351 912 345 678",
    "Argentina": "+54 9 11 2345-6789",
    "United States": "+1 212 555 1234",
    "Peru": "+51 987 654 321",
    "Chile": "+56 9 8765 4321",
    "Singapore": "+65 9123 4567",
    "Norway": "+47 9123 4567",
    "Russia": "+7 999 123-45-67",
    "Denmark": "+45 20 12 34 56",
    "Mexico": "+52 1 55 1234 5678",
}


def key(world: World, phone: str | None) -> str | None:
    """The key that the database gives."""
    answer: str | None = world.value("select messaging.phone_key(%s)", phone)
    return answer


def test_every_brazilian_form_with_country_code_is_one_person(world: World) -> None:
    """12 and 13 digits, as people type them and as providers report them."""
    assert {key(world, phone) for phone in SAME_PERSON} == {"551187654321"}


def test_a_foreign_number_is_taken_as_it_stands(world: World) -> None:
    """Written with its + or as a provider's address, no digit is dropped and none is guessed."""
    for phone in FOREIGN.values():
        digits = "".join(filter(str.isdigit, phone))
        assert {key(world, phone), key(world, f"{digits}@s.whatsapp.net")} == {digits}


def test_no_country_code_is_guessed(world: World) -> None:
    """51 987654321 is Lima and Porto Alegre: without its country code a phone is nobody else's."""
    assert key(world, "51987654321") == "51987654321" != key(world, "5551987654321")


def test_a_foreigner_and_a_brazilian_are_two_profiles(world: World) -> None:
    """+51 987 654 321 (Peru) signs up after +55 51 98765-4321 (Porto Alegre): two people, two profiles."""
    world.number()
    brazilian = world.sign_up("+55 51 98765-4321")
    peruvian = world.sign_up("+51 987 654 321")
    assert peruvian["already_exists"] is False
    assert peruvian["profile_id"] != brazilian["profile_id"]


def test_a_landline_and_a_mobile_of_the_same_digits_stay_apart(world: World) -> None:
    """The ninth digit is dropped from mobiles only: 55 11 3456-7890 has no thirteenth digit to lose."""
    for phone in ("551134567890", "1134567890", "5511334567890", "5511934567890"):
        assert key(world, phone) == phone


def test_no_phone_gives_no_key(world: World) -> None:
    """Nothing is no person; such profiles do not collide with each other."""
    assert [key(world, phone) for phone in (None, "", "abc", "@c.us")] == [None, "", "", ""]


def test_profiles_without_a_phone_do_not_collide(world: World) -> None:
    """The unique index on the key leaves out who has no digits."""
    for phone in (None, None, "none", "unknown"):
        world.profile(phone)
    assert world.value("select messaging.find_profile('')") is None
