"""check-balance-alerts over HTTP against a real ad platform: every status of the original's, and that one
fires."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from edge import runs
from scripts.simulator.ad_platform import AdPlatformSimulator
from shared import log
from shared.db import Database
from shared.rest import RestDatabase
from tests.contract.postgrest_server import SERVICE_KEY as REST_KEY
from tests.contract.postgrest_server import postgrest_server
from tests.database.agency_world import PHONE, TOKEN, Agency
from tests.database.world import BentClock, Connect, World
from tests.edge.conftest import Logs
from tests.edge.content_gateway import messages, post
from tests.edge.gateway import FUNCTIONS, SETTINGS, serving

SLUG = "check-balance-alerts"


@pytest.fixture
def platform() -> Iterator[AdPlatformSimulator]:
    """An ad platform that takes the agencies' token."""
    with AdPlatformSimulator() as running:
        running.token = TOKEN
        yield running
        assert running.complaints == []


@pytest.fixture
def client(db: Database, logs: Logs, platform: AdPlatformSimulator) -> Iterator[httpx.Client]:
    """A gateway that asks this platform; no request fails, and no log or answer ever holds the token."""
    with serving(db, replace(SETTINGS, meta_url=platform.url)) as client:
        yield client
    assert logs.named("request.failed") == []
    assert TOKEN not in logs.text


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon."""
    found = World(connect())
    BentClock(found, "2026-11-18 12:00-03")
    return found


@pytest.fixture
def lua(world: World) -> Agency:
    """An agency with an open number and a token."""
    found = Agency(world)
    found.connect()
    found.token()
    return found


def run(client: httpx.Client) -> dict[str, Any]:
    """The answer, by alert."""
    answer = post(client, SLUG)
    assert answer.status_code == 200 and TOKEN not in answer.text
    told: dict[str, Any] = answer.json()
    assert told["processed"] == len(told["results"])
    return {result["alertId"]: result for result in told["results"]}


def statuses(client: httpx.Client) -> dict[UUID, str]:
    """What became of each alert."""
    return {UUID(alert): result["status"] for alert, result in run(client).items()}


def accept(world: World) -> None:
    """The provider takes what waits."""
    for row in messages(world):
        if row["dispatch_state"] == "queued":
            world.record(world.begun(row["id"]))


def test_bug_29_an_alert_fires(
    client: httpx.Client, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """The token is found, the balance is low, the client hears of it from its own number; the original looked
    for a provider that cannot exist, and every alert ended as no_meta_token."""
    one = lua.client("Padaria Sol")
    lua.account(one)
    number = lua.connect(one)
    alert = lua.alert(one, threshold_value=100)
    platform.balances["act_1"] = 9990
    found = run(client)[str(alert)]
    [message] = messages(world)
    assert found == {
        "alertId": str(alert), "clientId": str(one), "adAccountId": "act_1", "status": "triggered",
        "balance": 99.9, "messageId": message["id"],
    }  # fmt: skip
    assert (message["purpose"], message["lane"], message["on_unknown"]) == (
        "balance_alert", "timed", "resend_once",
    )  # fmt: skip
    assert (message["instance_id"], message["phone"], message["agency_id"]) == (number, PHONE, lua.manager_id)
    for part in ("Padaria Sol", "Conta principal", "R$ 99,90", "R$ 100,00"):
        assert part in message["content"]["text"]
    assert message["facts"]["spoken_by"] == "client" and TOKEN not in str(message)


def test_without_alerts_it_says_so(client: httpx.Client, world: World, lua: Agency) -> None:
    """The original's words, nothing else."""
    lua.alert(lua.client(), is_active=False)
    answer = post(client, SLUG)
    assert (answer.status_code, answer.json()) == (200, {"message": "No active alerts"})


def test_every_status_of_the_original_s(
    client: httpx.Client, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """One alert each, in one run; exactly one message, and the platform is asked no more than it must."""
    without_token, mute = Agency(world), Agency(world)
    without_token.connect()
    mute.token()
    accounts = {f"act_{number}": 5000 for number in range(1, 9)} | {"act_4": 10001, "act_3": 5000}
    platform.balances.update(accounts)
    platform.refuse("act_3", 17)
    one = lua.client()
    expected = {
        without_token.alert(without_token.client(), "act_1"): "no_meta_token",
        lua.alert(one, "act_2", last_triggered_at="2026-11-17 12:00:01-03"): "cooldown",
        lua.alert(one, "act_3"): "error",
        lua.alert(one, "act_4"): "ok",
        mute.alert(mute.client(), "act_5"): "no_evolution_instance",
        lua.alert(one, "act_6", recipient_phone=None): "no_recipient_phone",
        lua.alert(one, "act_7", recipient_phone="12"): "no_recipient_phone",
        lua.alert(one, "act_8"): "triggered",
    }
    assert statuses(client) == expected
    assert len(messages(world)) == 1
    assert sorted(platform.asked) == [f"act_{number}" for number in (3, 4, 5, 6, 7, 8)]


@pytest.mark.parametrize(
    ("cents", "status"), [(10001, "ok"), (10000, "triggered"), (9999, "triggered"), (-5, "triggered")]
)
def test_the_threshold_itself_is_low(
    client: httpx.Client, lua: Agency, platform: AdPlatformSimulator, cents: int, status: str
) -> None:
    """Above is well; at it or below, it is told (functions 4.4)."""
    alert = lua.alert(lua.client(), threshold_value=100)
    platform.balances["act_1"] = cents
    assert statuses(client) == {alert: status}


def test_an_alert_is_told_once_a_day_from_its_acceptance(
    client: httpx.Client, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """Every hour for two days with a low balance: two messages; what waits is not told again meanwhile."""
    lua.alert(lua.client())
    platform.balances["act_1"] = 0
    found: list[str] = []
    for hour in range(48):
        found += statuses(client).values()
        if hour % 24 == 2:
            accept(world)
        world.rows("update messaging.bent_clock set now = now + interval '1 hour'")
    assert found.count("triggered") == 2 and found.count("cooldown") == 46
    assert found[0] == found[26] == "triggered"
    assert messages(world)[0]["dispatch_state"] == "accepted"


def test_what_was_not_accepted_starts_no_rest(
    client: httpx.Client, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """Withdrawn before it left: the next hour tells again."""
    lua.alert(lua.client())
    platform.balances["act_1"] = 0
    for _ in range(2):
        assert list(statuses(client).values()) == ["triggered"]
        world.cancel(message_id=messages(world)[-1]["id"])
    assert len(messages(world)) == 2


def test_a_number_that_is_down_holds_the_alert(
    client: httpx.Client, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """The client's own number is not passed over for the agency's; the alert waits there, once."""
    one = lua.client()
    number = lua.connect(one, status="disconnected")
    lua.alert(one)
    platform.balances["act_1"] = 0
    assert [*statuses(client).values(), *statuses(client).values()] == ["triggered", "cooldown"]
    [message] = messages(world)
    assert message["instance_id"] == number and world.claim() == []


@pytest.mark.parametrize("kind", ["hang_up", "html", "no_balance", "garbage", "error_without_code", 500, 503])
def test_one_failure_never_stops_the_run(
    client: httpx.Client, lua: Agency, platform: AdPlatformSimulator, kind: str | int
) -> None:
    """The broken account is an error with a reason; the others are checked and told."""
    one = lua.client()
    bad, good = lua.alert(one, "act_1"), lua.alert(one, "act_2")
    platform.balances["act_2"] = 0
    platform.trouble("act_1", kind)
    found = run(client)
    assert (found[str(bad)]["status"], found[str(good)]["status"]) == ("error", "triggered")
    assert len(found[str(bad)]["error"]) > 10


def test_an_alert_that_an_adopted_table_broke_is_an_error_of_its_own(
    client: httpx.Client, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """A threshold that is no number, or none that anybody could write out; an account that is none of the
    platform's."""
    world.rows(
        "alter table public.account_balance_alerts"
        " drop constraint account_balance_alerts_threshold_value_check"
    )
    one = lua.client()
    alerts = [
        lua.alert(one, "act_1", threshold_value="NaN"),
        lua.alert(one, "../../me"),
        lua.alert(one, "act_3", threshold_value="Infinity"),
        lua.alert(one, "act_4", threshold_value="1e40"),
        lua.alert(one, "act_2"),
    ]
    platform.balances.update(act_1=5, act_2=5, act_3=5, act_4=5)
    found = statuses(client)
    assert [found[alert] for alert in alerts] == ["error", "error", "error", "error", "triggered"]


def test_a_stop_is_heeded(
    client: httpx.Client, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """Who said SAIR to this agency hears of no balance; who said it to another one does."""
    alert = lua.alert(lua.client())
    platform.balances["act_1"] = 0
    for agency, status, reason in (
        (Agency(world), "triggered", None),
        (lua, "no_recipient_phone", "opted_out"),
    ):
        world.rows("select messaging.opt_out(%s, messaging.phone_key(%s), 'SAIR')", agency.manager_id, PHONE)
        found = run(client)[str(alert)]
        assert (found["status"], found.get("reason")) == (status, reason)
        world.cancel(message_id=messages(world)[-1]["id"])


def test_many_slow_accounts_are_asked_at_once(
    client: httpx.Client, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """Eight that do not answer yet do not stand in a queue: all are asked before one is answered."""
    one = lua.client()
    for number in range(8):
        lua.alert(one, f"act_{number}")
        platform.balances[f"act_{number}"] = 10**6
        platform.hold(f"act_{number}", until_asked=8)
    assert set(statuses(client).values()) == {"ok"}


def test_dry_run_asks_the_platform_and_tells_nobody(
    client: httpx.Client, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """Who would get what, no phone in full; nothing enqueued."""
    one = lua.client()
    lua.alert(one, "act_1")
    lua.alert(one, "act_2")
    platform.balances.update(act_1=5, act_2=10**6)
    answer = post(client, SLUG, {"dry_run": True}).json()
    [shown] = answer["people"]
    assert (answer["processed"], answer["dryRun"]) == (2, True)
    assert (shown["clientId"], shown["phone"], shown["purpose"]) == (str(one), "…0001", "balance_alert")
    assert "R$ 0,05" in shown["text"] and messages(world) == []


def test_only_the_service_may_run_it_and_nobody_is_singled_out(
    client: httpx.Client, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """No key: 401. A person of the house named: 400, and nobody is told."""
    lua.alert(lua.client())
    platform.balances["act_1"] = 0
    assert client.post(f"{FUNCTIONS}/{SLUG}", json={}).status_code == 401
    for name in ("profile_id", "target_user_id"):
        assert post(client, SLUG, {name: str(uuid4())}).status_code == 400
    assert platform.asked == [] and messages(world) == []


@pytest.mark.xdist_group("rest")  # one process alone pays for importing supabase
def test_it_runs_over_postgrest(
    database_url: str, world: World, lua: Agency, platform: AdPlatformSimulator
) -> None:
    """With the service key alone: tokens are found, and the alert is told."""
    lua.alert(lua.client())
    platform.balances["act_1"] = 0
    settings = replace(SETTINGS, meta_url=platform.url)
    with postgrest_server(database_url) as url, closing(RestDatabase(url, REST_KEY)) as rest:
        answer = runs.run_function(SLUG, rest, settings, log.get())
    results: list[dict[str, Any]] = answer["results"]  # type: ignore[assignment]
    [result] = results
    assert (result["status"], len(messages(world))) == ("triggered", 1)
