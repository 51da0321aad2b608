"""`roleta status`: the pool as a table, and whether anything asks for a person."""

from dataclasses import asdict
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from scripts.commands.surroundings import Surroundings, json_option, pass_surroundings, say_json
from scripts.commands.tables import console, length, table, until
from shared import outbox
from shared.db import Database
from shared.outbox import PoolRow

COLUMNS = (
    "number",
    "people#",
    "seats#",
    "queue#",
    "held#",
    "unknown#",
    "next slot",
    "empty",
    "accepted 1 h#",
    "gap",
    "state",
)


@click.command()
@json_option
@pass_surroundings
def status(around: Surroundings, as_json: bool) -> None:
    """Show each number: people and seats, queue, next slot, when its queue is empty, health."""
    with around.database(name="roleta status") as db:
        pool = outbox.pool_overview(db)
        paused = paused_by(db)
        findings = len(outbox.audit_findings(db))
        failed = open_effects(db)
    if as_json:
        say_json(
            {
                "paused": paused,
                "numbers": [asdict(row) for row in pool],
                "audit_findings": findings,
                "failed_effects": failed,
            }
        )
        return
    console().print(Group(*_page(pool, paused, findings, failed)))


def paused_by(db: Database) -> dict[str, Any] | None:
    """Who paused everything, since when and why; None while it runs."""
    standing = db.call_one("messaging.standing")
    return standing if standing["paused_at"] else None


def open_effects(db: Database) -> int:
    """How many failed effects wait for `roleta effects retry`."""
    return int(db.call_one("messaging.standing")["failed_effects"])


def pool_table(pool: list[PoolRow]) -> RenderableType:
    """One line per number."""
    return table(COLUMNS, [_cells(row) for row in pool])


def pause_banner(paused: dict[str, Any] | None) -> list[RenderableType]:
    """What stands above everything else while everything is paused."""
    if paused is None:
        return []
    why = f": {paused['paused_why']}" if paused["paused_why"] else ""
    return [Text(f"PAUSED by {paused['paused_by']}{why} (roleta resume-all)", style="bold red")]


def _page(
    pool: list[PoolRow], paused: dict[str, Any] | None, findings: int, failed: int
) -> list[RenderableType]:
    page = pause_banner(paused)
    page.append(pool_table(pool) if pool else Text("there is no number yet: roleta instance add NAME"))
    if any(row.unknown for row in pool):
        page.append(
            Text(
                "unknown: we cannot tell whether they were sent; never sent again by themselves",
                style="yellow",
            )
        )
    if failed:
        page.append(Text(f"{failed} failed effects: roleta effects retry", style="yellow"))
    if findings:
        page.append(Text(f"{findings} audit findings: roleta audit", style="bold red"))
    return page


def _cells(row: PoolRow) -> list[Any]:
    queue = row.replies + row.timed + row.bulk + row.in_flight
    return [
        f"{row.name} (default)" if row.is_default else row.name,
        Text(str(row.people), style="red" if row.over_seats else ""),
        row.seats,
        queue or "",
        row.held or "",
        row.unknown or "",
        until(row.next_send_at) if queue and sends(row) else "",
        until(row.queue_empty_at),
        row.accepted_hour,
        f"{row.gap_min_s:g}-{length(row.gap_max_s) if row.gap_max_s >= 60 else f'{row.gap_max_s:g} s'}",
        state_of(row),
    ]


def sends(row: PoolRow) -> bool:
    """Whether the number itself may send."""
    return row.status == "active" and row.halted_reason is None


def state_of(row: PoolRow) -> Text:
    """A number's fitness in a word or two."""
    if row.halted_reason:
        return Text(f"{row.status}, halted: {row.halted_reason}", style="red")
    if row.status != "active":
        return Text(row.status, style="red")
    notes = ["active"]
    if not row.in_pool:
        notes.append("not in the pool")
    elif not row.accepts_new:
        notes.append("no new people")
    return Text(", ".join(notes))
