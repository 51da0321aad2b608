"""DATABASE_URL as people write it: what is wrong with it is told without a piece of its password."""

import traceback

import pytest

from shared.db import Database, read_address
from shared.errors import SettingsError
from shared.settings import Settings


@pytest.mark.parametrize(
    "password",
    ["a@canary", "canary@", "canary/b", "1/canary", "a@b/canary", "%zzcanary"],
)
def test_a_password_that_ends_too_early__refused(password: str) -> None:
    """Taken for a host, a port or a database, a driver would print the rest of it."""
    with pytest.raises(SettingsError, match="DATABASE_URL") as raised:
        Database(f"postgresql://postgres:{password}@127.0.0.1:5432/app")

    assert "canary" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:a%40b%2Fc@127.0.0.1:5432/app",
        "postgresql://127.0.0.1:9/x",
        "postgresql://u:a?b#c:d@127.0.0.1:5432/app",
        "postgresql://u:p@one,two:5432,5433/app",
        "postgresql:///app?host=/var/run/postgresql",
        "host=127.0.0.1 port=5432 dbname=app password=a@b/c",
        "postgresql://u@[::1]:5432/app?sslmode=require",
    ],
)
def test_a_right_address_is_taken(address: str) -> None:
    """Of every form that libpq knows."""
    assert read_address(address)["dbname"] in ("app", "x")


def test_a_password_is_among_the_secrets_in_both_its_forms() -> None:
    """A driver may repeat it as it is written or as it is meant."""
    secrets = Settings(database_url="postgresql://u:a%40b-canary@127.0.0.1/app").secrets

    assert {"a%40b-canary", "a@b-canary"} <= set(secrets)
