"""`roleta instance`: the numbers. What talks to a provider is in instance_add.py."""

from dataclasses import asdict

import click

from scripts.commands.instance_add import add, rotate_webhook, test_number
from scripts.commands.surroundings import (
    NumbersCommand,
    Surroundings,
    by_option,
    json_option,
    pass_surroundings,
    say,
    say_json,
    why_option,
)
from scripts.commands.tables import console, table
from shared import instances
from shared.instances import InstanceStatus
from shared.redaction import phone_tail

MOST_SEATS = 1_000_000


@click.group()
def instance() -> None:
    """The numbers. NUMBER is a number's name or id."""


instance.add_command(add)
instance.add_command(rotate_webhook)
instance.add_command(test_number)


@instance.command("list")
@json_option
@pass_surroundings
def list_numbers(around: Surroundings, as_json: bool) -> None:
    """All numbers: phone, people, seats, role, health."""
    with around.database(name="roleta instance list") as db:
        found = instances.every(db)
    if as_json:
        say_json([_shown(each) for each in found])
        return
    if not found:
        say("there is no number yet: roleta instance add NAME")
        return
    rows = [
        (
            each.name,
            phone_tail(each.phone_number),
            each.provider,
            each.people,
            each.seats,
            ", ".join(_roles(each)),
            f"{each.instance_status}, halted: {each.halted_reason}"
            if each.halted_reason
            else each.instance_status,
            each.last_health_check,
            each.instance_id,
        )
        for each in found
    ]
    columns = ("number", "phone", "provider", "people#", "seats#", "role", "state", "checked", "id")
    console().print(table(columns, rows))


@instance.command()
@click.argument("number")
@why_option
@by_option
@pass_surroundings
def pause(around: Surroundings, number: str, why: str | None, by: str) -> None:
    """Let NUMBER send nothing; its people stay and their messages wait."""
    _set(around, number, "paused", by, why)


@instance.command()
@click.argument("number")
@why_option
@by_option
@pass_surroundings
def resume(around: Surroundings, number: str, why: str | None, by: str) -> None:
    """Let NUMBER send again; also lifts what halted it."""
    _set(around, number, "active", by, why)


@instance.command()
@click.argument("number")
@why_option
@by_option
@pass_surroundings
def ban(around: Surroundings, number: str, why: str | None, by: str) -> None:
    """Record that WhatsApp has banned NUMBER: nothing is sent, no health check revives it."""
    _set(around, number, "banned", by, why)


@instance.command(cls=NumbersCommand)
@click.argument("number")
@click.argument("seats", type=click.IntRange(0, MOST_SEATS))
@by_option
@pass_surroundings
def seats(around: Surroundings, *, number: str, seats: int, by: str) -> None:
    """Let NUMBER have SEATS people; those who are there stay."""
    with around.database(name="roleta instance seats") as db:
        found = instances.find(db, number)
        people = instances.set_seats(db, found.instance_id, seats, by=by)
    over = f": {people - seats} over, and they stay" if people > seats else ""
    say(f"{found.name} has {seats} seats (before: {found.seats}) and {people} people{over}")


@instance.command(cls=NumbersCommand)
@click.argument("number")
@click.argument("smallest", type=float, metavar="MIN")
@click.argument("largest", type=float, metavar="MAX")
@by_option
@pass_surroundings
def gaps(around: Surroundings, *, number: str, smallest: float, largest: float, by: str) -> None:
    """Set the seconds between two paced messages of NUMBER, from the next one on."""
    with around.database(name="roleta instance gaps") as db:
        found = instances.find(db, number)
        instances.set_gaps(db, found.instance_id, smallest, largest, by=by)
    say(f"{found.name} waits {smallest:g} to {largest:g} s between two messages, from the next one on")
    if smallest < instances.Pace().gap_min_s:
        say("shorter gaps than 25 to 45 s are how numbers get banned")


@instance.command()
@click.argument("number")
@by_option
@pass_surroundings
def default(around: Surroundings, number: str, by: str) -> None:
    """Make NUMBER the one that serves people without a number of their own."""
    with around.database(name="roleta instance default") as db:
        found = instances.find(db, number)
        instances.set_default(db, found.instance_id, by=by)
    say(f"{found.name} is the default number; nobody was moved")


def _set(around: Surroundings, number: str, wanted: InstanceStatus, by: str, why: str | None) -> None:
    with around.database(name="roleta instance") as db:
        found = instances.find(db, number)
        before = instances.set_instance_status(db, found.instance_id, wanted, by=by, why=why)
    lifted = (
        f" (the halt is lifted: {found.halted_reason})" if wanted == "active" and found.halted_reason else ""
    )
    say(f"{found.name} is {wanted}; it was {before}{lifted}")


def _shown(each: instances.Instance) -> dict[str, object]:
    values = {**asdict(each), "phone_number": phone_tail(each.phone_number)}
    del values["zapi_instance_id"]  # a part of the provider's credentials
    return values


def _roles(each: instances.Instance) -> list[str]:
    roles = ["default"] if each.is_default else []
    if not each.in_pool:
        return [*roles, "not in the pool"]
    return [*roles, "pool" if each.accepts_new else "pool, no new people"]
