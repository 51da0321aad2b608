"""One simulated week: who got what when, and that no rule was broken."""

import re
from collections import Counter
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from scripts.simulate import checks, plot
from scripts.simulate.week import START, Plan, Week, simulate
from shared import log

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def week(fresh_server_url: str) -> Week:
    """500 people on 4 numbers, all schedules, 60 turns an hour and number by day: the issue's week."""
    log.configure("WARNING")
    return simulate(fresh_server_url, Plan())


def test_nothing_happened_that_must_not(week: Week) -> None:
    """Nobody outside the rules, nothing at night, no gap too short, every reminder in its window, every
    duplicate once."""
    assert list(week.violations) == []


def test_every_kind_of_message_left_in_that_week(week: Week) -> None:
    """The rules were not kept by saying nothing."""
    left = Counter(attempt.purpose for attempt in week.begun)
    for purpose in (
        *("answer", "welcome", "weekly_report", "content", "commitment_followup", "checkin", "reactivation"),
        *("session_24h", "session_1h", "session_15m", "session_start", "session_summary", "session_rating"),
        *("conversation_followup", "schedule_setup"),
    ):
        assert left[purpose] > 0, purpose
    assert left["weekly_report"] > 100
    assert week.inbound > 20_000 and week.duplicates > 100


def test_answers_do_not_wait_and_bulk_is_not_starved(week: Week) -> None:
    """An answer leaves within half a minute of its turn; at 60 an hour a number still gets its bulk out."""
    kinds = {kind.kind: kind for kind in week.table()}
    assert kinds["answer"].longest_min < 0.5
    assert kinds["weekly_report"].expired == 0
    assert kinds["content"].expired == 0


def test_the_smallest_gap_is_that_of_the_numbers(week: Week) -> None:
    """25 s lie between any two paced messages of a number, over the whole week."""
    assert week.smallest_gap_s >= checks.GAP_S


def test_the_picture_shows_every_message(week: Week) -> None:
    """Each line of the picture bears the number of its messages, and they add up to all that left."""
    picture = plot.draw(week.begun, START, week.plan.days, "a week")
    numbers = [
        int(number.replace(",", "")) for number in re.findall(r'text-anchor="end"[^>]*>([\d,]+)<', picture)
    ]
    assert len(numbers) == week.plan.numbers * len(plot.KINDS)
    assert sum(numbers) == len(week.begun)
    ElementTree.fromstring(picture)  # noqa: S314 - our own picture
    assert all(START <= attempt.begun_at < START + timedelta(days=7) for attempt in week.begun)
