"""`roleta credentials new-key`, `encrypt-credentials`, `rotate-keys`: the keys of what opens our numbers."""

import click

from scripts.commands.surroundings import Surroundings, pass_surroundings, say
from scripts.commands.tables import ask, console, table
from shared import credentials, sealing
from shared.credentials import VARIABLE, KeyRing
from shared.db import Database
from shared.errors import RoletaError, SettingsError
from shared.sealing import Standing

TABLES = {"numbers": credentials.INSTANCES, "ad-platforms": credentials.OAUTH}
NO_RING = (
    f"{VARIABLE} is not set: make a key with `roleta credentials new-key` and set it for every gateway, "
    "worker and command first"
)


@click.group("credentials")
def credentials_group() -> None:
    """The keys that seal credentials in the database."""


@credentials_group.command("new-key")
def new_key() -> None:
    """Print a fresh entry for ROLETA_CREDENTIALS_KEYS. It is shown once and stored nowhere."""
    say(credentials.new_entry())


@click.command("encrypt-credentials")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--only",
    type=click.Choice(list(TABLES)),
    help="Only the numbers' tokens, or only those of ad platforms.",
)
@pass_surroundings
def encrypt_credentials(around: Surroundings, yes: bool, only: str | None) -> None:
    """Seal what stands in plain text, where it stands. Safe beside running workers, and to repeat."""
    ring = _ring(around)
    with around.database(name="roleta encrypt-credentials") as db:
        wanted = [TABLES[only]] if only else list(TABLES.values())
        open_ones = [
            each for each in sealing.standing(db) if each.key_id is None and each.table_name in wanted
        ]
        sealable = sum(each.credentials for each in open_ones if each.fits)
        if not sealable:
            say("nothing to encrypt: no credential stands in plain text")
            _tell_too_narrow(open_ones)
            return
        _show(open_ones)
        say(
            "from then on every other program that reads these columns directly finds enc:v1:… and stops "
            f"working; gateways, workers and commands of roleta need the same {VARIABLE} as this one"
        )
        ask(f"Encrypt {_counted(sealable)}?", yes=yes, nothing_done="nothing encrypted")
        done = sealing.seal_plain(db, ring, tables=wanted, told=say)
        say(f"{_counted(done)} sealed with key {ring.key_ids[0]}")
        _tell_too_narrow(open_ones)


@click.command("rotate-keys")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_surroundings
def rotate_keys(around: Surroundings, yes: bool) -> None:
    """Seal everything with the first key of the ring, while workers send.

    First put the new key in front of the old one and restart every gateway and worker with both; then run
    this; then take the old one away.
    """
    ring = _ring(around)
    first, *others = ring.key_ids
    with around.database(name="roleta rotate-keys") as db:
        old = sum(each.credentials for each in sealing.standing(db) if each.key_id in others and each.fits)
        if old:
            say(
                f"every gateway and worker must already run with key {first} in its {VARIABLE}: one that "
                "lacks it halts the numbers whose credentials it cannot open"
            )
            ask(f"Seal {_counted(old)} anew with key {first}?", yes=yes, nothing_done="nothing rotated")
            done = sealing.seal_anew(db, ring, told=say)
            say(f"{_counted(done)} sealed anew with key {first}")
        else:
            say(f"nothing to rotate: no credential stands under another key of the ring than {first}")
        _tell_keys_in_use(db, ring)


def _ring(around: Surroundings) -> KeyRing:
    if not around.ring:
        raise SettingsError(NO_RING)
    return around.ring


def _tell_keys_in_use(db: Database, ring: KeyRing) -> None:
    in_use: dict[str | None, int] = {}
    for each in sealing.standing(db):
        in_use[each.key_id] = in_use.get(each.key_id, 0) + each.credentials
    plain = in_use.pop(None, 0)
    for key_id, count in sorted(in_use.items(), key=str):
        known = "" if key_id in ring.key_ids else f", which {VARIABLE} does not have"
        say(f"in use: key {key_id} ({_counted(count)}{known})")
    unused = [key_id for key_id in ring.key_ids[1:] if key_id not in in_use]
    if unused:
        say(f"no longer in use, may be taken out of {VARIABLE}: {', '.join(unused)}")
    if plain:
        say(f"{_counted(plain)} in plain text: roleta encrypt-credentials")
    lost = [str(key_id) for key_id in in_use if key_id not in ring.key_ids]
    if lost:
        raise RoletaError(f"{VARIABLE} lacks keys that are in use: {', '.join(sorted(lost))}: put them back")


def _show(found: list[Standing]) -> None:
    rows = [(each.table_name, each.column_name, each.credentials) for each in found if each.fits]
    console().print(table(("table", "column", "in plain text#"), rows))


def _tell_too_narrow(found: list[Standing]) -> None:
    for each in found:
        if not each.fits:
            say(
                f"{each.table_name}.{each.column_name} is too narrow for a sealed value: make its type text, "
                "then run this again"
            )


def _counted(credentials_: int) -> str:
    return f"{credentials_} credential{'s' if credentials_ != 1 else ''}"
