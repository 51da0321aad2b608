"""Reports and alerts over an adopted project's tables: enums, texts and json where ours have other types."""

import json
from uuid import UUID

import pytest

from tests.database.agency_world import PHONE, Agency, due, enqueued, figures, logs
from tests.database.world import BentClock, World

# Each on a database of its own: what a session learned of types must not outlive their undoing.
pytestmark = pytest.mark.own_database

# How such a project may have made them; without our checks, defaults and unique constraints.
ADOPTED = """
    create type report_frequency as enum ('daily', 'weekly', 'manual');
    create type report_outcome as enum ('success', 'error');
    alter table public.whatsapp_report_settings
        drop constraint whatsapp_report_settings_frequency_check,
        drop constraint whatsapp_report_settings_agency_id_client_id_key,
        alter column frequency drop default,
        alter column frequency type report_frequency using frequency::report_frequency,
        alter column weekday type smallint,
        alter column metrics drop default, alter column metrics drop not null,
        alter column metrics type json using metrics::json, alter column include_comparison drop not null,
        alter column send_time drop default,
        alter column send_time type text using to_char(send_time, 'HH24:MI'),
        alter column phone_number type varchar(30), alter column report_period_type type varchar(20);
    alter table public.whatsapp_report_logs
        drop constraint whatsapp_report_logs_status_check,
        alter column status type report_outcome using status::report_outcome,
        alter column error_message type varchar(500), alter column report_period_type type varchar(20);
    alter table public.account_balance_alerts
        drop constraint account_balance_alerts_agency_id_ad_account_id_key,
        alter column threshold_value type real, alter column ad_account_id type varchar(40),
        alter column recipient_phone type varchar(30);
    alter table public.daily_metrics
        alter column spend type double precision, alter column revenue type real,
        alter column clicks type integer,
        alter column leads drop not null;
    alter table public.oauth_connections alter column access_token type varchar(500);
"""


@pytest.fixture
def agency(world: World, bent_clock: BentClock) -> Agency:
    """An agency of an adopted project, whose own number is open and whose manager asks, on a Wednesday at
    nine."""
    world.rows(ADOPTED)
    bent_clock.move_to("2026-11-18 09:00-03")
    found = Agency(world)
    found.connect()
    found.act()
    return found


def test_a_report_is_set_due_sent_and_logged(world: World, bent_clock: BentClock, agency: Agency) -> None:
    """From the settings page to the log, with the adopted types and their nulls."""
    client = agency.client()
    bent_clock.move_to("2026-11-17 15:00-03")
    changes = {"frequency": "daily", "phone_number": PHONE, "metrics": {"roas": False}}
    saved = world.value("select messaging.save_report_settings(%s, %s)", client, json.dumps(changes))
    assert (saved["send_time"], saved["metrics"]["roas"], saved["metrics"]["cpa"]) == ("09:00", False, True)
    bent_clock.move_to("2026-11-18 09:00-03")
    figures(world, client, "2026-11-12", spend=10.5, revenue=3, leads=None)
    [row] = due(world)
    assert (row["current"]["spend"], row["current"]["leads"]) == (10.5, 0)
    world.record(world.begun(enqueued(world, row)))
    world.value(
        "select messaging.log_unsent_reports(%s)",
        json.dumps([{**row, "dedupe_key": "other", "error_message": "x" * 600}]),
    )
    assert {(log["status"], log["client_id"]) for log in logs(world)} == {
        ("success", client),
        ("error", client),
    }
    told = world.rows("select log_status, dispatch_state from messaging.report_deliveries(%s)", client)
    assert {(each["log_status"], each["dispatch_state"]) for each in told} == {
        ("error", None),
        (None, "accepted"),
    }


def test_settings_that_hold_nothing_are_the_defaults(world: World, agency: Agency) -> None:
    """Nulls where ours have none."""
    client = agency.client()
    agency.setting(client, metrics=None, include_comparison=None, frequency="manual")
    found = world.value("select messaging.report_settings(%s)", client)
    assert (found["saved"], found["include_comparison"], set(found["metrics"].values())) == (
        True,
        True,
        {True},
    )


def test_an_alert_is_saved_due_and_noted(world: World, agency: Agency) -> None:
    """From the alert page to its rest."""
    client = agency.client()
    agency.account(client)
    agency.token()
    given = [{"ad_account_id": "act_1", "threshold_value": 10.5, "recipient_phone": PHONE}]
    [saved] = world.rows("select * from messaging.save_balance_alerts(%s, %s)", client, json.dumps(given))
    assert (float(saved["threshold_value"]), saved["recipient_phone"]) == (10.5, PHONE)
    [row] = world.value("select messaging.due_balance_alerts()")["alerts"]
    message = world.enqueue(
        UUID(row["instance_id"]), purpose="balance_alert", phone=row["phone"], subject_id=row["alert_id"],
        dedupe_key=row["dedupe_key"],
    )  # fmt: skip
    world.record(world.begun(message))
    assert world.value("select last_triggered_at from public.account_balance_alerts") is not None
    assert world.value("select count(*) from messaging.meta_tokens()") == 1
