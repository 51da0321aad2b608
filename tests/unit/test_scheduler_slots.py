"""Which slots a cron expression has: the latest, the next, also where the clock of a time zone jumps."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cron import Slots, check
from shared.errors import InvalidInput

SAO_PAULO = "America/Sao_Paulo"
NEW_YORK = "America/New_York"  # forward on 2025-03-09 at 02:00, back on 2025-11-02 at 02:00
SECOND = timedelta(seconds=1)
# The schedules of supabase.toml, as decided for this app.
OURS = [
    "*/5 * * * *",
    "*/5 8-21 * * *",
    "0 19 * * 0",
    "0 9 * * 2,5",
    "0 11 * * *",
    "0 15 * * *",
    "0 10 * * *",
    "0 10 1 * *",
]


def utc(text: str) -> datetime:
    """A moment from ISO 8601, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def every_slot(expression: str, zone: str, start: str, end: str) -> list[str]:
    """All slots from start to end, as a worker that looks every half minute sees them."""
    slots, now = Slots(expression, zone), utc(start)
    seen: list[datetime] = []
    while now < utc(end):
        latest = slots.latest(now)
        if latest is not None and latest > utc(start) - SECOND and (not seen or latest != seen[-1]):
            seen.append(latest)
        now += timedelta(seconds=30)
    return [each.isoformat(timespec="minutes").removesuffix("+00:00") for each in seen]


@pytest.mark.parametrize(
    ("expression", "now", "latest", "following"),
    [
        ("0 19 * * 0", "2025-06-15T19:00:00-03:00", "2025-06-15T22:00Z", "2025-06-22T22:00Z"),
        ("0 19 * * 0", "2025-06-15T18:59:59-03:00", None, "2025-06-15T22:00Z"),
        ("0 9 * * 2,5", "2025-06-13T23:00:00-03:00", "2025-06-13T12:00Z", "2025-06-17T12:00Z"),
        ("0 10 1 * *", "2025-07-01T10:00:00.000001-03:00", "2025-07-01T13:00Z", "2025-08-01T13:00Z"),
        ("*/5 8-21 * * *", "2025-06-10T21:57:00-03:00", "2025-06-11T00:55Z", "2025-06-11T11:00Z"),
        ("*/5 8-21 * * *", "2025-06-11T03:00:00-03:00", "2025-06-11T00:55Z", "2025-06-11T11:00Z"),
    ],
)
def test_slots_are_local_times(expression: str, now: str, latest: str | None, following: str) -> None:
    """Five fields in America/Sao_Paulo, the slot itself included, given in UTC."""
    slots = Slots(expression, SAO_PAULO)
    assert slots.latest(utc(now)) == (utc(latest) if latest else None)
    assert slots.following(utc(now)) == utc(following)


def test_a_time_in_a_skipped_hour_comes_right_after_it() -> None:
    """02:30 does not exist on the day the clock goes forward: that day's slot is 03:00 (07:00 UTC)."""
    days = every_slot("30 2 * * *", NEW_YORK, "2025-03-08T00:00Z", "2025-03-11T00:00Z")
    assert days == ["2025-03-08T07:30", "2025-03-09T07:00", "2025-03-10T06:30"]


def test_a_time_in_a_repeated_hour_comes_once() -> None:
    """01:30 happens twice on the day the clock goes back: the slot is the first of them, all day long."""
    days = every_slot("30 1 * * *", NEW_YORK, "2025-11-01T00:00Z", "2025-11-04T00:00Z")
    assert days == ["2025-11-01T05:30", "2025-11-02T05:30", "2025-11-03T06:30"]


def test_a_worker_that_starts_within_the_repeated_hour_sees_the_same_slot() -> None:
    """Between the two 01:30, at 01:10 of the second time, the latest slot is the first 01:30."""
    assert Slots("30 1 * * *", NEW_YORK).latest(utc("2025-11-02T01:10:00-05:00")) == utc("2025-11-02T05:30Z")


def test_every_five_minutes_goes_on_through_both_jumps() -> None:
    """Neither jump of the clock leaves out or repeats a moment of an expression without a fixed hour."""
    for start, end in (
        ("2025-03-09T05:00Z", "2025-03-09T09:00Z"),
        ("2025-11-02T04:00Z", "2025-11-02T08:00Z"),
    ):
        found = every_slot("*/5 * * * *", NEW_YORK, start, end)
        assert len(found) == len(set(found)) == 48


def test_midnight_that_does_not_exist_comes_at_one() -> None:
    """São Paulo skipped 00:00 to 01:00 while it had summer time."""
    days = every_slot("0 0 * * *", SAO_PAULO, "2018-11-03T00:00Z", "2018-11-06T00:00Z")
    assert days == ["2018-11-03T03:00", "2018-11-04T03:00", "2018-11-05T02:00"]


@given(
    expression=st.sampled_from(OURS),
    zone=st.sampled_from([SAO_PAULO, NEW_YORK, "UTC", "Australia/Lord_Howe"]),
    at=st.datetimes(datetime(2017, 1, 1), datetime(2030, 1, 1)),
    steps=st.lists(st.floats(0, 200_000), max_size=6),
)
def test_walking_on_and_starting_anew_agree(
    expression: str, zone: str, at: datetime, steps: list[float]
) -> None:
    """A worker that has run for days and one that starts now see the same slot, never one to come."""
    walking, now = Slots(expression, zone), at.replace(tzinfo=UTC)
    for step in [0.0, *steps]:
        now += timedelta(seconds=step)
        latest = walking.latest(now)
        assert latest == Slots(expression, zone).latest(now)
        assert walking.following(now) == Slots(expression, zone).following(now)
        assert walking.following(now) > now
        assert latest is None or now - timedelta(hours=25) < latest <= now


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    day=st.dates(datetime(2017, 1, 1).date(), datetime(2030, 1, 1).date()),
    zone=st.sampled_from([SAO_PAULO, NEW_YORK, "Europe/Lisbon", "Australia/Lord_Howe"]),
)
def test_a_daily_time_comes_once_a_day(minute: int, hour: int, day: datetime, zone: str) -> None:
    """Whatever the clock does on that day, there is one slot with its local date."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
    slots, found, now = Slots(f"{minute} {hour} * * *", zone), set(), noon - timedelta(hours=36)
    while now < noon + timedelta(hours=36):
        latest = slots.latest(now.astimezone(UTC))
        if latest is not None:
            found.add(latest)
        now = (now.astimezone(UTC) + timedelta(minutes=15)).astimezone(ZoneInfo(zone))
    assert [each.astimezone(ZoneInfo(zone)).date() for each in found].count(noon.date()) == 1


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "five fields"),
        ("daily", "five fields"),
        ("* * * *", "five fields"),
        ("0 * * * * *", "five fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day-of-month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day-of-week"),
        ("*/0 * * * *", "minute"),
        ("5-1 * * * *", "minute"),
        ("a * * * *", "minute"),
        ("0 0 30 2 *", "day-of-month"),
        (f"{'9' * 5000} * * * *", "no cron expression"),
    ],
)
def test_what_is_no_cron_expression_is_named__refused(expression: str, says: str) -> None:
    """The field that is wrong stands in the message."""
    with pytest.raises(InvalidInput, match=says):
        check(expression)
    with pytest.raises(InvalidInput, match=says):
        Slots(expression, SAO_PAULO)
