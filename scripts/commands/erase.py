"""`roleta erase PHONE`: shows what there is of a person, asks, erases it. Counts and stops stay."""

import re

import click

from scripts.commands.surroundings import Surroundings, by_option, pass_surroundings, say, why_option
from scripts.commands.tables import ask, console, table
from shared import phones, retention
from shared.errors import InvalidInput, RoletaError


@click.command()
@click.argument("phone")
@click.option("--yes", is_flag=True, help="Do not ask.")
@why_option
@by_option
@pass_surroundings
def erase(around: Surroundings, *, phone: str, yes: bool, why: str | None, by: str) -> None:
    """Erase a person: texts, phone, name and e-mail; what waits for the person is withdrawn.

    The rows, their states and times stay. Whoever has said SAIR is still never written to: for that alone the
    phone's key stays in messaging.opt_outs. Logins and tables that are not roleta's are the app's to erase.
    """
    digits = _digits(phone)
    with around.database(name="roleta erase") as db:
        found = retention.erase_preview(db, digits)
        if not any(count for what, count in found.items() if what != "stops kept"):
            say("there is nothing of this phone" + (" but its stop" if found["stops kept"] else ""))
            return
        console().print(table(("what", "rows#"), found.items()))
        ask("Erase this person for good?", yes=yes, nothing_done="nothing erased")
        done = retention.erase(db, digits, by=by, why=why)
    rows = [(what.removeprefix("public."), count) for what, count in done.rows.items() if count]
    if done.erasures:
        console().print(table(("erased", "rows#"), rows))
        say(f"recorded as erasure {', '.join(map(str, done.erasures))}")
    if done.in_flight:
        raise RoletaError(f"{done.in_flight} being sent this moment: run this again in two minutes")


def _digits(phone: str) -> str:
    """The phone with its country code; also one that no numbering plan has, since it may be stored so."""
    try:
        return phones.normalize(phone)
    except InvalidInput:
        digits = re.sub(r"\D", "", phone)
        if not phones.is_plausible(digits):
            raise
        return digits
