"""`roleta unknowns` and `roleta decide`: what may or may not have been sent, and a person's word on it."""

from collections.abc import Iterable
from typing import Any

import click

from scripts.commands.surroundings import (
    MESSAGE_ID,
    Surroundings,
    by_option,
    json_option,
    pass_surroundings,
    say,
    say_json,
)
from scripts.commands.tables import ask, console, moment, table
from shared import outbox, unknowns
from shared.errors import Conflict, InvalidInput
from shared.unknowns import Decision, Unknown

_DECISIONS: dict[str, Decision] = {"resend": "resend", "consider-sent": "consider_sent", "drop": "drop"}
_MEANS: dict[Decision, str] = {
    "resend": "it goes once more, on the same number: whoever got the first one gets it twice",
    "consider_sent": "nothing more is sent, and the app is told that it was: who did not get it never will",
    "drop": "nothing more is sent, and the app is told nothing",
}
_COLUMNS = ("id#", "number", "phone", "purpose", "uncertain since", "rule", "evidence")
_NO_EVIDENCE = "none yet"


@click.command("unknowns")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many."
)
@json_option
@pass_surroundings
def list_unknowns(around: Surroundings, limit: int, as_json: bool) -> None:
    """Messages of which we cannot tell whether they were sent, those first that have waited longest."""
    with around.database(name="roleta unknowns") as db:
        found = unknowns.every(db, limit=limit + 1)
    shown = found[:limit]
    if as_json:
        say_json([_plain(each) for each in shown])
        return
    if not shown:
        say("nothing is uncertain")
        return
    console().print(table(_COLUMNS, [_cells(each) for each in shown]))
    if len(found) > limit:
        say(f"these are the first {limit}; --limit shows more")


@click.command("decide")
@click.argument("message", type=MESSAGE_ID)
@click.argument("decision", type=click.Choice(list(_DECISIONS)))
@click.option("--why", required=True, metavar="TEXT", help="Why, for the record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@by_option
@pass_surroundings
def decide(around: Surroundings, message: int, decision: str, *, why: str, yes: bool, by: str) -> None:
    """Decide of MESSAGE (its id), which may or may not have been sent; recorded with who and why."""
    chosen = _DECISIONS[decision]
    if not why.strip():
        raise InvalidInput("a decision says why")
    with around.database(name="roleta decide") as db:
        told = outbox.explain(db, message)
        if told["dispatch_state"] != "unknown":
            raise Conflict(f"message {message} is not uncertain any more: it is {told['dispatch_state']}")
        say(f"message {message}: {told['purpose']} to {told['phone']} from {told['instance_name']}")
        say(told["because"])
        seen = [(each["source"], each["says"], each["seen_at"]) for each in told["evidence"]]
        say(f"evidence: {_evidence(seen)}")
        say(f"{decision}: {_MEANS[chosen]}")
        ask(f"{decision.capitalize()} message {message}?", yes=yes, nothing_done="nothing decided")
        state = unknowns.decide(db, message, chosen, by=by, why=why)
    say(f"decided by {by}: message {message} is {state}")


def _cells(message: Unknown) -> tuple[object, ...]:
    return (
        message.message_id,
        message.instance_name,
        f"…{message.phone_tail}",
        message.purpose,
        message.unknown_since,
        message.on_unknown,
        _evidence((each.source, each.says, each.seen_at) for each in message.evidence),
    )


def _evidence(found: Iterable[tuple[str, str, Any]]) -> str:
    told = [f"{source} says {says} ({moment(seen)})".replace("_", " ") for source, says, seen in found]
    return "; ".join(told) or _NO_EVIDENCE


def _plain(message: Unknown) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "instance_name": message.instance_name,
        "phone": f"…{message.phone_tail}",
        "purpose": message.purpose,
        "unknown_since": message.unknown_since,
        "expires_at": message.expires_at,
        "on_unknown": message.on_unknown,
        "presumed": message.presumed,
        "evidence": [vars(each) for each in message.evidence],
    }
