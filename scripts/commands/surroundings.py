"""Where a command finds its database, its settings and its operator's name. Nothing here changes anything."""

import dataclasses
import getpass
import json
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from scripts import run_file
from shared.credentials import KeyRing
from shared.db import Calls, Database
from shared.errors import SettingsError
from shared.settings import Settings, load

_NEGATIVE = re.compile(r"-\.?\d")
F = TypeVar("F", bound=Callable[..., Any])
# What a bigint holds: beyond it the database would not know the function.
MESSAGE_ID = click.IntRange(1, 2**63 - 1)
NO_DATABASE = (
    "DATABASE_URL is not set and no `roleta up` is running here: set it in .env, give --database-url, "
    "or start one with `python3 scripts/up.py`"
)


class Surroundings:
    """What the group's options say, and what follows from it; read when first needed."""

    def __init__(self, *, given_url: str | None, home: Path, env_file: Path) -> None:
        self.given_url = given_url
        self.home = home
        self.env_file = env_file

    @cached_property
    def own_settings(self) -> Settings:
        """The settings, --database-url included, without a look at what runs here."""
        settings = load(env_file=self.env_file)
        if self.given_url:
            settings = dataclasses.replace(settings, database_url=self.given_url)
        return settings

    @cached_property
    def running(self) -> run_file.Run | None:
        """The `up` whose database stands in because none is set; None where one is set."""
        return None if self.own_settings.database_url else run_file.read(self.home)

    @cached_property
    def settings(self) -> Settings:
        """The settings; where no database is set those of the running `up`, its simulator included."""
        settings = self.own_settings
        if self.running is None:
            return settings
        settings = dataclasses.replace(settings, database_url=self.running.database_url)
        if self.running.simulator_url:
            settings = dataclasses.replace(settings, zapi_base_url=self.running.simulator_url)
        if self.running.meta_url:
            settings = dataclasses.replace(settings, meta_url=self.running.meta_url)
        if self.running.credentials_keys:
            settings = dataclasses.replace(settings, credentials_keys=self.running.credentials_keys)
        return settings

    @property
    def ring(self) -> KeyRing:
        """The keys of the credentials in that database; empty where none are set."""
        return KeyRing.from_settings(self.settings)

    @property
    def database_url(self) -> str:
        """The address of the database; SettingsError where there is none."""
        if not self.settings.database_url:
            raise SettingsError(NO_DATABASE)
        return self.settings.database_url

    def calls(self, *, name: str, max_size: int) -> AbstractContextManager[Calls]:
        """A pool, or PostgREST where only SUPABASE_URL and the service key are set: for serve and work."""
        settings = self.own_settings
        if settings.database_url or not (settings.supabase_url and settings.service_role_key):
            return self.database(name=name, max_size=max_size)
        try:
            from shared.rest import RestDatabase  # noqa: PLC0415 - an optional extra
        except ModuleNotFoundError:
            raise SettingsError(
                "SUPABASE_URL without DATABASE_URL needs the package postgrest: install roleta[supabase]"
            ) from None
        rest = RestDatabase(
            settings.supabase_url, settings.service_role_key, anon_key=settings.supabase_anon_key
        )
        return closing(rest)

    def database(self, *, name: str = "roleta", max_size: int = 2) -> Database:
        """A pool over it, closed by the caller; it connects when it is first used."""
        return Database(self.database_url, max_size=max_size, application_name=name)


pass_surroundings = click.make_pass_decorator(Surroundings)


def operator() -> str:
    """Who changes things when --by does not say: the account's name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.geteuid()}"


by_option = click.option(
    "--by", default=operator, metavar="NAME", help="Who orders it. [default: your account's name]"
)
why_option = click.option("--why", metavar="TEXT", help="Why, for the history.")
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


class NumbersCommand(click.Command):
    """A command whose arguments are numbers: -5 is a number out of range, not an option that is not there."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, but for negative numbers."""
        ctx.ignore_unknown_options = any(_NEGATIVE.match(each) for each in args)
        return super().parse_args(ctx, args)


def say(text: str) -> None:
    """One line for the person at the terminal, at once also where the output is a pipe."""
    click.echo(text)


def say_json(value: Any) -> None:
    """A value as JSON; times in ISO 8601, ids as text."""
    click.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "as_integer_ratio"):  # numeric columns come as Decimal
        return float(value)
    return str(value)
