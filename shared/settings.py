"""What the environment and .env say, read once into a value. No other module reads either."""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values

from shared import credentials
from shared.errors import SettingsError

ENV_FILE = Path(__file__).resolve().parent.parent / ".env"
ZAPI_NAMES = ("ZAPI_INSTANCE_ID", "ZAPI_TOKEN", "ZAPI_CLIENT_TOKEN")
EVOLUTION_NAMES = ("EVOLUTION_API_URL", "EVOLUTION_API_KEY")
STRATEGIES = ("random", "balanced")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

N = TypeVar("N", int, float)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LONGEST_KEPT_DAYS = 3650


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting with its default. Secrets are left out of the repr; times are in seconds."""

    database_url: str | None = field(default=None, repr=False)
    zapi_instance_id: str | None = field(default=None, repr=False)
    zapi_token: str | None = field(default=None, repr=False)
    zapi_client_token: str | None = field(default=None, repr=False)
    zapi_base_url: str = "https://api.z-api.io"
    evolution_url: str | None = None
    evolution_key: str | None = field(default=None, repr=False)
    meta_url: str = "https://graph.facebook.com/v21.0"
    supabase_url: str | None = None
    supabase_anon_key: str | None = field(default=None, repr=False)
    auth_url: str | None = None
    jwt_secret: str | None = field(default=None, repr=False)
    service_role_key: str | None = field(default=None, repr=False)
    credentials_keys: str | None = field(default=None, repr=False)
    gateway_host: str = "127.0.0.1"
    gateway_port: int = 8000
    public_base_url: str | None = None
    log_level: str = "INFO"
    time_zone: str = "America/Sao_Paulo"
    allocation_strategy: str = "random"
    poll_interval_s: float = 0.25
    max_in_flight: int = 16
    reply_debounce_s: float = 2.0
    takeover_s: float = 1800.0
    keep_texts_days: int = 180
    keep_events_days: int = 30
    sign_ups_per_phone: int = 5
    sign_ups_per_address: int = 20
    sign_up_seats_percent: int = 10
    trusted_proxies: tuple[Network, ...] = ()
    checkout_url: str | None = None
    stripe_secret_key: str | None = field(default=None, repr=False)
    stripe_webhook_secret: str | None = field(default=None, repr=False)
    agent_url: str | None = None
    agent_key: str | None = field(default=None, repr=False)
    agent_model: str = "gpt-4o-mini"
    transcription_model: str | None = None
    speech_model: str | None = None
    speech_voice: str = "nova"
    agent_timeout_s: float = 20.0
    media_hosts: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret that is set: what no log may show."""
        every = (
            self.zapi_token,
            self.zapi_client_token,
            self.service_role_key,
            self.database_url,
            self.stripe_secret_key,
            self.stripe_webhook_secret,
            self.agent_key,
            self.evolution_key,
            self.jwt_secret,
            self.supabase_anon_key,
            *_passwords_in(self.database_url),
            *credentials.secrets_in(self.credentials_keys),
        )
        return tuple(secret for secret in every if secret)

    @property
    def has_voice(self) -> bool:
        """Whether the agent's service can speak."""
        return self.agent_url is not None and self.speech_model is not None

    @property
    def has_evolution(self) -> bool:
        """Whether the environment names an Evolution API server (both variables or none are set)."""
        return self.evolution_url is not None

    @property
    def has_real_provider(self) -> bool:
        """Whether messages could reach somebody: the environment names a number or a server of one."""
        return self.has_zapi or self.has_evolution

    @property
    def has_zapi(self) -> bool:
        """Whether the environment names a Z-API number (all three variables or none are set)."""
        return self.zapi_instance_id is not None


def load(env: Mapping[str, str] | None = None, env_file: Path | None = ENV_FILE) -> Settings:
    """Reads the settings; the process environment wins over the file, and a missing file is no error.

    A variable that is empty counts as not set. Raises SettingsError with the name of the variable that is
    wrong, never with its value.
    """
    values: dict[str, str] = dict(_read_file(env_file)) if env_file is not None else {}
    values.update(os.environ if env is None else env)
    read = _Reader(values)
    _refuse_half(read, ZAPI_NAMES, "a Z-API number")
    _refuse_half(read, EVOLUTION_NAMES, "Evolution API")
    default = Settings()
    supabase_url = read.url("SUPABASE_URL")
    return Settings(
        database_url=read.text("DATABASE_URL"),
        zapi_instance_id=read.text("ZAPI_INSTANCE_ID"),
        zapi_token=read.text("ZAPI_TOKEN"),
        zapi_client_token=read.text("ZAPI_CLIENT_TOKEN"),
        zapi_base_url=read.url("ROLETA_ZAPI_BASE_URL") or default.zapi_base_url,
        evolution_url=read.origin("EVOLUTION_API_URL"),
        evolution_key=read.text("EVOLUTION_API_KEY"),
        meta_url=read.url("META_GRAPH_URL") or default.meta_url,
        supabase_url=supabase_url,
        supabase_anon_key=read.text("SUPABASE_ANON_KEY"),
        auth_url=read.url("ROLETA_AUTH_URL") or (f"{supabase_url}/auth/v1" if supabase_url else None),
        jwt_secret=read.text("SUPABASE_JWT_SECRET"),
        service_role_key=read.text("SUPABASE_SERVICE_ROLE_KEY"),
        credentials_keys=read.key_ring(credentials.VARIABLE),
        gateway_host=read.text("ROLETA_GATEWAY_HOST") or default.gateway_host,
        gateway_port=read.number("ROLETA_GATEWAY_PORT", int, default.gateway_port, least=0, most=65535),
        public_base_url=read.url("ROLETA_PUBLIC_URL"),
        log_level=read.choice("ROLETA_LOG_LEVEL", LOG_LEVELS, default.log_level),
        time_zone=read.time_zone("ROLETA_TIME_ZONE", default.time_zone),
        allocation_strategy=read.choice(
            "ROLETA_ALLOCATION_STRATEGY", STRATEGIES, default.allocation_strategy
        ),
        poll_interval_s=read.number(
            "ROLETA_POLL_INTERVAL_S", float, default.poll_interval_s, least=0.01, most=60
        ),
        max_in_flight=read.number("ROLETA_MAX_IN_FLIGHT", int, default.max_in_flight, least=1, most=256),
        reply_debounce_s=read.number(
            "ROLETA_REPLY_DEBOUNCE_S", float, default.reply_debounce_s, least=0, most=60
        ),
        takeover_s=read.number("ROLETA_TAKEOVER_S", float, default.takeover_s, least=0, most=604_800),
        keep_texts_days=read.number(
            "ROLETA_KEEP_TEXTS_DAYS", int, default.keep_texts_days, least=0, most=LONGEST_KEPT_DAYS
        ),
        keep_events_days=read.number(
            "ROLETA_KEEP_EVENTS_DAYS", int, default.keep_events_days, least=0, most=LONGEST_KEPT_DAYS
        ),
        sign_ups_per_phone=read.number(
            "ROLETA_SIGN_UPS_PER_PHONE", int, default.sign_ups_per_phone, least=0, most=100_000
        ),
        sign_ups_per_address=read.number(
            "ROLETA_SIGN_UPS_PER_ADDRESS", int, default.sign_ups_per_address, least=0, most=100_000
        ),
        sign_up_seats_percent=read.number(
            "ROLETA_SIGN_UP_SEATS_PERCENT", int, default.sign_up_seats_percent, least=0, most=100
        ),
        trusted_proxies=read.networks("ROLETA_TRUSTED_PROXIES"),
        checkout_url=read.url("ROLETA_CHECKOUT_URL"),
        stripe_secret_key=read.text("STRIPE_SECRET_KEY"),
        stripe_webhook_secret=read.text("STRIPE_WEBHOOK_SECRET"),
        agent_url=read.url("ROLETA_AGENT_URL"),
        agent_key=read.text("ROLETA_AGENT_KEY"),
        agent_model=read.text("ROLETA_AGENT_MODEL") or default.agent_model,
        transcription_model=read.text("ROLETA_TRANSCRIPTION_MODEL"),
        speech_model=read.text("ROLETA_SPEECH_MODEL"),
        speech_voice=read.text("ROLETA_SPEECH_VOICE") or default.speech_voice,
        agent_timeout_s=read.number(
            "ROLETA_AGENT_TIMEOUT_S", float, default.agent_timeout_s, least=1, most=120
        ),
        media_hosts=read.hosts("ROLETA_MEDIA_HOSTS"),
    )


def _read_file(path: Path) -> dict[str, str]:
    """The variables of a .env file; a line without "=" names no variable and is passed over."""
    try:
        with path.open(encoding="utf-8") as stream:
            # No interpolation: a token may contain "${".
            return {
                key: value
                for key, value in dotenv_values(stream=stream, interpolate=False).items()
                if value is not None
            }
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise SettingsError(f"{path.name} is not a text file in UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{path.name} cannot be read: {error.strerror}; check its permissions") from None


def _passwords_in(address: str | None) -> list[str]:
    """The password of an address, as it is written there and as it is meant: a driver may repeat either."""
    try:
        written = urlsplit(address or "").password or ""
    except ValueError:
        return []
    return [written, unquote(written)]


def _refuse_half(read: "_Reader", names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if read.text(name) is None]
    if 0 < len(missing) < len(names):
        raise SettingsError(
            f"{' and '.join(missing)} not set: {what} needs all of {', '.join(names)}, or none"
        )


class _Reader:
    """Typed look-ups that name the variable when its value is wrong."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str | None:
        value = self._values.get(name, "").strip()
        if "\x00" in value:
            raise SettingsError(f"{name} contains a NUL byte")
        return value or None

    def key_ring(self, name: str) -> str | None:
        """As it is written, once it is known to be a ring of keys."""
        value = self.text(name)
        credentials.parse(value)
        return value

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not value.startswith(("http://", "https://")):
            raise SettingsError(f"{name} must be an address that begins with http:// or https://")
        return value.rstrip("/") if value is not None else None

    def origin(self, name: str) -> str | None:
        """Scheme, host and port: a path that was copied along makes every call fail (functions 4.2)."""
        value = self.url(name)
        if value is None:
            return None
        parts = urlsplit(value)
        if not parts.netloc:
            raise SettingsError(f"{name} must name a host after http:// or https://")
        return f"{parts.scheme}://{parts.netloc}"

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name)
        if value is None:
            return default
        for option in allowed:
            if value.lower() == option.lower():
                return option
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}")

    def time_zone(self, name: str, default: str) -> str:
        value = self.text(name) or default
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise SettingsError(f"{name} must be the name of a time zone, such as {default}") from None
        return value

    def hosts(self, name: str) -> tuple[str, ...]:
        """Names of hosts, separated by commas or blanks."""
        words = (self.text(name) or "").lower().replace(",", " ").split()
        if not all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", word) for word in words):
            raise SettingsError(
                f"{name} must be names of hosts, such as backblazeb2.com, separated by commas"
            )
        return tuple(words)

    def networks(self, name: str) -> tuple[Network, ...]:
        """Addresses or networks in CIDR, separated by commas or blanks."""
        words = (self.text(name) or "").replace(",", " ").split()
        try:
            return tuple(ipaddress.ip_network(word) for word in words)
        except ValueError:
            raise SettingsError(
                f"{name} must be addresses or networks, such as 10.0.0.7 or 10.0.0.0/8, separated by commas"
            ) from None

    def number(self, name: str, kind: Callable[[str], N], default: N, *, least: float, most: float) -> N:
        value = self.text(name)
        if value is None:
            return default
        try:
            number = kind(value)
        except ValueError:
            number = kind("-1")
        # "nan" is a float, and fails both comparisons; no setting may be negative.
        if not max(least, 0) <= number <= most:
            whole = "a whole number" if kind is int else "a number"
            raise SettingsError(f"{name} must be {whole} between {least:g} and {most:g}")
        return number
