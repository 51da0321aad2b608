"""Which sessions nobody ended: missed or abandoned, to the second."""

import pytest

from tests.database import session_world as sessions
from tests.database.world import BentClock, World

NOON = "2026-11-18 12:00-03"


@pytest.fixture(autouse=True)
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A Wednesday at noon in São Paulo, and one number."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


# Each condition of messaging.session_overdue as the server prints it, somebody inside and somebody outside.
OVERDUE: dict[str, tuple[str, sessions.Made, sessions.Made]] = {
    "missed: only if scheduled": (
        "((p_session).status = 'scheduled'::text)",
        sessions.missed,
        lambda world: sessions.missed(world, status="completed"),
    ),
    "missed: only if not begun": (
        "((p_session).started_at IS NULL)",
        sessions.missed,
        lambda world: sessions.missed(world, started_at=NOON),
    ),
    "missed: only if announced": (
        "(p_session).session_start_notified",
        sessions.missed,
        lambda world: sessions.missed(world, session_start_notified=False),
    ),
    "missed: after 30 minutes": (
        "((p_session).scheduled_at < (p_now - '00:30:00'::interval))",
        lambda world: sessions.missed(world, "00:30:01"),
        lambda world: sessions.missed(world, "30 minutes"),
    ),
    "abandoned: only if in progress": (
        "((p_session).status = 'in_progress'::text)",
        sessions.begun,
        lambda world: sessions.begun(world, status="completed"),
    ),
    "abandoned: half an hour beyond its end": (
        "(messaging.session_over_at(p_session) < p_now)",
        lambda world: sessions.begun(world, "1 second"),
        lambda world: sessions.begun(world, "0 seconds"),
    ),
}


@pytest.mark.parametrize("name", OVERDUE)
def test_overdue_is_exactly_what_the_conditions_say(world: World, name: str) -> None:
    """Inside is overdue and outside is not; with the condition taken away, outside is overdue too."""
    fragment, inside, outside = OVERDUE[name]
    overdue = (
        "select messaging.session_overdue(s, messaging.clock()) from public.sessions as s"
        " join public.profiles as p using (user_id) where p.id = %s"
    )
    kind = f"session_{name.partition(':')[0]}"
    out = outside(world)
    assert world.value(overdue, inside(world)) == kind
    assert world.value(overdue, out) != kind
    definition = world.value(
        "select pg_get_functiondef('messaging.session_overdue(public.sessions, timestamptz)'::regprocedure)"
    )
    assert definition.count(fragment) == 1
    world.rows(definition.replace(fragment, "true"))
    assert world.value(overdue, out) == kind


@pytest.mark.parametrize(("minutes", "over_after"), [(None, 75), (45, 75), (20, 50), (90, 120)])
@pytest.mark.parametrize("began", [True, False])
def test_a_session_counts_as_over_half_an_hour_beyond_its_own_length(
    world: World, noon: BentClock, minutes: int | None, over_after: int, began: bool
) -> None:
    """From when it began, or should have; 45 minutes where no length is stored."""
    world.rows("alter table public.sessions alter column duration_minutes drop not null")
    profile = sessions.booked(
        world,
        "-3 hours" if began else f"-{over_after} minutes",
        status="in_progress",
        started_at=sessions.at(world, f"-{over_after} minutes") if began else None,
        duration_minutes=minutes,
    )
    assert sessions.words(world, profile) == []
    noon.forward(1)
    assert sessions.words(world, profile) == ["session_abandoned"]
