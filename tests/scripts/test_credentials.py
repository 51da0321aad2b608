"""`roleta credentials new-key`, `encrypt-credentials`, `rotate-keys`, and what writes credentials."""

import json
from uuid import UUID, uuid4

import psycopg
import pytest

from shared import instances, sealing
from shared.credentials import KeyRing, of_oauth, parse
from shared.db import Database
from tests.dump import found_in, pg_dump, tables_with
from tests.keys import KEYS, RING, entry
from tests.scripts.conftest import secrets_of
from tests.scripts.roleta import Roleta

PLAIN = {f"token {index}": f"plain-canary-{index:04d}-Qx" for index in range(460)}
AD_TOKEN = "EAAB-ad-platform-canary"
BOTH = f"{entry('new', 'n')},{KEYS}"


@pytest.fixture
def in_plain(database_url: str) -> str:
    """460 numbers and an agency's ad platform as an adopted project has them; more than two batches."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into public.whatsapp_instances (name, zapi_instance_id, zapi_token, zapi_client_token)"
            " select n, n, v, 'client-' || v from unnest(%s::text[], %s::text[]) as t (n, v)",
            [list(PLAIN), list(PLAIN.values())],
        )
        connection.execute(
            "insert into public.oauth_connections (manager_id, provider, access_token)"
            " values (%s, 'meta_ads', %s), (%s, 'ga4', ''), (%s, 'google_ads', null)",
            [uuid4(), AD_TOKEN, uuid4(), uuid4()],
        )
    return database_url


def of_one(db: Database, name: str) -> tuple[UUID, str]:
    """A number's id and its token as it stands."""
    [row] = db.rows(
        "select id, zapi_token from public.whatsapp_instances where name = %(name)s", {"name": name}
    )
    return row["id"], row["zapi_token"]


def test_a_new_key_is_one_entry_and_needs_no_database(bare_roleta: Roleta) -> None:
    """One line that the variable takes; each call another."""
    one, two = bare_roleta.well("credentials", "new-key"), bare_roleta.well("credentials", "new-key")

    assert one != two
    assert len(one.splitlines()) == 1
    assert len(parse(one.strip()).keys) == 1


@pytest.mark.scoreboard("S10", tier="landing")
def test_encrypting_leaves_nothing_in_plain_text(roleta: Roleta, in_plain: str, db: Database) -> None:
    """It shows what would be sealed and what stops working, asks, and seals all of it; every value opens to
    what it was, and a dump of the whole database holds none. A second run finds nothing to do."""
    secrets = PLAIN | {"ad platform": AD_TOKEN}
    assert {name for _, name in tables_with(in_plain, secrets)} == set(secrets)
    assert found_in(pg_dump(in_plain), secrets) == list(secrets)
    asked = roleta("encrypt-credentials")
    assert (asked.exit_code, asked.stderr) == (
        1,
        "roleta: nothing encrypted: there is no terminal to ask at; --yes answers for you\n",
    )
    assert "stops working" in asked.stdout
    assert asked.stdout.count("460") == 2
    assert sealing.plain(db) == 921
    assert "921 credentials stand in plain text" in roleta.well("status")

    said = roleta.well("encrypt-credentials", "--yes")

    assert "921 credentials sealed with key of-the-tests" in said
    assert tables_with(in_plain, secrets) == []
    assert found_in(pg_dump(in_plain), secrets) == []
    for name, value in list(PLAIN.items())[::90]:
        instance_id, _ = of_one(db, name)
        assert instances.credentials(db, instance_id, RING) == instances.Credentials(
            name, value, f"client-{value}"
        )
    [row] = db.rows(
        "select manager_id, access_token from public.oauth_connections where provider = 'meta_ads'"
    )
    assert RING.open(row["access_token"], of_oauth(row["manager_id"], "meta_ads")) == AD_TOKEN
    before = of_one(db, "token 7")
    assert "nothing to encrypt" in roleta.well("encrypt-credentials", "--yes")
    assert of_one(db, "token 7") == before
    assert "plain text" not in roleta.well("status")
    assert roleta.told("status", "--json")["plain_credentials"] == 0


def test_only_one_kind_is_encrypted_where_asked(roleta: Roleta, in_plain: str, db: Database) -> None:
    """A project whose own code still refreshes ad tokens encrypts the numbers' alone."""
    assert "920 credentials sealed" in roleta.well("encrypt-credentials", "--yes", "--only", "numbers")
    assert sealing.plain(db) == 1
    assert {name for _, name in tables_with(in_plain, {"ad platform": AD_TOKEN})} == {"ad platform"}


def test_rotating_seals_all_with_the_first_key(roleta: Roleta, in_plain: str, db: Database) -> None:
    """Afterwards the new ring alone opens everything, and it says which key may go."""
    roleta.well("encrypt-credentials", "--yes")
    rotated = Roleta(roleta.home, **{**roleta.settings, "ROLETA_CREDENTIALS_KEYS": BOTH})
    assert "there is no terminal to ask at" in rotated.refused("rotate-keys").replace("\n", "")

    said = rotated.well("rotate-keys", "--yes")

    assert "921 credentials sealed anew with key new" in said
    assert "in use: key new (921 credentials)" in said
    assert "may be taken out of ROLETA_CREDENTIALS_KEYS: of-the-tests" in said
    new = parse(entry("new", "n"))
    instance_id, _ = of_one(db, "token 300")
    assert instances.credentials(db, instance_id, new).zapi_token == PLAIN["token 300"]
    assert "nothing to rotate" in rotated.well("rotate-keys", "--yes")


def test_keys_that_are_lost_are_named_and_their_values_left(
    roleta: Roleta, in_plain: str, db: Database
) -> None:
    """With a ring that lacks a key in use, nothing is overwritten, and the line says what to put back."""
    roleta.well("encrypt-credentials", "--yes")
    before = of_one(db, "token 7")
    other = Roleta(roleta.home, **{**roleta.settings, "ROLETA_CREDENTIALS_KEYS": entry("other", "o")})
    result = other("rotate-keys", "--yes")

    assert result.exit_code == 1
    assert (
        "in use: key of-the-tests (921 credentials, which ROLETA_CREDENTIALS_KEYS does not have)"
        in result.stdout
    )
    assert "lacks keys that are in use: of-the-tests" in result.stderr
    assert of_one(db, "token 7") == before


def test_what_changes_meanwhile_is_not_overwritten(in_plain: str, db: Database) -> None:
    """The exchange takes a value's place only while it still stands: who entered a new token in between
    wins, and the next pass seals that one."""
    instance_id, stored = of_one(db, "token 1")
    with psycopg.connect(in_plain, autocommit=True) as connection:
        connection.execute(
            "update public.whatsapp_instances set zapi_token = 'entered-meanwhile' where id = %s",
            [instance_id],
        )
        exchange = "select messaging.exchange_credentials('public.whatsapp_instances', 'zapi_token', %s)"
        change = {"row_key": str(instance_id), "stored": stored, "sealed": "enc:v1:k:AAAA"}
        assert connection.execute(exchange, [json.dumps([change])]).fetchone() == (0,)
        with pytest.raises(psycopg.DatabaseError, match="is sealed"):
            connection.execute(exchange, [json.dumps([change | {"sealed": "plain"}])])
    assert of_one(db, "token 1")[1] == "entered-meanwhile"
    sealing.seal_plain(db, RING, told=lambda _: None)
    assert instances.credentials(db, instance_id, RING).zapi_token == "entered-meanwhile"


@pytest.mark.parametrize("words", [["encrypt-credentials", "--yes"], ["rotate-keys", "--yes"]])
def test_without_a_key_nothing_is_done__refused(roleta: Roleta, words: list[str]) -> None:
    """One line that says how to make one."""
    assert "roleta credentials new-key" in roleta.refused(*words, ROLETA_CREDENTIALS_KEYS="")


def test_a_number_is_not_added_without_a_key__refused(roleta: Roleta) -> None:
    """Before its secrets are read: they would stand readable in every dump."""
    line = roleta.refused("instance", "add", "Aura #1", stdin="", ROLETA_CREDENTIALS_KEYS="")

    assert "roleta credentials new-key" in line
    assert roleta.told("instance", "list", "--json") == []


ZAPI = {"ZAPI_INSTANCE_ID": "I1", "ZAPI_TOKEN": "env-token-canary", "ZAPI_CLIENT_TOKEN": "env-client-canary"}
SECRET = {name: ZAPI[name] for name in ("ZAPI_TOKEN", "ZAPI_CLIENT_TOKEN")}


def test_the_environment_s_number_is_sealed_and_compared_opened(
    roleta: Roleta, db: Database, database_url: str
) -> None:
    """Imported twice it stays as it stands, byte for byte; with a new token it is sealed anew."""
    assert "plain text" not in roleta.well("import-env-instance", **ZAPI)
    assert tables_with(database_url, SECRET) == []
    instance_id, stored = of_one(db, "Aura #1")
    assert "new credentials" not in roleta.well("import-env-instance", **ZAPI)
    assert of_one(db, "Aura #1") == (instance_id, stored)

    changed = ZAPI | {"ZAPI_TOKEN": "another-token"}
    assert "has the new credentials" in roleta.well("import-env-instance", **changed)
    assert instances.credentials(db, instance_id, RING).zapi_token == "another-token"


def test_the_environment_s_number_without_a_key_works_and_says_so(roleta: Roleta, db: Database) -> None:
    """Whoever has no key yet goes on in plain text, told in one line how to change that; once sealed, a
    command without the key does not make it plain again."""
    said = roleta.well("import-env-instance", ROLETA_CREDENTIALS_KEYS="", **ZAPI)
    assert "Aura #1 stand in plain text" in said
    assert of_one(db, "Aura #1")[1] == ZAPI["ZAPI_TOKEN"]
    assert "plain text" not in roleta.well("import-env-instance", **ZAPI)  # as it stands, until encrypted
    assert of_one(db, "Aura #1")[1] == ZAPI["ZAPI_TOKEN"]

    roleta.well("encrypt-credentials", "--yes")
    sealed = of_one(db, "Aura #1")
    assert "key of-the-tests" in roleta.refused("import-env-instance", ROLETA_CREDENTIALS_KEYS="", **ZAPI)
    assert of_one(db, "Aura #1") == sealed


def test_a_lost_key_is_healed_by_importing_anew(roleta: Roleta, db: Database) -> None:
    """The environment still knows the token: it is sealed with the key that there is."""
    roleta.well("import-env-instance", **ZAPI)
    other = entry("other", "o")
    assert "new credentials" in roleta.well("import-env-instance", ROLETA_CREDENTIALS_KEYS=other, **ZAPI)
    instance_id, _ = of_one(db, "Aura #1")
    assert instances.credentials(db, instance_id, parse(other)).zapi_token == ZAPI["ZAPI_TOKEN"]


def test_sealed_credentials_come_with_the_id_they_are_bound_to(db: Database, database_url: str) -> None:
    """Without it they could never be opened: refused in SQL, whoever calls."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for call in ("add_instance('x', 'I', 'enc:v1:k:AAAA', 'c', 'test')",
                     "import_env_instance('I', 't', 'enc:v1:k:AAAA', 'test')"):  # fmt: skip
            with pytest.raises(psycopg.DatabaseError, match="give that id"):
                connection.execute(f"select messaging.{call}".encode())
    instance_id = instances.add(db, "Aura #1", secrets_of(1), by="the test", ring=RING)
    assert instances.credentials(db, instance_id, RING) == secrets_of(1)
    assert KeyRing.is_sealed(of_one(db, "Aura #1")[1])
