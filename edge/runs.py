"""Running a cron function without HTTP: for the scheduler, `roleta run`, a simulation. Not what it does.

Beside them the scheduler runs what is a duty of every installation and no function of an app: retention.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from edge.functions import Answer, Call, EdgeFunction, load_functions
from shared import retention
from shared.db import Calls, as_json
from shared.errors import NotFound
from shared.scheduler import Scheduler
from shared.settings import Settings


def cron_functions(functions: Sequence[EdgeFunction] | None = None) -> list[EdgeFunction]:
    """Those of supabase.toml that run by themselves and are enabled, in its order."""
    known = load_functions() if functions is None else functions
    return [each for each in known if each.caller == "cron" and each.enabled]


def run_function(
    slug: str,
    db: Calls,
    settings: Settings,
    log: FilteringBoundLogger,
    *,
    run_id: str | None = None,
    dry_run: bool = False,
    only: UUID | None = None,
    functions: Sequence[EdgeFunction] | None = None,
) -> Answer:
    """The answer of a cron function, as its HTTP caller would get it; what it raises passes through.

    `run_id` marks what it enqueues; `dry_run` enqueues nothing and tells who would get what; `only` is
    the id of the one profile that is looked at. NotFound, with the names there are, for any other function.
    """
    body: dict[str, object] = {"dry_run": True} if dry_run else {}
    if only is not None:
        body["profile_id"] = str(only)
    call = Call(
        function=slug,
        db=db,
        settings=settings,
        log=log.bind(function=slug, run_id=run_id),
        body=body,
        headers={},
        run_id=run_id,
    )
    return _find(slug, cron_functions(functions)).handler()(call)


def expected_times(db: Calls, people: Sequence[Mapping[str, Any]]) -> list[datetime | None]:
    """When each of a dry run's people would be written to, in their order; None while no number can."""
    asked = [
        {"profile_id": each["profileId"], "purpose": each["purpose"], "instance_id": each.get("instanceId")}
        for each in people
    ]
    return [row["expected_at"] for row in db.call("messaging.expected_times", p_people=as_json(asked))]


def scheduler(
    db: Calls,
    settings: Settings,
    log: FilteringBoundLogger,
    functions: Sequence[EdgeFunction] | None = None,
) -> Scheduler:
    """What a worker runs by itself. SettingsError where supabase.toml names a function that is not there."""
    scheduled = [each for each in cron_functions(functions) if each.schedule is not None]
    for each in scheduled:
        each.handler()

    def run(slug: str, run_id: str) -> Answer:
        if slug == retention.NAME:
            return retention.retain(db, settings)
        return run_function(slug, db, settings, log, run_id=run_id, functions=scheduled)

    return Scheduler(
        [
            *((each.slug, each.schedule) for each in scheduled if each.schedule is not None),
            (retention.NAME, retention.SCHEDULE),
        ],
        time_zone=settings.time_zone,
        db=db,
        run=run,
        log=log,
    )


def _find(slug: str, known: Sequence[EdgeFunction]) -> EdgeFunction:
    for each in known:
        if each.slug == slug:
            return each
    raise NotFound(f"{slug!r} is no function that runs by itself; there are: {_names(known)}")


def _names(known: Sequence[EdgeFunction]) -> str:
    return ", ".join(each.slug for each in known) or "none yet"
