"""Report settings as an adopted project may hold them: other types, and columns without a value."""

import json
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from scripts.migrate import apply_all
from tests.database.world import World
from tests.migration.projects import project, silent

AGENCY = UUID("a0000000-0000-4000-8000-000000000001")
CLIENT = UUID("c0000000-0000-4000-8000-000000000001")
# A project's own: JSON as text keeps it, a time that somebody typed, nothing that must be filled.
SETTINGS = """
    create table public.whatsapp_report_settings (
        id uuid primary key default gen_random_uuid(), agency_id uuid, client_id uuid, metrics json,
        include_comparison boolean, frequency text, weekday integer, send_time {send_time},
        phone_number text, is_active boolean, report_period_type text
    )"""


@pytest.fixture(params=["text", "time"])
def adopted(server_url: str, request: pytest.FixtureRequest) -> Iterator[World]:
    """Such a project, migrated by its plain owner, who asks as the client's manager."""
    with project(server_url, plain_owner=True, adopted=True) as found:
        with found.connect() as connection:
            connection.execute(SETTINGS.format(send_time=request.param).encode())
        apply_all(found.url, silent)
        with psycopg.connect(found.url, autocommit=True) as connection:
            world = World(connection)
            world.rows("insert into public.user_roles (user_id, role) values (%s, 'admin')", AGENCY)
            world.rows("select set_config('request.jwt.claims', %s, false)", json.dumps({"sub": str(AGENCY)}))
            yield world


@pytest.mark.parametrize("send_time", [None, "09:00"])
def test_a_report_set_before_is_due_and_can_be_set_anew(adopted: World, send_time: str | None) -> None:
    """At nine where no time was stored, as the page shows it."""
    adopted.rows(
        "insert into public.whatsapp_report_settings"
        " (agency_id, client_id, metrics, frequency, send_time, phone_number, is_active)"
        " values (%s, %s, json_build_object('roas', false), 'daily', %s, '5511987650001', true)",
        AGENCY,
        CLIENT,
        send_time,
    )
    settings = adopted.value("select messaging.report_settings(%s)", CLIENT)
    assert (settings["send_time"], settings["metrics"]["roas"]) == ("09:00", False)
    adopted.rows(
        "create or replace function messaging.clock() returns timestamptz language sql volatile"
        " as $$ select timestamptz '2026-11-23 09:01-03' $$"
    )
    due = adopted.value("select messaging.due_reports()")
    assert [report["client_id"] for report in due["reports"]] == [str(CLIENT)]
    saved = adopted.value(
        "select messaging.save_report_settings(%s, %s)",
        CLIENT,
        json.dumps({"send_time": "10:30", "metrics": {"cpa": False}}),
    )
    assert (saved["send_time"], saved["metrics"]["roas"], saved["metrics"]["cpa"]) == ("10:30", False, False)
    assert adopted.value("select messaging.due_reports() -> 'reports'") == []
