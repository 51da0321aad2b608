"""cron-whatsapp-reports over HTTP: the original's answer, each period once, and one that fails keeps no
other."""

from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx
import pytest

from edge import runs
from shared import log
from shared.db import Database
from shared.rest import RestDatabase
from tests.contract.postgrest_server import SERVICE_KEY as REST_KEY
from tests.contract.postgrest_server import postgrest_server
from tests.database.agency_world import PHONE, Agency, figures, logs
from tests.database.world import BentClock, Connect, World
from tests.edge.content_gateway import messages, move_to, post
from tests.edge.gateway import FUNCTIONS, SETTINGS

SLUG = "cron-whatsapp-reports"
# A Sunday.
NINE_IN_THE_EVENING = "2026-11-22 21:00-03"


@pytest.fixture
def world(connect: Connect) -> World:
    """A Sunday in São Paulo, nine in the evening: Monday in UTC."""
    found = World(connect())
    BentClock(found, NINE_IN_THE_EVENING)
    return found


@pytest.fixture
def lua(world: World) -> Agency:
    """An agency whose own number is open."""
    found = Agency(world)
    found.describe("Agência Lua")
    found.connect()
    return found


def told(client: httpx.Client, **body: object) -> dict[str, object]:
    """The counters of a run that went well."""
    answer = post(client, SLUG, body)
    assert answer.status_code == 200, answer.text
    return {name: answer.json().get(name) for name in ("processed", "sent", "failed", "repeated", "message")}


def counters(processed: int, sent: int, failed: int, message: str | None = None) -> dict[str, object]:
    """What `told` answers."""
    return {
        "processed": processed, "sent": sent, "failed": failed, "repeated": 0, "message": message,
    }  # fmt: skip


def test_bug_28_a_sunday_report_goes_on_sunday_once(client: httpx.Client, world: World, lua: Agency) -> None:
    """Every five minutes for two days: one message, on the client's own number, with the figures of its
    week."""
    weekly, monthly = lua.client("Padaria Sol"), lua.client()
    number = lua.connect(weekly)
    lua.setting(weekly, frequency="weekly", weekday=0, send_time="21:00")
    lua.setting(monthly, frequency="monthly", month_day=30, send_time="21:00")
    figures(world, weekly, "2026-11-15", 7, spend=100, revenue=250)
    found = []
    for minutes in range(-15, 2 * 24 * 60, 55):
        world.rows(
            "update messaging.bent_clock set now = %s::timestamptz + make_interval(mins => %s)",
            NINE_IN_THE_EVENING, minutes,
        )  # fmt: skip
        found.append(told(client)["sent"])
    assert sum(int(str(each)) for each in found) == 1 and found[0] == 0 and found[1] == 1
    [message] = messages(world)
    assert message["dedupe_key"] == f"report:{weekly}:weekly:2026-11-22"
    assert (message["instance_id"], message["agency_id"]) == (number, lua.manager_id)
    assert message["facts"] == {
        "client_id": str(weekly), "spoken_by": "client", "sent_from": message["facts"]["sent_from"],
        "period_start": "2026-11-15", "period_end": "2026-11-21", "report_period_type": "last_7_days",
    }  # fmt: skip
    for part in ("Padaria Sol", "15/11/2026 a 21/11/2026", "R$ 700,00", "2,50x", "Agência Lua"):
        assert part in message["content"]["text"]


def test_the_answer_is_the_original_s_and_the_run(client: httpx.Client, world: World, lua: Agency) -> None:
    """Handed to the outbox, not sent yet; one run id on all; when the last should leave."""
    for index in range(3):
        lua.setting(lua.client(), send_time="20:00", phone_number=f"551198765000{index}")
    answer = post(client, SLUG).json()
    assert answer.pop("expectedEnd") is not None
    run_id = answer.pop("runId")
    assert answer == {"processed": 3, "sent": 3, "failed": 0, "repeated": 0}
    assert {(row["run_id"], row["dispatch_state"], row["lane"]) for row in messages(world)} == {
        (run_id, "queued", "bulk")
    }
    assert told(client) == counters(0, 0, 0)


def test_without_active_settings_it_says_so(client: httpx.Client, world: World, lua: Agency) -> None:
    """The original's words and zero counters; not where some are active and none is due."""
    assert told(client) == counters(0, 0, 0, "No active settings")
    lua.setting(lua.client(), send_time="03:00")
    assert told(client) == counters(0, 0, 0)


def test_one_failure_keeps_no_other_and_is_logged_once(
    client: httpx.Client, world: World, lua: Agency
) -> None:
    """No phone, no valid phone, a figure that is none: failed and logged, in Portuguese; the good one
    goes."""
    cases: list[dict[str, object]] = [{"phone_number": None}, {"phone_number": "12"}, {}, {}]
    clients = [lua.client() for _ in cases]
    for one, columns in zip(clients, cases, strict=True):
        lua.setting(one, send_time="20:30", **columns)
    figures(world, clients[2], "2026-11-16", revenue="NaN")
    assert told(client) == counters(4, 1, 3)
    assert [row["subject_id"] for row in messages(world)] == [str(clients[3])]
    assert told(client) == counters(3, 0, 3)
    logged = logs(world)
    assert {row["client_id"] for row in logged} == set(clients[:3]) and len(logged) == 3
    assert {row["status"] for row in logged} == {"error"}
    assert all(row["error_message"].endswith(".") for row in logged)


def test_what_was_put_right_within_the_three_hours_still_goes(
    client: httpx.Client, world: World, lua: Agency
) -> None:
    """A logged failure does not use the period up."""
    one = lua.client()
    lua.setting(one, send_time="21:00", phone_number=None)
    assert told(client) == counters(1, 0, 1)
    lua.change(one, phone_number=PHONE)
    move_to(world, "2026-11-22 23:00-03")
    assert told(client) == counters(1, 1, 0)


def test_one_client_may_be_named_and_forced(client: httpx.Client, world: World, lua: Agency) -> None:
    """Named: if it is due. Forced: whatever its settings; the same Idempotency-Key is the same message."""
    one, other = lua.client(), lua.client()
    for each in (one, other):
        lua.setting(each, send_time="04:00")
    assert told(client, clientId=str(one)) == counters(0, 0, 0)
    lua.change(one, send_time="20:00")
    assert told(client, clientId=str(other)) == counters(0, 0, 0)
    assert told(client, clientId=str(one)) == counters(1, 1, 0)
    lua.change(one, is_active=False, frequency="manual")
    assert told(client, clientId=str(one)) == counters(0, 0, 0, "No active settings")
    for expected in ({"sent": 1, "repeated": 0}, {"sent": 0, "repeated": 1}):
        answer = post(client, SLUG, {"clientId": str(one), "force": True}, idempotency_key="by-hand-1").json()
        assert {name: answer[name] for name in expected} == expected
    assert told(client, clientId=str(one), force=True)["sent"] == 1
    assert told(client, clientId=str(uuid4()), force=True) == counters(0, 0, 0, "No active settings")
    assert len(messages(world)) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"clientId": "7"}, "clientId"),
        ({"clientId": 7}, "clientId"),
        ({"clientId": []}, "clientId"),
        ({"force": True}, "clientId"),
        ({"force": "yes"}, "force"),
        ({"dry_run": 1}, "dry_run"),
        ({"profile_id": str(uuid4())}, "profile_id"),
        ({"target_user_id": str(uuid4())}, "target_user_id"),
    ],
)
def test_bad_input_is_a_400_and_sends_nothing(
    client: httpx.Client, world: World, lua: Agency, body: dict[str, object], field: str
) -> None:
    """The field's name; above all, nobody's `only` is ignored and everybody written to."""
    lua.setting(lua.client(), send_time="21:00")
    answer = post(client, SLUG, body)
    assert answer.status_code == 400 and field in answer.json()["error"]
    assert messages(world) == []


def test_dry_run_shows_who_would_get_what(client: httpx.Client, world: World, lua: Agency) -> None:
    """The text, no phone in full; nothing enqueued, nothing logged."""
    one = lua.client()
    lua.setting(one, send_time="21:00")
    lua.setting(lua.client(), send_time="21:00", phone_number=None)
    answer = post(client, SLUG, {"dry_run": True}).json()
    [shown] = answer.pop("people")
    assert answer == {"processed": 2, "sent": 0, "failed": 1, "dryRun": True}
    assert (shown["clientId"], shown["phone"], shown["purpose"]) == (str(one), "…0001", "agency_report")
    assert shown["text"].startswith("📊")
    assert messages(world) == [] and logs(world) == []


def test_a_dry_run_tells_when_the_number_that_speaks_would_write(
    db: Database, world: World, lua: Agency
) -> None:
    """`roleta run --dry-run` asks about that number, not about the house's default one."""
    world.number()
    down, well = lua.client(), lua.client()
    lua.connect(down, status="disconnected")
    for one in (down, well):
        lua.setting(one, send_time="21:00")
    answer = runs.run_function(SLUG, db, SETTINGS, log.get(), dry_run=True)
    people: list[dict[str, Any]] = answer["people"]  # type: ignore[assignment]
    expected = dict(zip((each["clientId"] for each in people), runs.expected_times(db, people), strict=True))
    assert expected[str(down)] is None and expected[str(well)] is not None


def test_only_the_service_may_run_it(client: httpx.Client, world: World, lua: Agency) -> None:
    """The original was open to anybody at the seed."""
    lua.setting(lua.client(), send_time="21:00")
    assert client.post(f"{FUNCTIONS}/{SLUG}", json={}).status_code == 401
    assert messages(world) == []


@pytest.mark.xdist_group("rest")  # one process alone pays for importing supabase
def test_it_runs_over_postgrest(db: Database, database_url: str, world: World, lua: Agency) -> None:
    """With the service key alone: the same reports, due and forced, and the same log."""
    one = lua.client()
    lua.setting(one, send_time="21:00")
    lua.setting(lua.client(), send_time="21:00", phone_number=None)
    figures(world, one, "2026-11-15", 7, spend="10.55")
    with postgrest_server(database_url) as url, closing(RestDatabase(url, REST_KEY)) as rest:
        dry = runs.run_function(SLUG, db, SETTINGS, log.get(), dry_run=True)
        assert runs.run_function(SLUG, rest, SETTINGS, log.get(), dry_run=True) == dry
        answer = runs.run_function(SLUG, rest, SETTINGS, log.get())
    assert (answer["processed"], answer["sent"], answer["failed"]) == (2, 1, 1)
    assert "R$ 73,85" in messages(world)[0]["content"]["text"] and len(logs(world)) == 1


@pytest.mark.slow
def test_two_thousand_reports_are_handed_over_within_seconds(
    client: httpx.Client, world: World, lua: Agency
) -> None:
    """2,000 clients with sixty days of figures each; the next run, five minutes later, is a look."""
    world.rows(
        "insert into public.client_manager_links (manager_id, client_label)"
        " select %s, 'Cliente ' || g from generate_series(1, 2000) as g",
        lua.manager_id,
    )
    world.rows(
        "insert into public.whatsapp_report_settings (agency_id, client_id, frequency, send_time, is_active,"
        " phone_number) select manager_id, client_user_id, 'daily', '21:00', true, '55119'"
        " || (80000000 + row_number() over ()) from public.client_manager_links"
    )
    world.rows(
        "insert into public.daily_metrics (client_id, date, spend, revenue, clicks, impressions)"
        " select client_user_id, date '2026-11-21' - g, 10, 20, 30, 4000"
        " from public.client_manager_links cross join generate_series(0, 59) as g"
    )
    world.rows("analyze")
    first = post(client, SLUG)
    assert first.json()["sent"] == 2000
    move_to(world, "2026-11-22 21:05-03")
    again = post(client, SLUG)
    assert (again.json()["processed"], again.json()["sent"]) == (0, 0)
    took = [round(answer.elapsed.total_seconds(), 2) for answer in (first, again)]
    print(f"cron-whatsapp-reports for 2,000 clients: {took[0]} s, five minutes later {took[1]} s")
    assert took[0] < 10 and took[1] < 5
