"""Settings: defaults, precedence, and refusals that name the variable and never its value."""

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import Settings, load

SECRETS = {
    "DATABASE_URL": "postgresql://me:s3cret-db@host/db",
    "ZAPI_INSTANCE_ID": "s3cret-id",
    "ZAPI_TOKEN": "s3cret-token",
    "ZAPI_CLIENT_TOKEN": "s3cret-client",
    "SUPABASE_SERVICE_ROLE_KEY": "s3cret-key",
}


def test_nothing_set__defaults(tmp_path: Path) -> None:
    """Without a file and without variables every setting has its default."""
    assert load({}, tmp_path / ".env") == Settings()
    assert not load({}, None).has_zapi


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    """The file fills in what the process environment does not say, and os.environ stays as it was."""
    file = tmp_path / ".env"
    file.write_text(
        'ROLETA_GATEWAY_PORT=9001\nROLETA_TIME_ZONE="America/Manaus"\nexport ROLETA_LOG_LEVEL=debug\n'
    )
    before = dict(os.environ)
    settings = load({"ROLETA_GATEWAY_PORT": "9002"}, file)
    assert (settings.gateway_port, settings.time_zone, settings.log_level) == (
        9002,
        "America/Manaus",
        "DEBUG",
    )
    assert dict(os.environ) == before


def test_every_name_is_read() -> None:
    """Each variable lands in its own field, with its type."""
    settings = load(
        {
            **SECRETS,
            "ROLETA_ZAPI_BASE_URL": "http://127.0.0.1:9/",
            "ROLETA_GATEWAY_HOST": "0.0.0.0",  # noqa: S104 - a value to read back, nothing binds to it
            "ROLETA_GATEWAY_PORT": "0",
            "ROLETA_PUBLIC_URL": "https://numbers.example",
            "ROLETA_ALLOCATION_STRATEGY": "balanced",
            "ROLETA_POLL_INTERVAL_S": "0.5",
            "ROLETA_MAX_IN_FLIGHT": "3",
            "ROLETA_REPLY_DEBOUNCE_S": "0",
            "ROLETA_KEEP_TEXTS_DAYS": "7",
            "ROLETA_KEEP_EVENTS_DAYS": "0",
            "ROLETA_SIGN_UPS_PER_PHONE": "1",
            "ROLETA_SIGN_UPS_PER_ADDRESS": "2",
            "ROLETA_SIGN_UP_SEATS_PERCENT": "3",
            "ROLETA_TRUSTED_PROXIES": "10.0.0.7, fd00::/8",
            "ROLETA_MEDIA_HOSTS": "Media.example, b.example",
        },
        None,
    )
    assert settings == Settings(
        database_url=SECRETS["DATABASE_URL"],
        zapi_instance_id="s3cret-id",
        zapi_token="s3cret-token",
        zapi_client_token="s3cret-client",
        zapi_base_url="http://127.0.0.1:9",
        service_role_key="s3cret-key",
        gateway_host="0.0.0.0",  # noqa: S104
        gateway_port=0,
        public_base_url="https://numbers.example",
        allocation_strategy="balanced",
        poll_interval_s=0.5,
        max_in_flight=3,
        reply_debounce_s=0.0,
        keep_texts_days=7,
        keep_events_days=0,
        sign_ups_per_phone=1,
        sign_ups_per_address=2,
        sign_up_seats_percent=3,
        trusted_proxies=(ip_network("10.0.0.7"), ip_network("fd00::/8")),
        media_hosts=("media.example", "b.example"),
    )
    assert settings.has_zapi


def test_secrets_are_not_in_the_repr() -> None:
    """Printing the settings, in a log or a traceback, shows no credential."""
    assert "s3cret" not in repr(load(SECRETS, None))


def test_empty_variable_counts_as_not_set() -> None:
    """An empty line in a copied .env.example changes nothing."""
    names = [*SECRETS, "ROLETA_GATEWAY_PORT", "ROLETA_PUBLIC_URL", "ROLETA_TIME_ZONE", "ROLETA_LOG_LEVEL"]
    assert load(dict.fromkeys(names, " "), None) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROLETA_GATEWAY_PORT", "eighty-s3cret"),
        ("ROLETA_GATEWAY_PORT", "70000"),
        ("ROLETA_GATEWAY_PORT", "8000.5"),
        ("ROLETA_POLL_INTERVAL_S", "nan"),
        ("ROLETA_POLL_INTERVAL_S", "0"),
        ("ROLETA_POLL_INTERVAL_S", "-1"),
        ("ROLETA_MAX_IN_FLIGHT", "inf"),
        ("ROLETA_REPLY_DEBOUNCE_S", "1e9"),
        ("ROLETA_ALLOCATION_STRATEGY", "s3cret"),
        ("ROLETA_LOG_LEVEL", "s3cret"),
        ("ROLETA_KEEP_TEXTS_DAYS", "-1"),
        ("ROLETA_SIGN_UP_SEATS_PERCENT", "101"),
        ("ROLETA_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("ROLETA_TRUSTED_PROXIES", "s3cret"),
        ("ROLETA_MEDIA_HOSTS", "https://s3cret.example"),
        ("ROLETA_TIME_ZONE", "Mars/s3cret"),
        ("ROLETA_TIME_ZONE", "../../etc/s3cret"),
        ("ROLETA_PUBLIC_URL", "s3cret.example"),
        ("ROLETA_ZAPI_BASE_URL", "ftp://s3cret"),
        ("DATABASE_URL", "postgresql://s3cret\x00"),
    ],
)
def test_wrong_value__refused_by_name_without_the_value(name: str, value: str) -> None:
    """The message is one line that names the variable and keeps its value to itself."""
    with pytest.raises(SettingsError) as refused:
        load({name: value}, None)
    message = str(refused.value)
    assert name in message
    assert "s3cret" not in message
    assert "\n" not in message


@pytest.mark.parametrize("given", [1, 2])
def test_half_of_a_zapi_number__refused(given: int) -> None:
    """Some of the three variables and not all: the missing ones are named."""
    names = ["ZAPI_INSTANCE_ID", "ZAPI_TOKEN", "ZAPI_CLIENT_TOKEN"]
    with pytest.raises(SettingsError) as refused:
        load({name: "s3cret" for name in names[:given]}, None)
    assert str(refused.value).startswith(" and ".join(names[given:]))
    assert "s3cret" not in str(refused.value)


def test_file_that_cannot_be_read__one_clear_line(tmp_path: Path) -> None:
    """A folder in its place, and bytes that are no text, are told as such."""
    with pytest.raises(SettingsError, match=r"\.env cannot be read: .*permissions"):
        folder = tmp_path / "a" / ".env"
        folder.mkdir(parents=True)
        load({}, folder)
    file = tmp_path / ".env"
    file.write_bytes(b"ZAPI_TOKEN=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"\.env is not a text file in UTF-8"):
        load({}, file)


def test_dollar_signs_in_a_secret_stay(tmp_path: Path) -> None:
    """A token may contain what looks like a variable."""
    file = tmp_path / ".env"
    file.write_text("DATABASE_URL=postgresql://me:a${HOME}b@host/db\n")
    assert load({}, file).database_url == "postgresql://me:a${HOME}b@host/db"
