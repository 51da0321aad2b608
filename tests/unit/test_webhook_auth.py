"""Who is believed at a number's webhook, below HTTP."""

import uuid

import pytest

from shared import sealing
from shared.credentials import KeyRing
from shared.db import Database
from shared.webhook_auth import Unauthorized, authenticate, hash_token, new_token, same_secret
from tests.keys import RING

pytestmark = pytest.mark.scoreboard("S1", tier="commit")


def add(db: Database, zapi_id: str, token: str, secret: str | None = None) -> uuid.UUID:
    """A number; two of them may name the same Z-API instance in an adopted table."""
    [row] = db.rows(
        """
        insert into public.whatsapp_instances
            (name, zapi_instance_id, zapi_token, zapi_client_token, webhook_token_hash)
        values (%(name)s, %(zapi_id)s, %(token)s, 'client', %(hash)s) returning id
        """,
        {
            "name": uuid.uuid4().hex,
            "zapi_id": zapi_id,
            "token": token,
            "hash": hash_token(secret) if secret else None,
        },
    )
    found: uuid.UUID = row["id"]
    return found


def ask(
    db: Database, path: str | None, header: str | None, claimed: object, ring: KeyRing | None = None
) -> uuid.UUID | None:
    """The number that these prove, or None."""
    try:
        return authenticate(
            db, path_token=path, header_token=header, claimed_instance=claimed, ring=ring
        ).instance_id
    except Unauthorized as refused:
        assert str(refused) == "Unauthorized"
        return None


def test_new_secrets_have_256_bits_fit_a_path_and_never_repeat() -> None:
    """43 URL-safe characters are 32 random bytes."""
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(len(each) == 43 and each.replace("-", "").replace("_", "").isalnum() for each in tokens)
    assert len(hash_token(tokens.pop())) == 32


def test_path_secret_proves_its_own_number_only(db: Database) -> None:
    """The payload must name the number of the secret, and a token header must be its own."""
    one, two = add(db, "A", "token-a", "secret-a"), add(db, "B", "token-b", "secret-b")
    assert ask(db, "secret-a", None, "A") == one
    assert ask(db, "secret-b", "token-b", "B") == two
    for path, header, claimed in (
        ("secret-a", None, "B"),
        ("secret-a", "token-b", "A"),
        ("secret-a", "token-b", "B"),
        ("secret-a", "", "A"),
        ("secret-a", "token-", "A"),
        ("secret-a", None, "A "),
        ("secret-a", None, None),
        ("secret-a", None, ""),
        ("", None, "A"),
        ("", "token-a", "A"),
        ("secret", "token-a", "A"),
    ):
        assert ask(db, path, header, claimed) is None, (path, header, claimed)


def test_without_a_path_secret_only_the_named_number_s_token_proves(db: Database) -> None:
    """The bare address is for numbers that others configured."""
    one = add(db, "A", "token-a")
    add(db, "B", "token-b")
    assert ask(db, None, "token-a", "A") == one
    for header, claimed in (
        ("token-b", "A"),
        ("token-", "A"),
        (None, "A"),
        ("", "A"),
        ("token-a", "C"),
        ("token-a", ["A"]),
    ):
        assert ask(db, None, header, claimed) is None, (header, claimed)


def test_two_rows_of_one_instance_are_told_apart_by_their_tokens(db: Database) -> None:
    """An adopted table may hold an instance twice, with an old and a new token."""
    old, new = add(db, "A", "token-old"), add(db, "A", "token-new")
    assert ask(db, None, "token-old", "A") == old
    assert ask(db, None, "token-new", "A") == new


def test_a_sealed_token_is_compared_opened(db: Database) -> None:
    """The token proves, its sealed form does not, and a token that was copied from another row proves
    nothing."""
    one, two = add(db, "A", "token-a", "secret-a"), add(db, "B", "token-b", "secret-b")
    sealing.seal_plain(db, RING, told=lambda _: None)
    [stored] = db.rows("select zapi_token from public.whatsapp_instances where id = %(id)s", {"id": one})
    sealed = stored["zapi_token"]
    assert RING.is_sealed(sealed)

    assert ask(db, None, "token-a", "A", RING) == ask(db, "secret-a", "token-a", "A", RING) == one
    assert ask(db, None, "token-b", "B", RING) == two
    for header in ("token-b", sealed, "", "enc:v1:"):
        assert ask(db, None, header, "A", RING) is None, header
        assert ask(db, "secret-a", header, "A", RING) is None, header
    assert ask(db, None, "token-c", "C", RING) is None


def test_without_its_key_a_number_is_proven_by_the_path_alone(db: Database) -> None:
    """A gateway whose ring is not complete loses no event of a webhook that we configured; the bare address,
    where only the token could prove, is refused like any other, its sealed form included."""
    one = add(db, "A", "token-a", "secret-a")
    sealing.seal_plain(db, RING, told=lambda _: None)
    [stored] = db.rows("select zapi_token from public.whatsapp_instances where id = %(id)s", {"id": one})

    assert ask(db, "secret-a", "token-a", "A") == ask(db, "secret-a", None, "A") == one
    assert ask(db, "secret-a", None, "B") is None
    for header in ("token-a", stored["zapi_token"], ""):
        assert ask(db, None, header, "A") is None, header


def test_odd_characters_are_refused_like_any_other(db: Database) -> None:
    """Nothing that a header or a payload can hold is an error of ours."""
    add(db, "A", "token-a", "secret-a")
    for odd in ("\x00", "\ud800", "é" * 1000, "\x00A"):
        assert ask(db, odd, odd, odd) is None
        assert ask(db, None, odd, odd) is None
        assert ask(db, "secret-a", None, odd) is None


def test_empty_secrets_equal_nothing() -> None:
    """A secret that was never set must not be met by a header that was never sent."""
    assert not same_secret("", "")
    assert same_secret("a", "a") and not same_secret("a", "b")
