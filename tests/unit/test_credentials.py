"""Sealed credentials: they open in their own place with a key of the ring, and nowhere else."""

import base64
import os
import traceback
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import credentials
from shared.credentials import OF_INSTANCE, CredentialsUnusable, KeyRing, of_instance, of_oauth, parse
from shared.dispatcher import Providers
from shared.errors import SettingsError
from shared.settings import Settings, load
from tests.keys import RING, entry

CANARY = "canary-token-5511987654321"
NUMBER = uuid.UUID("6f1d1e7e-7a4f-4e9a-9a33-6c9b5b8f1a01")
PLACE = of_instance(NUMBER, "zapi_token")


def refused(ring: KeyRing, stored: str, place: credentials.Place = PLACE) -> str:
    """How opening it is refused; neither the value nor a cause is in the error or its traceback."""
    with pytest.raises(CredentialsUnusable) as raised:
        ring.open(stored, place)
    told = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    assert CANARY not in told
    assert stored not in told
    assert raised.value.__cause__ is None
    return str(raised.value)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens_again(plain: str) -> None:
    """Any text, the same again; sealed twice it looks different, and never like the text."""
    one, two = RING.seal(plain, PLACE), RING.seal(plain, PLACE)

    assert RING.open(one, PLACE) == RING.open(two, PLACE) == plain
    assert one != two
    assert one.startswith("enc:v1:of-the-tests:")
    assert len(plain) < 6 or plain not in one


@pytest.mark.parametrize("stored", ["", "plain", "enc:v2:k:abc", "ENC:v1:k:abc", CANARY])
def test_what_was_never_sealed_comes_back_as_it_is(stored: str) -> None:
    """An adopted credential works with and without a ring, until it is encrypted."""
    assert RING.open(stored, PLACE) == KeyRing().open(stored, PLACE) == stored
    assert not RING.is_sealed(stored)


@pytest.mark.parametrize(
    "other",
    [
        of_instance(uuid.uuid4(), "zapi_token"),
        of_instance(NUMBER, "zapi_client_token"),
        of_oauth(NUMBER, "meta_ads"),
        credentials.Place(credentials.INSTANCES, "zapi_token", str(NUMBER).upper()),
    ],
)
def test_a_sealed_value_copied_elsewhere_does_not_open(other: credentials.Place) -> None:
    """Bound to table, column and row: who may write rows cannot make one number send with another's token."""
    assert "belongs to another row" in refused(RING, RING.seal(CANARY, PLACE), other)


def test_each_changed_character_is_noticed() -> None:
    """Any bit of nonce, ciphertext or tag, and the key's id, which is bound too."""
    ring = parse(f"{entry('a', 'a')},{entry('b', 'b')}")
    sealed = ring.seal(CANARY, PLACE)
    head, _, body = sealed.rpartition(":")
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    for index in range(len(raw)):
        changed = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        refused(ring, f"{head}:{base64.urlsafe_b64encode(changed).decode().rstrip('=')}")
    refused(ring, sealed.replace("enc:v1:a:", "enc:v1:b:"))


@pytest.mark.parametrize(
    "stored", ["enc:v1:", "enc:v1:k", "enc:v1:k:", "enc:v1::abc", "enc:v1:k:a b", "enc:v1:é:a"]
)
def test_a_malformed_value_is_refused_and_not_taken_for_plain(stored: str) -> None:
    """What claims to be sealed is never sent to a provider as it stands."""
    with pytest.raises(CredentialsUnusable, match="not ours"):
        RING.open(stored, PLACE)


@pytest.mark.parametrize("body", ["A", "AAAA", "A" * 5, "A" * 16, "A" * 20, "A" * 38])
def test_a_body_that_is_too_short_is_refused(body: str) -> None:
    """Shorter than a nonce and a tag: the same error, not the library's."""
    refused(RING, f"enc:v1:of-the-tests:{body}")


def test_a_key_that_is_not_in_the_ring_is_named() -> None:
    """The line says which key, and which variable must have it."""
    sealed = parse(entry("lost", "x")).seal(CANARY, PLACE)
    for ring in (RING, KeyRing()):
        told = refused(ring, sealed)
        assert "key lost" in told
        assert "ROLETA_CREDENTIALS_KEYS" in told


def test_another_key_under_the_same_id_does_not_open() -> None:
    """A ring that was made anew by mistake is told apart from a lost one."""
    assert "another key under this id" in refused(parse(entry("of-the-tests", "x")), RING.seal(CANARY, PLACE))


def test_the_first_key_seals_and_all_open() -> None:
    """Which is what lets them rotate: old values open until they are sealed anew."""
    old, both = parse(entry("old", "o")), parse(f"{entry('new', 'n')}, {entry('old', 'o')}")

    assert both.open(old.seal(CANARY, PLACE), PLACE) == CANARY
    assert both.seal(CANARY, PLACE).startswith("enc:v1:new:")
    assert both.key_ids == ("new", "old")


def test_an_empty_ring_seals_nothing() -> None:
    """It refuses, and says how to make a key."""
    with pytest.raises(SettingsError, match="roleta credentials new-key"):
        KeyRing().seal(CANARY, PLACE)


def test_a_new_entry_is_one_that_the_variable_takes() -> None:
    """Each is another; both alphabets of base64 are taken, with or without padding."""
    made = credentials.new_entry()
    assert made != credentials.new_entry()
    assert parse(made).seal("x", PLACE)
    key = os.urandom(32)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for text in (encode(key).decode(), encode(key).decode().rstrip("=")):
            assert parse(f"k:{text}").keys == (("k", key),)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (CANARY, "entry 1"),
        (f"{entry('a')},{CANARY}", "entry 2"),
        (f":{CANARY}", "entry 1"),
        (f"a b:{CANARY}", "entry 1"),
        (f"a:{CANARY}", "entry 1"),
        (f"a:{base64.b64encode(b'short').decode()}", "32 bytes"),
        (f"{entry('a', 'x')},{entry('a', 'y')}", "one id"),
        (f"{entry('a', 'x')},{entry('b', 'x')}", "two ids"),
    ],
)
def test_a_wrong_variable_is_told_without_its_value(text: str, named: str) -> None:
    """At the start of every process, by the variable's name and the entry's place."""
    with pytest.raises(SettingsError, match=named) as raised:
        load({"ROLETA_CREDENTIALS_KEYS": text}, None)

    assert "ROLETA_CREDENTIALS_KEYS" in str(raised.value)
    assert CANARY not in "".join(traceback.format_exception(raised.value))


def test_keys_are_in_no_repr_and_among_the_secrets() -> None:
    """Neither ring nor settings show a key, and the log masks it."""
    text = f"{entry('a', 'x')},{entry('b', 'y')}"
    settings = load({"ROLETA_CREDENTIALS_KEYS": text}, None)
    ring = KeyRing.from_settings(settings)

    assert ring.key_ids == ("a", "b")
    for key in (part.partition(":")[2] for part in text.split(",")):
        assert key in settings.secrets
        assert key not in repr(settings) + repr(ring)
    assert "xxxx" not in repr(ring)


def test_a_client_is_made_of_opened_credentials() -> None:
    """The dispatcher's factory opens what a row holds; with the wrong ring the number's credentials are
    unusable (a ValueError, upon which it is halted and its message goes back to the queue)."""
    row = {"instance_id": NUMBER, "provider": "zapi", "zapi_instance_id": "I1"} | {
        column: RING.seal(f"{column}-value", of_instance(NUMBER, column)) for column in OF_INSTANCE
    }
    providers = Providers(zapi_base_url="http://127.0.0.1:9", max_connections=1, ring=RING)
    assert providers(row).state().connected is None
    providers.close()
    without = Providers(zapi_base_url="http://127.0.0.1:9", max_connections=1, ring=KeyRing())
    with pytest.raises(ValueError, match="key of-the-tests, which ROLETA_CREDENTIALS_KEYS does not have"):
        without(row)
    without.close()


def test_an_unset_variable_is_an_empty_ring() -> None:
    """Everything works as before, in plain text."""
    assert not KeyRing.from_settings(Settings())
    assert not KeyRing.from_settings(load({"ROLETA_CREDENTIALS_KEYS": " , "}, None))
