"""`roleta why MESSAGE`: what the database says of one message, in sentences."""

import re
from datetime import datetime
from typing import Any

import click

from scripts.commands.surroundings import (
    MESSAGE_ID,
    Surroundings,
    json_option,
    pass_surroundings,
    say,
    say_json,
)
from scripts.commands.tables import console, moment, table, until
from shared import outbox

_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@click.command()
@click.argument("message", type=MESSAGE_ID)
@json_option
@pass_surroundings
def why(around: Surroundings, message: int, as_json: bool) -> None:
    """Where MESSAGE (its id) stands, because of what, when it should go, and all that happened to it."""
    with around.database(name="roleta why") as db:
        told = outbox.explain(db, message)
        told["returning"] = outbox.return_notes(db, message)
    if as_json:
        say_json(told)
        return
    for line in sentences(told):
        say(line)
    _print_rows("history", ("at", "from", "to", "by", "reason"), told["history"])
    _print_rows(
        "attempts", ("begun_at", "ended_at", "outcome", "http_status", "detail", "worker"), told["attempts"]
    )
    _print_rows("receipts", ("receipt", "at", "received_at", "error"), told["receipts"])
    _print_rows("evidence", ("source", "says", "happened_at", "seen_at", "detail"), told["evidence"])
    _print_rows("decisions", ("at", "decision", "by", "why"), told["decisions"])


def sentences(told: dict[str, Any]) -> list[str]:
    """What, where, because, and when."""
    lines = [
        f"message {told['message_id']}: {told['purpose']} to {told['phone']} from {told['instance_name']}, "
        f"enqueued by {told['enqueued_by']}" + (f" (run {told['run_id']})" if told["run_id"] else ""),
        f"it is {told['dispatch_state']}" + (f": {told['because']}" if told["because"] else ""),
    ]
    # All times of one answer on one clock.
    lines += [_ISO_TIME.sub(lambda found: moment(found[0]), note) for note in told["returning"]]
    if told["delivery_state"]:
        error = f" ({told['delivery_error']})" if told["delivery_error"] else ""
        lines.append(f"the provider says: {told['delivery_state']}{error}")
    if told["dispatch_state"] in ("draft", "queued", "held", "leased"):
        expected = told["expected_at"]
        lines.append(
            f"expected to leave at {moment(expected)} ({until(datetime.fromisoformat(expected))})"
            if expected
            else "when it leaves cannot be foretold: a person or the provider decides"
        )
        lines.append(f"not before {moment(told['not_before'])}, not after {moment(told['expires_at'])}")
    return lines


def _print_rows(title: str, names: tuple[str, ...], rows: list[dict[str, Any]] | None) -> None:
    if not rows:
        return
    columns = [name.removesuffix("_at").replace("_", " ") for name in names]
    cells = [[_cell(name, row.get(name)) for name in names] for row in rows]
    console().print(table(columns, cells, title=title))


def _cell(name: str, value: Any) -> Any:
    return moment(value) if name == "at" or name.endswith("_at") else value
