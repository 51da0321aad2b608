"""supabase.toml as typed entries, and the shape of a handler: a Call in, an Answer out, errors raised."""

import importlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from structlog.typing import FilteringBoundLogger

from shared import cron
from shared.db import Calls
from shared.errors import InvalidInput, SettingsError
from shared.identity import Person
from shared.settings import Settings
from shared.webhook_auth import Unauthorized

CONFIG_FILE = Path(__file__).resolve().parent.parent / "supabase.toml"

Caller = Literal["stranger", "user", "service", "cron", "provider", "signed"]
Answer = dict[str, object]


@dataclass(frozen=True)
class Call:
    """One request to a function: its JSON object, its headers (names in lower case), what it may use.

    `run_id`: the slot that the scheduler runs it for; None for whoever calls at will. `raw`: the bytes that
    the body was read from, unpacked: what a signature covers. `person`: who calls a function for users, as
    whom `db.as_person` acts; None for all others. `address`: whence a stranger calls, as limits count it;
    None for everybody else, and for a stranger who sends the service key.
    """

    function: str
    db: Calls
    settings: Settings
    log: FilteringBoundLogger
    body: dict[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    webhook_token: str | None = field(default=None, repr=False)
    run_id: str | None = None
    raw: bytes = field(default=b"", repr=False)
    person: Person | None = None
    address: str | None = field(default=None, repr=False)

    def caller(self) -> tuple[Person, Calls]:
        """Who calls a function for users, and the database with that person's rights."""
        if self.person is None:
            raise Unauthorized
        return self.person, self.db.as_person(self.person)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class EdgeFunction:
    """One entry of supabase.toml."""

    slug: str
    caller: Caller
    enabled: bool = True
    schedule: str | None = None

    @property
    def module(self) -> str:
        """The module that holds its `handle`."""
        return f"edge.{self.slug.replace('-', '_')}"

    def handler(self) -> Handler:
        """Its `handle`; SettingsError where the module or the function is missing."""
        try:
            handle = importlib.import_module(self.module).handle
        except (ModuleNotFoundError, AttributeError):
            raise SettingsError(
                f"supabase.toml names {self.slug}, but {self.module} has no `handle`"
            ) from None
        return cast(Handler, handle)


def load_functions(path: Path = CONFIG_FILE) -> list[EdgeFunction]:
    """Every entry, in the file's order. SettingsError names the entry and the key that must change."""
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path.name} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not TOML: {error}") from None
    _refuse_unknown(path.name, "the file", config, {"functions"})
    entries = config.get("functions")
    if not isinstance(entries, dict) or not entries:
        raise SettingsError(f"{path.name} names no function: add [functions.<slug>]")
    return [_read(path.name, slug, entry) for slug, entry in entries.items()]


def _read(file: str, slug: str, entry: object) -> EdgeFunction:
    where = f"[functions.{slug}]"
    if not isinstance(entry, dict):
        raise SettingsError(f"{file}: {where} must be a table")
    _refuse_unknown(file, where, entry, {"enabled", "verify_jwt", "caller", "schedule"})
    caller, schedule = entry.get("caller"), entry.get("schedule")
    if caller not in get_args(Caller):
        raise SettingsError(f"{file}: {where} caller must be one of {', '.join(get_args(Caller))}")
    for name in ("enabled", "verify_jwt"):
        if not isinstance(entry.get(name, True), bool):
            raise SettingsError(f"{file}: {where} {name} must be true or false")
    # Supabase checks a JWT unless told otherwise; so a missing key is no decision.
    if entry.get("verify_jwt", True) != (caller == "user"):
        raise SettingsError(
            f'{file}: {where} verify_jwt is true for caller = "user" and false for all others'
        )
    _check_schedule(f"{file}: {where}", schedule)
    if schedule is not None and caller != "cron":
        raise SettingsError(f'{file}: {where} only a function with caller = "cron" has a schedule')
    return EdgeFunction(slug, cast(Caller, caller), entry.get("enabled", True), schedule)


def _check_schedule(where: str, schedule: object) -> None:
    if schedule is None:
        return
    if not isinstance(schedule, str):
        raise SettingsError(f"{where} schedule must be a text: a cron expression of five fields")
    try:
        cron.check(schedule)
    except InvalidInput as error:
        raise SettingsError(f"{where} {error}") from None


def _refuse_unknown(file: str, where: str, given: Mapping[str, object], known: set[str]) -> None:
    if unknown := sorted(set(given) - known):
        raise SettingsError(
            f"{file}: {where} has unknown keys: {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
