"""When an agency's report is due, and of which days it tells: by the agency's own calendar, each period
once."""

from datetime import date

import pytest

from tests.database.agency_world import Agency, due, enqueued
from tests.database.world import BentClock, World

SP, NY, TOKYO = "America/Sao_Paulo", "America/New_York", "Asia/Tokyo"
# Time zone, frequency, weekday or day of the month, hour; then moments and the local date that is due then.
DAILY = ("daily", None)
SUNDAY, MONDAY, SATURDAY = ("weekly", 0), ("weekly", 1), ("weekly", 6)
MOMENTS: list[tuple[str, tuple[str, int | None], str, list[tuple[str, str | None]]]] = [
    (
        SP, DAILY, "09:00",
        [
            ("2026-11-18 08:59:59-03", None),
            ("2026-11-18 09:00-03", "2026-11-18"),
            ("2026-11-18 11:59:59-03", "2026-11-18"),
            ("2026-11-18 12:00-03", None),
            ("2026-11-18 09:00+00", None),
        ],
    ),
    # Nine in the evening on a Sunday in São Paulo is Monday in UTC: there the original looked.
    (
        SP, SUNDAY, "21:00",
        [
            ("2026-11-21 21:30-03", None),
            ("2026-11-22 20:59:59-03", None),
            ("2026-11-22 21:00-03", "2026-11-22"),
            ("2026-11-22 22:30-03", "2026-11-22"),
            ("2026-11-22 23:59:59-03", "2026-11-22"),
            ("2026-11-23 00:00-03", None),
            ("2026-11-23 21:30-03", None),
        ],
    ),
    (
        SP, MONDAY, "21:00",
        [("2026-11-22 21:30-03", None), ("2026-11-22 23:59-03", None), ("2026-11-23 21:30-03", "2026-11-23")],
    ),
    # Made up for past midnight: still Sunday's.
    (
        SP, SUNDAY, "23:00",
        [
            ("2026-11-22 23:00-03", "2026-11-22"),
            ("2026-11-23 00:30-03", "2026-11-22"),
            ("2026-11-23 01:59:59-03", "2026-11-22"),
            ("2026-11-23 02:00-03", None),
        ],
    ),
    (SP, MONDAY, "23:30", [("2026-11-23 00:30-03", None), ("2026-11-24 00:30-03", "2026-11-23")]),
    (SP, SATURDAY, "00:00", [("2026-11-20 23:59:59-03", None), ("2026-11-21 00:00-03", "2026-11-21")]),
    (TOKYO, SUNDAY, "08:00", [("2026-11-21 23:30+00", "2026-11-22"), ("2026-11-22 23:30+00", None)]),
    (
        SP, ("monthly", 31), "09:00",
        [
            ("2026-01-30 10:00-03", None),
            ("2026-01-31 10:00-03", "2026-01-31"),
            ("2026-02-28 10:00-03", "2026-02-28"),
            ("2026-04-29 10:00-03", None),
            ("2026-04-30 10:00-03", "2026-04-30"),
            ("2028-02-28 10:00-03", None),
            ("2028-02-29 10:00-03", "2028-02-29"),
        ],
    ),
    (
        SP, ("monthly", 1), "22:00",
        [
            # Already the first in UTC, not yet in São Paulo.
            ("2026-11-30 22:30-03", None),
            ("2026-12-01 22:30-03", "2026-12-01"),
            ("2026-12-02 00:59-03", "2026-12-01"),
            ("2026-12-18 22:30-03", None),
        ],
    ),
    (SP, ("monthly", None), "09:00", [("2026-12-01 10:00-03", "2026-12-01"), ("2026-12-02 10:00-03", None)]),
    (SP, ("weekly", None), "09:00", [("2026-11-23 10:00-03", "2026-11-23"), ("2026-11-24 10:00-03", None)]),
    (SP, ("manual", None), "09:00", [("2026-11-18 09:00-03", None), ("2026-12-01 09:30-03", None)]),
    # 8 March 2026: at two it becomes three.
    (
        NY, DAILY, "02:30",
        [
            ("2026-03-08 01:59:59-05", None),
            ("2026-03-08 03:29:59-04", None),
            ("2026-03-08 03:30-04", "2026-03-08"),
            ("2026-03-08 06:29:59-04", "2026-03-08"),
            ("2026-03-08 06:30-04", None),
        ],
    ),
    (
        NY, SUNDAY, "09:00",
        [
            ("2026-03-08 08:59-04", None),
            ("2026-03-08 09:00-04", "2026-03-08"),
            ("2026-11-01 08:59-05", None),
            ("2026-11-01 09:00-05", "2026-11-01"),
        ],
    ),
    # 1 November 2026: at two it becomes one again. The second 1:30, once.
    (
        NY, DAILY, "01:30",
        [
            ("2026-11-01 01:30-05", "2026-11-01"),
            ("2026-11-01 04:29:59-05", "2026-11-01"),
            ("2026-11-01 04:30-05", None),
        ],
    ),
    (NY, SATURDAY, "23:00", [("2026-03-08 01:59-05", "2026-03-07"), ("2026-03-08 03:00-04", None)]),
]  # fmt: skip


def due_date(world: World, zone: str, rule: tuple[str, int | None], hour: str, moment: str) -> date | None:
    """What report_date says."""
    frequency, day = rule
    found: date | None = world.value(
        "select messaging.report_date(%s, %s, %s, %s, null, %s, %s)", frequency, day, day, hour, zone, moment
    )
    return found


@pytest.mark.parametrize(("zone", "rule", "hour", "moments"), MOMENTS)
def test_bug_28_a_report_is_due_by_the_agency_s_calendar_for_three_hours(
    world: World, zone: str, rule: tuple[str, int | None], hour: str, moments: list[tuple[str, str | None]]
) -> None:
    """Weekday, month's end, midnight and both changes of the clock; the original looked at the weekday in
    UTC and sent "monthly" every day."""
    for moment, expected in moments:
        found = due_date(world, zone, rule, hour, moment)
        assert (found and found.isoformat()) == expected, moment


@pytest.mark.parametrize(
    "rule", [DAILY, *(("weekly", day) for day in range(7)), ("monthly", 31), ("monthly", 1)]
)
@pytest.mark.parametrize("zone", [SP, NY])
def test_bug_28_a_worker_that_never_rests_finds_each_period_exactly_once(
    world: World, zone: str, rule: tuple[str, int | None]
) -> None:
    """Every five minutes from February to April, and around November's change: a date per day, week or
    month."""
    for start, end in (("2026-02-01", "2026-04-30"), ("2026-10-25", "2026-11-10")):
        found = world.rows(
            "select distinct messaging.report_date(%s, %s, %s, '21:30', null, %s, m) as day from"
            " generate_series(%s::timestamp at time zone %s, %s::timestamp at time zone %s, '5 min') as m",
            rule[0], rule[1], rule[1], zone, start + " 04:00", zone, end + " 23:59", zone,
        )  # fmt: skip
        expected = world.rows(
            "select d::date as day from generate_series(%s::timestamp, %s::timestamp, '1 day') as d where"
            " case %s when 'daily' then true when 'weekly' then extract(dow from d) = %s"
            " else extract(day from d) = least(%s,"
            " extract(day from date_trunc('month', d) + interval '1 month - 1 day')) end",
            start, end, rule[0], rule[1], rule[1],
        )  # fmt: skip
        assert {row["day"] for row in found} - {None} == {row["day"] for row in expected}


@pytest.mark.parametrize(
    ("saved", "expected"),
    [("09:04:59", "2026-11-18"), ("09:05", "2026-11-18"), ("09:05:01", None), ("10:59", None)],
)
def test_an_hour_that_had_passed_when_it_was_set_waits_for_its_next_day(
    world: World, saved: str, expected: str | None
) -> None:
    """Who sets nine o'clock at eleven does not want a report at eleven; within five minutes it still
    counts."""
    found = world.value(
        "select messaging.report_date('daily', null, null, '09:00', %s, %s, '2026-11-18 11:00-03')",
        f"2026-11-18 {saved}-03", SP,
    )  # fmt: skip
    assert (found and found.isoformat()) == expected
    tomorrow = world.value(
        "select messaging.report_date('daily', null, null, '09:00', %s, %s, '2026-11-19 09:00-03')",
        f"2026-11-18 {saved}-03", SP,
    )  # fmt: skip
    assert tomorrow == date(2026, 11, 19)


PERIODS = [
    ("yesterday", "2026-03-01", "2026-02-28", "2026-02-28"),
    ("last_7_days", "2026-03-03", "2026-02-24", "2026-03-02"),
    ("last_30_days", "2026-03-01", "2026-01-30", "2026-02-28"),
    ("this_month", "2026-03-15", "2026-03-01", "2026-03-14"),
    ("this_month", "2026-03-02", "2026-03-01", "2026-03-01"),
    ("this_month", "2026-03-01", "2026-03-01", "2026-03-01"),
    ("last_month", "2026-03-31", "2026-02-01", "2026-02-28"),
    ("last_month", "2026-01-01", "2025-12-01", "2025-12-31"),
    ("last_month", "2028-03-10", "2028-02-01", "2028-02-29"),
    ("no such", "2026-03-08", "2026-03-01", "2026-03-07"),
]


@pytest.mark.parametrize(("kind", "day", "first", "last"), PERIODS)
def test_a_period_is_whole_days_before_the_report(
    world: World, kind: str, day: str, first: str, last: str
) -> None:
    """Both ends, months of every length; on the first of a month "this month" is today."""
    [row] = world.rows("select * from messaging.report_period(%s, %s)", kind, day)
    assert (row["period_start"].isoformat(), row["period_end"].isoformat()) == (first, last)


@pytest.fixture
def agency(world: World, bent_clock: BentClock) -> Agency:
    """An agency whose own number is open, on a Wednesday at nine."""
    bent_clock.move_to("2026-11-18 09:00-03")
    found = Agency(world)
    found.connect()
    return found


def test_what_was_enqueued_is_not_due_again(world: World, bent_clock: BentClock, agency: Agency) -> None:
    """The rest of the three hours belongs to nobody; tomorrow is another period."""
    agency.setting(agency.client())
    [row] = due(world)
    enqueued(world, row)
    for moment, count in (("09:05", 0), ("11:59", 0)):
        bent_clock.move_to(f"2026-11-18 {moment}-03")
        assert len(due(world)) == count
    bent_clock.move_to("2026-11-19 09:00-03")
    assert [row["local_date"] for row in due(world)] == ["2026-11-19"]


@pytest.mark.parametrize(
    "changes",
    [
        {"frequency": "weekly", "weekday": 3},
        {"frequency": "monthly", "month_day": 18},
        {"send_time": "09:30"},
        {"report_period_type": "yesterday"},
        {"phone_number": "5511987650002"},
    ],
)
def test_settings_changed_later_that_day_do_not_send_again(
    world: World, bent_clock: BentClock, agency: Agency, changes: dict[str, object]
) -> None:
    """Whatever the frequency was this morning: one of them a day."""
    client = agency.client()
    agency.setting(client)
    enqueued(world, due(world)[0])
    agency.change(client, **changes)
    bent_clock.move_to("2026-11-18 10:00-03")
    assert due(world) == []


def test_each_agency_has_its_own_time(world: World, bent_clock: BentClock, agency: Agency) -> None:
    """One moment, two agencies, two dates; a zone that nobody knows is São Paulo's and stops nobody."""
    tokyo, strange = Agency(world), Agency(world)
    tokyo.describe(time_zone=TOKYO)
    strange.describe(time_zone="Mars/Base")
    clients = {}
    for one in (agency, tokyo, strange):
        client = one.client()
        one.setting(client, send_time="21:00")
        clients[str(client)] = one
    bent_clock.move_to("2026-11-18 21:10-03")
    assert {row["client_id"] for row in due(world)} == set(clients) - {
        key for key, one in clients.items() if one is tokyo
    }
    bent_clock.move_to("2026-11-18 21:10+09")
    assert [clients[row["client_id"]] for row in due(world)] == [tokyo]
