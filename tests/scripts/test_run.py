"""`roleta run` and the schedules in `roleta status`: who would get what, what ran, and what runs next."""

import json
import re
import signal
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from scripts.simulator.process import SimulatorProcess
from shared import scheduler
from shared.db import Database
from tests.contract.postgrest_server import SERVICE_KEY, postgrest_server
from tests.database.agency_world import Agency
from tests.database.world import BentClock, Connect, World
from tests.scripts.roleta import Roleta, Runs
from tests.waiting import eventually


@pytest.fixture
def world(connect: Connect) -> World:
    """A session of the test's own."""
    return World(connect())


@pytest.fixture
def people(world: World, aura: UUID) -> list[UUID]:
    """Two active people on Aura #1."""
    found = [world.profile(f"551198765000{digit}", aura) for digit in (1, 2)]
    world.rows("update public.profiles set status = 'active', name = 'Ana [b]Lima[/b]'")
    return found


def count(world: World) -> int:
    """How many messages there are."""
    return int(world.value("select count(*) from messaging.outbox"))


def test_dry_run_shows_who_would_get_what(roleta: Roleta, world: World, people: list[UUID]) -> None:
    """Profile, a phone's last digits, purpose, when, and the text's first line; nothing is enqueued."""
    said = roleta.well("run", "weekly-report", "--dry-run")

    assert all(str(person) in said for person in people)
    assert "…0001" in said
    assert "weekly_report" in said
    assert "Ana" in said
    assert "987650001" not in said
    assert "dry run: 2 messages would be enqueued, nothing was" in said
    assert count(world) == 0


def test_dry_run_says_when_each_would_be_written_to(
    roleta: Roleta, world: World, people: list[UUID], aura: UUID
) -> None:
    """One after the other at the number's pace; while the number is down nobody can say."""
    told = roleta.told("run", "weekly-report", "--dry-run", "--json")["people"]
    first, second = sorted(datetime.fromisoformat(person["expectedAt"]) for person in told)
    assert timedelta(seconds=25) < second - first < timedelta(hours=11)
    roleta.well("instance", "pause", "Aura #1", "--why", "new phone")

    assert "its number cannot send now" in roleta.well("run", "weekly-report", "--dry-run")


def test_dry_run_of_nobody_says_so(roleta: Roleta, world: World, people: list[UUID]) -> None:
    """An empty audience is no empty table."""
    said = roleta.well("run", "weekly-report", "--dry-run", "--only", str(world.profile()))

    assert said == "dry run: nobody is due\n"


def test_dry_run_at_night_says_that_the_run_would_be_skipped(roleta: Roleta, world: World) -> None:
    """Nobody being due and everybody asleep are two answers."""
    BentClock(world, "2026-11-18 22:30-03")

    said = roleta.well("run", "conversation-followup", "--dry-run")

    assert said == (
        "dry run: conversation-followup would be skipped now (quiet_hours), nobody would get anything\n"
    )


def test_dry_run_tells_also_of_what_would_not_go(roleta: Roleta, world: World) -> None:
    """Of agencies: a report that nobody can speak is due all the same, and an alert was looked at."""
    lua = Agency(world)
    client = lua.client()
    lua.setting(client)
    world.rows(
        "update public.whatsapp_report_settings set send_time ="
        " (messaging.clock() at time zone 'America/Sao_Paulo' - interval '5 minutes')::time"
    )
    lua.alert(client)
    said = roleta.well("run", "cron-whatsapp-reports", "--dry-run")
    assert "nobody is due" in said and "1 would not go" in said
    assert "looked at: 1 no_meta_token" in roleta.well("run", "check-balance-alerts", "--dry-run")
    assert count(world) == 0


def test_profile_that_nobody_has_is_not_taken_for_nobody_due__refused(
    roleta: Roleta, people: list[UUID]
) -> None:
    """A mistyped id must not look like a person who is not due."""
    assert "nobody we know" in roleta.refused("run", "weekly-report", "--dry-run", "--only", str(uuid4()))


def test_a_run_enqueues_and_says_when_it_will_be_over(
    roleta: Roleta, world: World, people: list[UUID]
) -> None:
    """The function's answer, a line a field, and when the last message should leave; again: nothing new."""
    said = roleta.well("run", "weekly-report")

    assert "totalUsers: 2\nreportsSent: 2\n" in said
    assert "the last one should leave at " in said
    assert count(world) == 2
    assert "reportsSent: 0" in roleta.well("run", "weekly-report")
    assert count(world) == 2


def test_only_one_profile_gets_it(roleta: Roleta, world: World, people: list[UUID]) -> None:
    """--only takes a profile's id; anything else is told how to call it."""
    told = roleta.told("run", "weekly-report", "--only", str(people[1]), "--json")

    assert told["reportsSent"] == 1
    assert world.value("select profile_id from messaging.outbox") == people[1]
    assert roleta("run", "weekly-report", "--only", "Ana").exit_code == 2


@pytest.mark.parametrize("name", ["weekly", "start-trial", "weekly_report"])
def test_another_function_lists_those_there_are__refused(roleta: Roleta, name: str) -> None:
    """Only what runs by itself can be run so."""
    line = roleta.refused("run", name)

    assert name in line
    assert "weekly-report" in line
    assert "session-reminder" in line


def test_run_works_over_postgrest(
    bare_roleta: Roleta, world: World, people: list[UUID], database_url: str
) -> None:
    """With SUPABASE_URL and the service key alone, dry and for real."""
    with postgrest_server(database_url) as url:
        keys = {"SUPABASE_URL": url, "SUPABASE_SERVICE_ROLE_KEY": SERVICE_KEY}
        assert "2 messages would be enqueued" in bare_roleta.well("run", "weekly-report", "--dry-run", **keys)
        assert "reportsSent: 2" in bare_roleta.well("run", "weekly-report", **keys)
    assert count(world) == 2


def test_run_without_a_database_is_told_what_to_set__refused(bare_roleta: Roleta) -> None:
    """One line, as from every other command."""
    assert "DATABASE_URL is not set" in bare_roleta.refused("run", "weekly-report")


def test_status_shows_the_schedules(roleta: Roleta, db: Database, world: World) -> None:
    """Each function's expression, its last run with its error, and its next slot; the same as JSON."""
    assert "not yet" in roleta.well("status")
    world.rows("insert into messaging.schedules values ('weekly-report', now() - interval '1 day')")
    row = world.rows("select * from messaging.take_run('weekly-report', now(), 'w1')")[0]
    world.rows(
        "select messaging.finish_run('weekly-report', slot, lease_token, p_error => 'no number')"
        " from messaging.schedule_runs"
    )
    said = roleta.well("status")

    assert "schedules (America/Sao_Paulo)" in said
    assert "0 19 * * 0" in said
    # On the schedule's clock, wherever the reader's machine stands.
    assert re.search(r"monthly-schedule-renewal .* 10:00:00", said)
    assert "waiting: no number" in said
    told = roleta.told("status", "--json")["schedules"]
    assert (told["weekly-report"]["run_id"], told["weekly-report"]["error"]) == (row["run_id"], "no number")
    assert told["session-reminder"] is None


@pytest.mark.slow
def test_a_worker_runs_the_schedules(
    runs: Runs, db: Database, world: World, simulator: SimulatorProcess, people: list[UUID]
) -> None:
    """Two worker processes note every schedule and run the slot that comes; SIGTERM ends them well."""
    # Every five minutes of the database's own time, which here goes sixty times as fast.
    world.rows("create table messaging.fast_clock as select clock_timestamp() as since")
    world.rows(
        "create or replace function messaging.clock() returns timestamptz language sql volatile"
        " security definer set search_path = '' as"
        " 'select f.since + (clock_timestamp() - f.since) * 60 from messaging.fast_clock as f'"
    )
    workers = [runs("work", "--name", name, ROLETA_ZAPI_BASE_URL=simulator.base_url) for name in "ab"]
    for worker in workers:
        worker.hears('"event": "started"')

    def ran() -> bool:
        found = scheduler.latest_runs(db).get("session-reminder")
        return found is not None and found.run_state == "done"

    eventually(ran, 60, "the session reminders' next slot")
    said = ""
    for worker in workers:
        assert worker.asked_to_stop(signal.SIGTERM) == 0
        said += worker.said
    events = [json.loads(line) for line in said.splitlines()]
    assert not [each for each in events if each["event"] in ("a duty failed", "run.failed")]
    done = [each["run_id"] for each in events if each["event"] == "run.done"]
    assert done
    assert len(done) == len(set(done))
