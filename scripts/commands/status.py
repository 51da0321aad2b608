"""`roleta status`: the pool as a table, and whether anything asks for a person."""

from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.console import Group, RenderableType
from rich.text import Text

from edge.runs import cron_functions
from scripts.commands.surroundings import Surroundings, json_option, pass_surroundings, say_json
from scripts.commands.tables import console, moment, table, until
from shared import clock, outbox, scheduler, sealing
from shared.cron import Slots
from shared.db import Database
from shared.outbox import PoolRow, Return
from shared.scheduler import PastRun

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
SCHEDULE_COLUMNS = ("function", "schedule", "last slot", "last run", "next slot")


@click.command()
@json_option
@pass_surroundings
def status(around: Surroundings, as_json: bool) -> None:
    """Show each number (people, seats, queue, next slot, its queue's end, health), and the schedules."""
    with around.database(name="roleta status") as db:
        pool = outbox.pool_overview(db)
        paused = paused_by(db)
        findings = len(outbox.audit_findings(db))
        failed = open_effects(db)
        runs = scheduler.latest_runs(db)
        returns = outbox.returns(db)
        plain = sealing.plain(db)
    schedules = [(each.slug, each.schedule) for each in cron_functions() if each.schedule is not None]
    if as_json:
        say_json(
            {
                "paused": paused,
                "numbers": [asdict(row) for row in pool],
                "audit_findings": findings,
                "failed_effects": failed,
                "returns": [asdict(row) for row in returns],
                "plain_credentials": plain,
                "schedules": {slug: asdict(runs[slug]) if slug in runs else None for slug, _ in schedules},
            }
        )
        return
    page = _page(pool, paused, findings, failed)
    page += [Text(line, style="yellow") for row in returns for line in return_lines(row)]
    if plain:
        page.append(
            Text(f"{plain} credentials stand in plain text: roleta encrypt-credentials", style="yellow")
        )
    if schedules:
        page.append(_schedule_table(schedules, runs, around.settings.time_zone))
    console().print(Group(*page))


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


def return_lines(row: Return) -> list[str]:
    """What there is to say of a number that was down, a sentence each."""
    lines = []
    if not row.is_prepared:
        when = "before it speaks again" if row.down_since is None else "while it is down"
        why = f"; {row.failures} tries failed, the last: {row.failure}" if row.failure else ""
        lines.append(f"{row.instance_name}: its provider's queue is being purged {when}{why}")
    elif row.ramp_until is not None:
        lines.append(
            f"{row.instance_name} came back at {moment(row.returned_at)}: ramping until "
            f"{moment(row.ramp_until)} or for {row.ramp_messages_left} more messages, "
            f"its gaps are {row.gap_factor:.1f} times as long now"
        )
    if row.purged:
        lines.append(
            f"{row.instance_name}: {row.purged} accepted or unknown messages stood in the provider's queue "
            "when it was purged, most probably never delivered; nothing sends them again (roleta why ID)"
        )
    return lines


def _page(
    pool: list[PoolRow], paused: dict[str, Any] | None, findings: int, failed: int
) -> list[RenderableType]:
    page = pause_banner(paused)
    page.append(pool_table(pool) if pool else Text("there is no number yet: roleta instance add NAME"))
    if any(row.unknown for row in pool):
        page.append(
            Text(
                "unknown: we cannot tell whether they were sent; never sent again by themselves"
                " (roleta reconcile)",
                style="yellow",
            )
        )
    if failed:
        page.append(Text(f"{failed} failed effects: roleta effects retry", style="yellow"))
    if findings:
        page.append(Text(f"{findings} audit findings: roleta audit", style="bold red"))
    return page


def _schedule_table(
    schedules: list[tuple[str, str]], runs: dict[str, PastRun], time_zone: str
) -> RenderableType:
    """One line per scheduled function; expressions and slots are in the time zone of the title."""
    now, zone = clock.now(), ZoneInfo(time_zone)
    rows = [
        (
            slug,
            expression,
            *_last_run(runs.get(slug), zone),
            moment(Slots(expression, time_zone).following(now), zone),
        )
        for slug, expression in schedules
    ]
    return table(SCHEDULE_COLUMNS, rows, title=f"schedules ({time_zone})")


def _last_run(run: PastRun | None, zone: ZoneInfo) -> tuple[str, Text]:
    if run is None or run.slot_at is None:
        return "", Text("not yet")
    slot = moment(run.slot_at, zone)
    if run.error is None:
        return slot, Text(run.run_state, style="red" if run.run_state == "failed" else "")
    return slot, Text(f"{run.run_state}: {run.error}", style="red")


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
        f"{row.gap_min_s:g}-{row.gap_max_s:g} s",
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
