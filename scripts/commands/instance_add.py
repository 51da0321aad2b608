"""`roleta instance add|rotate-webhook|test`: the commands that talk to the number's provider."""

import sys

import click

from scripts.commands import provider_setup
from scripts.commands.surroundings import Surroundings, by_option, pass_surroundings, say
from shared import instances
from shared.credentials import VARIABLE
from shared.db import Database
from shared.errors import Conflict, InvalidInput, RoletaError, SettingsError
from shared.redaction import phone_tail

SECRETS = ("Z-API instance id", "instance token", "account security token (Client-Token)")


@click.command()
@click.argument("name")
@click.option(
    "--seats",
    type=click.IntRange(0, 1_000_000),
    default=250,
    show_default=True,
    help="How many people it may have.",
)
@click.option("--force", is_flag=True, help="Add it although a check failed.")
@by_option
@pass_surroundings
def add(around: Surroundings, *, name: str, seats: int, force: bool, by: str) -> None:
    """Add a Z-API number called NAME.

    Its three secrets are asked for, or read from stdin, a line each: instance id, instance token,
    Client-Token.
    """
    settings = around.settings
    _refuse_without_key(around)
    with around.database(name="roleta instance add") as db:
        _refuse_known_name([each.name for each in instances.every(db)], name)
        secrets = _read_secrets()
        client = provider_setup.client_of(secrets, settings.zapi_base_url)
        try:
            checked = provider_setup.check(client)
            if checked.problem and not force:
                raise RoletaError(f"nothing added: {checked.problem} (--force adds it all the same)")
            instance_id = instances.add(
                db, name, secrets, by=by, ring=around.ring, phone_number=checked.phone_number, seats=seats
            )
            added = instances.find(db, str(instance_id))
            phone = f", phone {phone_tail(checked.phone_number)}" if checked.phone_number else ""
            role = ", the default number" if added.is_default else ""
            say(f"added {added.name}{phone}, {seats} seats{role}")
            if checked.problem:
                state = instances.record_health(db, instance_id, checked.connected, checked.refusal, by=by)
                say(f"added in spite of this: {checked.problem}; it is {state}")
            done = provider_setup.stop_provider_queue(client, say)
            wanted = settings.public_base_url
            set_there = provider_setup.rotate_webhook(db, client, instance_id, wanted, by=by, say=say)
        finally:
            client.close()
    if not done or (wanted and not set_there):
        raise click.exceptions.Exit(1)


@click.command("rotate-webhook")
@click.argument("number")
@click.option(
    "--revoke-previous",
    is_flag=True,
    help="Set no new one: end at once what all secrets but the present one are still good for. Refused while "
    "the provider has not confirmed the last one.",
)
@by_option
@pass_surroundings
def rotate_webhook(around: Surroundings, *, number: str, revoke_previous: bool, by: str) -> None:
    """Give NUMBER's webhook a new secret, here and at its provider.

    The one before stays valid until the next rotation, for what is under way, or until --revoke-previous.
    While the provider has not confirmed a new one (exit code 1), every one that it may be using is valid.
    """
    with around.database(name="roleta instance rotate-webhook") as db:
        found = instances.find(db, number)
        if revoke_previous:
            _revoke_previous(db, found, by)
        elif not _rotate(around, db, found, by):
            raise click.exceptions.Exit(1)


def _rotate(around: Surroundings, db: Database, found: instances.Instance, by: str) -> bool:
    settings = around.settings
    if found.provider == "evolution":
        return provider_setup.rotate_evolution_webhook(db, settings, found.instance_id, by=by, say=say)
    client = provider_setup.client_of(
        instances.credentials(db, found.instance_id, around.ring), settings.zapi_base_url
    )
    try:
        return provider_setup.rotate_webhook(
            db, client, found.instance_id, settings.public_base_url, by=by, say=say
        )
    finally:
        client.close()


def _revoke_previous(db: Database, found: instances.Instance, by: str) -> None:
    try:
        was_live = instances.revoke_previous_webhook(db, found.instance_id, by=by)
    except Conflict as problem:
        raise Conflict(
            f"{problem}: run `roleta instance rotate-webhook` until it succeeds, then --revoke-previous"
        ) from None
    if was_live:
        say(f"{found.name} takes its present webhook secret alone; every one before is refused")
    else:
        say(f"{found.name} has no webhook secret but its present one")


@click.command("test")
@click.argument("number")
@by_option
@pass_surroundings
def test_number(around: Surroundings, number: str, by: str) -> None:
    """Ask the provider for NUMBER's state, print it and record it; exit code 1 where it is not well."""
    with around.database(name="roleta instance test") as db:
        found = instances.find(db, number)
        client = provider_setup.client_of(
            instances.credentials(db, found.instance_id, around.ring), around.settings.zapi_base_url
        )
        try:
            checked = provider_setup.check(client)
        finally:
            client.close()
        now = instances.record_health(db, found.instance_id, checked.connected, checked.refusal, by=by)
        if checked.phone_number and not found.phone_number:
            instances.set_phone_number(db, found.instance_id, checked.phone_number, by=by)
    said = checked.problem or f"connected, phone {phone_tail(checked.phone_number)}"
    say(f"{found.name}: {said}; it is {now}")
    if checked.phone_number and found.phone_number not in (None, checked.phone_number):
        say(f"another phone than before ({phone_tail(found.phone_number)}) is paired: was that meant?")
    if checked.problem:
        raise click.exceptions.Exit(1)


def _refuse_without_key(around: Surroundings) -> None:
    """Before a person types secrets: they would stand readable in the database, and in each of its dumps."""
    if not around.ring:
        raise SettingsError(
            f"{VARIABLE} is not set, so the number's secrets would stand in plain text in the database: make "
            "a key with `roleta credentials new-key`, set it for every gateway, worker and command; then add"
        )


def _refuse_known_name(known: list[str], name: str) -> None:
    if name.strip() in known:
        raise Conflict(f"a number called {name.strip()!r} exists already: choose another name")
    if not name.strip():
        raise InvalidInput("a number needs a name")


def _read_secrets() -> instances.Credentials:
    """From a hidden prompt, or three lines of stdin. Never from arguments, which other users can read."""
    if sys.stdin.isatty():
        given = [str(click.prompt(title, hide_input=True)).strip() for title in SECRETS]
    else:
        given = [line.strip() for line in sys.stdin.read(10_000).splitlines() if line.strip()]
    if len(given) != len(SECRETS):
        raise InvalidInput(f"{len(given)} lines on stdin where three are needed: {', '.join(SECRETS)}")
    return instances.Credentials(*given)
