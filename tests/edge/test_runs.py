"""Cron functions without HTTP: as the scheduler runs them, as a person does, and as the gateway would."""

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest

from edge import runs
from edge.functions import Answer, EdgeFunction, load_functions
from shared import log, outbox, retention
from shared.db import Database
from shared.errors import InvalidInput, NotFound, SettingsError
from shared.rest import RestDatabase
from shared.scheduler import latest_runs
from tests.contract.postgrest_server import SERVICE_KEY as REST_KEY
from tests.contract.postgrest_server import postgrest_server
from tests.database.world import BentClock, Connect, World
from tests.edge.gateway import FUNCTIONS, SERVICE_KEY, SETTINGS, Number

WEEKLY = "weekly-report"
SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def run(db: Database, slug: str = WEEKLY, **more: object) -> Answer:
    """One run with the settings of the tests."""
    return runs.run_function(slug, db, SETTINGS, log.get(), **more)  # type: ignore[arg-type]


def messages(db: Database) -> list[dict[str, object]]:
    """Every message, the earliest first."""
    return db.rows(
        "select profile_id, purpose, run_id, enqueued_by, dispatch_state, dedupe_key"
        " from messaging.outbox order by id"
    )


@pytest.fixture
def world(connect: Connect) -> World:
    """A session of the test's own on the gateway's database."""
    return World(connect())


@pytest.fixture
def people(world: World, number: Number) -> list[UUID]:
    """Three active people on the default number."""
    found = [world.profile(f"551198765000{digit}", number.instance_id) for digit in range(3)]
    world.rows("update public.profiles set status = 'active'")
    return found


def test_a_run_enqueues_under_its_own_run_id(db: Database, people: list[UUID]) -> None:
    """Each message bears it, and the function's name; so `cancel --run` finds them all."""
    answer = run(db, run_id="weekly-report:2025-06-15T22:00Z")
    assert (answer["totalUsers"], answer["reportsSent"]) == (3, 3)
    assert answer["runId"] == "weekly-report:2025-06-15T22:00Z"
    found = messages(db)
    assert {row["profile_id"] for row in found} == set(people)
    assert {(row["run_id"], row["enqueued_by"]) for row in found} == {
        ("weekly-report:2025-06-15T22:00Z", WEEKLY)
    }


def test_a_run_answers_what_its_http_caller_gets(
    db: Database, client: httpx.Client, people: list[UUID]
) -> None:
    """The same fields; and whoever comes second enqueues nothing twice."""
    ours = run(db)
    answer = client.post(f"{FUNCTIONS}/{WEEKLY}", json={}, headers={"authorization": f"Bearer {SERVICE_KEY}"})
    assert answer.status_code == 200
    theirs = answer.json()
    assert {**theirs, "expectedEnd": ""}.keys() == {**ours, "expectedEnd": ""}.keys()
    assert (ours["reportsSent"], theirs["reportsSent"], theirs["repeated"]) == (3, 0, 3)
    assert len(messages(db)) == 3


def test_a_dry_run_tells_and_enqueues_nothing(db: Database, people: list[UUID]) -> None:
    """Who, a phone's tail, what: never a phone in full."""
    answer = run(db, dry_run=True)
    told = answer["people"]
    assert isinstance(told, list)
    assert {person["profileId"] for person in told} == {str(each) for each in people}
    assert {person["phone"] for person in told} == {"…0000", "…0001", "…0002"}
    assert messages(db) == []


def test_only_one_profile_is_looked_at(db: Database, people: list[UUID]) -> None:
    """`only` is a profile's id, due or not; a strange one is no empty audience."""
    assert run(db, only=people[1])["reportsSent"] == 1
    assert run(db, only=people[1])["reportsSent"] == 0
    with pytest.raises(NotFound, match="nobody we know"):
        run(db, only=uuid4())
    assert [row["profile_id"] for row in messages(db)] == [people[1]]


@pytest.mark.parametrize("moment", ["2026-11-18 12:00-03", "2026-11-18 22:00-03", "2026-11-18 03:00-03"])
def test_every_cron_function_has_its_dry_run(
    db: Database, world: World, people: list[UUID], moment: str
) -> None:
    """Each of supabase.toml answers who would get what, at any hour, and changes nothing."""
    BentClock(world, moment)
    for function in runs.cron_functions():
        answer = run(db, function.slug, dry_run=True)
        assert answer["dryRun"] is True, function.slug
        assert isinstance(answer["people"], list)
    assert messages(db) == []


def test_every_cron_function_runs_on_an_empty_database(db: Database, number: Number) -> None:
    """Nobody is due: an answer, no message, no error."""
    for function in runs.cron_functions():
        run(db, function.slug)
    assert messages(db) == []


@pytest.mark.xdist_group("rest")  # one process alone pays for importing supabase
def test_every_cron_function_runs_over_postgrest(
    db: Database, database_url: str, world: World, people: list[UUID]
) -> None:
    """With the service key alone each one chooses the same people, and enqueues as over a connection."""
    with postgrest_server(database_url) as url, closing(RestDatabase(url, REST_KEY)) as rest:
        for function in runs.cron_functions():
            dry = run(db, function.slug, dry_run=True)
            assert runs.run_function(function.slug, rest, SETTINGS, log.get(), dry_run=True) == dry
            answer = runs.run_function(function.slug, rest, SETTINGS, log.get())
            assert set(answer) - {"expectedEnd"} == set(run(db, function.slug)) - {"expectedEnd"}
    assert {row["profile_id"] for row in messages(db)} == set(people)


@pytest.mark.parametrize("slug", ["weekly_report", "start-trial", "webhook-zapi", "no-such", ""])
def test_what_is_no_cron_function_names_those_that_are__refused(db: Database, slug: str) -> None:
    """Neither functions for strangers nor typing mistakes run; the message lists what does."""
    with pytest.raises(NotFound, match="scheduled-checkin"):
        run(db, slug)


def test_a_function_that_is_not_enabled_does_not_run__refused(db: Database) -> None:
    """enabled = false takes it out of the scheduler's hands, and a person's."""
    functions = [EdgeFunction(WEEKLY, "cron", enabled=False, schedule="* * * * *")]
    assert runs.cron_functions(functions) == []
    with pytest.raises(NotFound, match="none yet"):
        runs.run_function(WEEKLY, db, SETTINGS, log.get(), functions=functions)


def test_the_scheduler_runs_the_real_functions(db: Database, world: World, people: list[UUID]) -> None:
    """On Sunday at 19:00 the weekly report is enqueued once, by one of two workers, with its slot as run."""
    clock = BentClock(world, "2025-06-13 12:00:00-03")
    workers = [runs.scheduler(db, SETTINGS, log.get()) for _ in range(2)]
    for worker in workers:
        worker.tick("first look")
    clock.move_to("2025-06-15 19:00:01-03")
    for worker in workers:
        worker.tick("w")
    reports = [row for row in messages(db) if row["purpose"] == "weekly_report"]
    assert {row["run_id"] for row in reports} == {"weekly-report:2025-06-15T22:00Z"}
    assert len(reports) == 3
    last = latest_runs(db)[WEEKLY]
    assert last.run_state == "done"
    assert last.answer is not None
    assert last.answer["reportsSent"] == 3
    withdrawn = outbox.cancel(db, by="test", why="test", preview=False, run_id=str(last.run_id))
    assert sum(row.messages for row in withdrawn) == 3


def test_the_scheduler_and_the_gateway_do_not_double(
    db: Database, client: httpx.Client, world: World, people: list[UUID]
) -> None:
    """pg_cron beside our scheduler changes nothing: the same slot, asked over HTTP as well."""
    clock = BentClock(world, "2025-06-13 12:00:00-03")
    worker = runs.scheduler(db, SETTINGS, log.get())
    worker.tick("w")
    clock.move_to("2025-06-15 19:00:01-03")
    header = {"authorization": f"Bearer {SERVICE_KEY}"}
    client.post(f"{FUNCTIONS}/{WEEKLY}", json={}, headers=header)
    worker.tick("w")
    client.post(f"{FUNCTIONS}/{WEEKLY}", json={}, headers=header)
    assert [row["purpose"] for row in messages(db)].count("weekly_report") == 3


def test_a_week_of_all_schedules(db: Database, world: World, number: Number) -> None:
    """Each function of the file runs in its first week or month, at its local hour, and ends well."""
    scheduled = {each.slug: each.schedule for each in load_functions() if each.schedule}
    scheduled[retention.NAME] = retention.SCHEDULE
    clock = BentClock(world, "2025-06-29 12:00:00-03")
    worker = runs.scheduler(db, SETTINGS, log.get())
    worker.tick("w")
    for hour in range(1, 5 * 24):
        clock.move_to(datetime(2025, 6, 29, 12, 1, tzinfo=SAO_PAULO) + timedelta(hours=hour))
        worker.tick("w")
    found = latest_runs(db)
    assert set(found) == set(scheduled)
    assert {run.run_state for run in found.values()} == {"done"}
    hours = {slug: run.slot_at.astimezone(SAO_PAULO).hour for slug, run in found.items() if run.slot_at}
    for slug in ("session-reminder", "cron-whatsapp-reports", "check-balance-alerts"):
        assert hours.pop(slug) in range(24)
    assert hours.pop("conversation-followup") in range(8, 22)
    assert hours == {slug: int(str(scheduled[slug]).split()[1]) for slug in hours}


@pytest.mark.scoreboard("S19", tier="commit")
def test_what_is_kept_no_longer_goes_every_night_at_one_worker(
    db: Database, world: World, number: Number
) -> None:
    """Beside the functions, and like them once for each slot, though two workers look."""
    clock = BentClock(world, "2025-06-13 12:00:00-03")
    for each in range(2):
        world.enqueue(number.instance_id, content={"kind": "text", "text": f"old words {each}"})
    world.cancel(instance_id=number.instance_id)
    workers = [runs.scheduler(db, SETTINGS, log.get(), []) for _ in range(2)]
    for worker in workers:
        worker.tick("w")
    clock.move_to("2026-06-14 04:00:00-03")
    assert [worker.tick("w") for worker in workers] == [1, 0]
    night = latest_runs(db)[retention.NAME]
    assert (night.run_state, night.answer) == (
        "done", {"texts": 2, "event_texts": 0, "raw_events": 0, "buckets": 0, "more": False}
    )  # fmt: skip
    assert world.value("select count(*) from messaging.outbox where content::text like '%%old words%%'") == 0


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ('"0 19 * *"', "five fields"),
        ('"0 0 19 * * 0"', "five fields"),
        ('"60 19 * * 0"', "minute"),
        ('"0 19 * * 8"', "day-of-week"),
        ('"0 0 31 4 *"', "day-of-month"),
        ("19", "must be a text"),
        ("true", "must be a text"),
    ],
)
def test_a_schedule_of_the_file_is_read_as_cron_reads_it__refused(
    tmp_path: Path, schedule: str, says: str
) -> None:
    """The gateway and the worker do not start on it; the entry and the field are named."""
    file = tmp_path / "supabase.toml"
    file.write_text(f'[functions.weekly-report]\nverify_jwt = false\ncaller = "cron"\nschedule = {schedule}')
    with pytest.raises(SettingsError, match=rf"\[functions\.weekly-report\].*{says}"):
        load_functions(file)


def test_a_schedule_without_its_function_stops_the_worker__refused(unconnected: Database) -> None:
    """At its start, in one line, not at Sunday 19:00."""
    functions = [EdgeFunction("no-such", "cron", schedule="0 19 * * 0")]
    with pytest.raises(SettingsError, match="no_such"):
        runs.scheduler(unconnected, SETTINGS, log.get(), functions)


def test_a_schedule_that_cannot_be_read_stops_the_worker__refused(unconnected: Database) -> None:
    """As supabase.toml itself would be refused."""
    functions = [EdgeFunction(WEEKLY, "cron", schedule="0 25 * * *")]
    with pytest.raises(InvalidInput, match="hour"):
        runs.scheduler(unconnected, SETTINGS, log.get(), functions)
