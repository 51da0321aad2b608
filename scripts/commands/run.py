"""`roleta run`: one cron function, now: for real, or only to see who would get what."""

import sys
from collections import Counter
from typing import Any
from uuid import UUID

import click
import structlog
from structlog.typing import FilteringBoundLogger

from edge import runs
from edge.functions import Answer
from scripts.commands.surroundings import Surroundings, json_option, pass_surroundings, say, say_json
from scripts.commands.tables import console, moment, table
from shared.redaction import Redactor
from shared.settings import Settings

COLUMNS = ("profile", "phone", "purpose", "expected", "text")
People = list[dict[str, Any]]


@click.command()
@click.argument("function", metavar="FUNCTION")
@click.option("--dry-run", is_flag=True, help="Show who would get what; enqueue nothing.")
@click.option("--only", type=click.UUID, metavar="PROFILE", help="Only this profile (its id).")
@json_option
@pass_surroundings
def run(around: Surroundings, *, function: str, dry_run: bool, only: UUID | None, as_json: bool) -> None:
    """Run one cron function, such as weekly-report, as its schedule would.

    It enqueues; workers send at each number's pace. Who was given the same message already gets it no second
    time.
    """
    settings = around.settings
    with around.calls(name=f"roleta run {function}", max_size=2) as db:
        answer = runs.run_function(function, db, settings, _log(settings), dry_run=dry_run, only=only)
        if dry_run:
            people: People = answer["people"]  # type: ignore[assignment]
            for person, at in zip(people, runs.expected_times(db, people), strict=True):
                person["expectedAt"] = at and at.isoformat()
    if as_json:
        say_json(answer)
    elif dry_run and answer.get("status") == "skipped":
        say(f"dry run: {function} would be skipped now ({answer['reason']}), nobody would get anything")
    elif dry_run:
        _show_people(people)
        _show_others(answer)
    else:
        _show_answer(answer)


def _show_people(people: People) -> None:
    if not people:
        say("dry run: nobody is due")
        return
    console().print(table(COLUMNS, [_cells(person) for person in people]))
    say(f"dry run: {len(people)} message{'s' if len(people) > 1 else ''} would be enqueued, nothing was")


def _show_others(answer: Answer) -> None:
    """Functions of agencies also tell of what would not go: that nobody is due is not the same."""
    if failed := answer.get("failed"):
        say(f"{failed} would not go: a real run writes each into the log of reports, with why")
    results = answer.get("results")
    if isinstance(results, list) and results:
        counted = Counter(str(each["status"]) for each in results)
        say("looked at: " + ", ".join(f"{count} {status}" for status, count in sorted(counted.items())))


def _cells(person: dict[str, Any]) -> tuple[object, ...]:
    return (
        # A function of agencies writes to their clients.
        person["profileId"] or person.get("clientId"),
        person["phone"],
        person["purpose"],
        moment(person["expectedAt"]) or "its number cannot send now",
        next(iter((person["text"] or "").splitlines()), ""),
    )


def _show_answer(answer: Answer) -> None:
    for name, value in answer.items():
        if name != "expectedEnd":
            say(f"{name}: {value}")
    if answer.get("expectedEnd"):
        say(f"the last one should leave at {moment(str(answer['expectedEnd']))}")


def _log(settings: Settings) -> FilteringBoundLogger:
    """Warnings and worse on stderr, masked; standard output has the answer only."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            Redactor(settings.secrets),
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
    )
    return log
